package proxy

import (
	"time"

	"shakedown/chaos/proxy/intercept"
	"shakedown/internal/clock"
)

// A filtered connection has a filter of its link's protocol between its sockets and its rings.
type filtered struct {
	intercept.Filter
	wakeAt time.Duration
	ending [2]bool // the way's sender has ended, and the filter may still have something
}

// openFilter asks for the connection's filter, when its link has a protocol. Probes carry nobody's messages.
func (c *conn) openFilter() {
	if c.link.inspector != nil && c.number < probeIndex {
		c.filter = &filtered{Filter: c.link.inspector.Open(c.number), wakeAt: never}
	}
}

func (c *conn) closeFilter() {
	if c.filter != nil {
		c.filter.Close()
		c.filter = nil
	}
}

// feed gives the filter what has come.
func (c *conn) feed(way int, data []byte) {
	c.filter.Feed(clock.Now(), intercept.Way(way), data, outlet{c})
	c.filteredSome(1 - way)
}

// filterEnd tells the filter that a way's sender has ended.
func (c *conn) filterEnd(way int) {
	c.filter.ending[way] = true
	c.filter.End(clock.Now(), intercept.Way(way), outlet{c})
	c.filteredSome(1 - way)
}

// wakeIfDue wakes the filter when its time has come.
func (c *conn) wakeIfDue(now time.Duration) {
	if c.filter != nil && now >= c.filter.wakeAt {
		c.wake()
	}
}

// wake gives the filter a look at its rules, or at what it waited for.
func (c *conn) wake() {
	if c.filter == nil || c.state != open || c.cutting != notEnded {
		return
	}
	c.filter.wakeAt = never
	c.filter.Wake(clock.Now(), outlet{c})
	c.filteredSome(up)
	c.filteredSome(down)
}

// filteredSome does what the filter's calls have left to do: ends that follow what it had, and what it passed on a way that
// nobody looks after at this moment.
func (c *conn) filteredSome(way int) {
	for i := range c.flows {
		if c.filter != nil && c.filter.ending[i] && c.filter.wakeAt == never && c.state == open {
			c.filter.ending[i] = false
			c.flows[i].close(closed)
		}
	}
	if c.state != open {
		return
	}
	f := &c.flows[way]
	if f.drain(); f.wants() {
		c.loop.later(f) // and not now: it may be what called
	}
	if c.settle(); c.state == open {
		c.loop.timers.set(&c.life, c.next())
	}
}

// An outlet is what a filter may do to its connection.
type outlet struct{ *conn }

var _ intercept.Out = outlet{}

func (o outlet) Pass(way intercept.Way, data []byte, notBefore time.Duration) {
	if o.state == open && o.cutting == notEnded {
		o.flows[way].pass(data, notBefore)
	}
}

func (o outlet) Cut() { o.endWith(broken) }

func (o outlet) Finish() { o.endWith(closed) }

func (o outlet) endWith(how ending) {
	if o.cutting == notEnded {
		o.cutting = how
	}
}

func (o outlet) WakeAt(at time.Duration) {
	if o.filter != nil {
		o.filter.wakeAt = at
	}
}
