package proxy

import (
	"bytes"
	"time"

	"golang.org/x/sys/unix"

	"shakedown/internal/clock"
)

// A datagram waits for its time.
type datagram struct {
	data    []byte
	seq     uint64 // counts those of the stream
	arrived time.Duration
	stepped time.Duration // aside
	held    bool
	waited  bool
}

// A queue is one direction of one session. Datagrams leave in the order in which they came, whatever delays they draw; only
// those that an effect reorders step aside until another one has overtaken them.
type queue struct {
	session *session
	way     int
	lane    *lane
	key     uint64
	seq     uint64
	waiting []datagram
	aside   []datagram
	bytes   int
	free    time.Duration // of the session's own limit: see rateClock
	paid    time.Duration // when the head may leave, once it has its place on the clocks; 0 is not yet
	timer   timer
}

// arrived takes one in, with what effects do to it on arrival.
func (q *queue) arrived(data []byte) {
	s := q.session.stats
	s.datagrams.Add(1)
	s.received[q.way].Add(int64(len(data)))
	q.seq++
	switch {
	case hits(q.lane.drop, forDrop, q.key, q.seq), q.bytes+len(data)+recordBytes > q.lane.bound: // a router's queue is bounded too
		s.dropped.Add(1)
		return
	}
	d := datagram{data: bytes.Clone(data), seq: q.seq, arrived: clock.Now()}
	if len(data) > 0 && hits(q.lane.corrupt, forCorruption, q.key, q.seq) {
		flip(q.lane.corrupt[0].seed, q.key, q.seq, d.data)
		s.corrupted.Add(1)
	}
	if q.lane.hold {
		q.meetHold(&d)
	}
	q.keep(d)
	if hits(q.lane.duplicate, forDuplicate, q.key, q.seq) {
		q.keep(d)
		s.doubled.Add(1)
	}
	q.run()
}

func (q *queue) keep(d datagram) {
	q.waiting = append(q.waiting, d)
	q.charge(len(d.data) + recordBytes)
}

func (q *queue) charge(n int) {
	q.bytes += n
	q.session.relay.loop.blocks.budget.used.Add(int64(n))
}

func (q *queue) meetHold(d *datagram) {
	if !d.held {
		d.held = true
		q.session.stats.held.Add(1)
	}
}

func (q *queue) alarmed() { q.run() }

// run sends what may go now, and sets the alarm for what may go next.
func (q *queue) run() {
	s := q.session
	if s.over || q.way == up && s.fd < 0 {
		return
	}
	at := never
	for at == never && len(q.waiting) > 0 && !q.lane.hold {
		at = q.step(clock.Now())
	}
	now := clock.Now()
	if len(q.aside) > 0 && q.aside[0].stepped+reorderWait <= now { // nothing came that could have overtaken it
		q.release(now)
	}
	if len(q.aside) > 0 {
		at = min(at, q.aside[0].stepped+reorderWait)
	}
	s.relay.loop.timers.set(&q.timer, at)
}

// step does what is to be done with the first datagram, or returns when that is.
func (q *queue) step(now time.Duration) (at time.Duration) {
	d := &q.waiting[0]
	if at := q.due(d, now); at > now {
		return at
	}
	if hits(q.lane.reorder, forReorder, q.key, d.seq) {
		d.stepped = now
		q.aside = append(q.aside, *d)
		q.pop()
		return never
	}
	if !q.send(d, now) {
		return now + sendAgain
	}
	q.charge(-len(d.data) - recordBytes)
	q.pop()
	if len(q.aside) > 0 {
		q.session.stats.overtaken.Add(int64(len(q.aside)))
		q.release(now)
	}
	return never
}

// due is when a datagram may leave.
func (q *queue) due(d *datagram, now time.Duration) time.Duration {
	if q.paid > 0 {
		return q.paid
	}
	lag, _ := q.lane.lag(q.key, d.seq, len(d.data))
	at := d.arrived + lag
	if at > now || len(q.lane.limits) == 0 {
		return at
	}
	from := max(at, now-catchUp)
	for _, l := range q.lane.limits {
		if l.clock != nil {
			at = max(at, l.clock.reserve(from, len(d.data), l.rate))
			continue
		}
		q.free = max(q.free, from) + transmission(len(d.data), l.rate)
		at = max(at, q.free)
	}
	if at > now && !d.waited {
		d.waited = true
		q.session.stats.throttled.Add(1)
	}
	q.paid = at
	return at
}

// send sends one; false when the kernel has no room for it now. A datagram that nobody can take is lost, as on any network.
func (q *queue) send(d *datagram, now time.Duration) bool {
	s := q.session
	switch errno := s.send(q.way, d.data); errno {
	case 0:
		s.stats.delivered[q.way].Add(int64(len(d.data)))
	case unix.EAGAIN, unix.ENOBUFS:
		return false
	}
	if q.lane.delays() {
		asked, _ := q.lane.lag(q.key, d.seq, len(d.data))
		s.stats.delay(asked, now-d.arrived)
	}
	return true
}

// release sends those that stepped aside.
func (q *queue) release(now time.Duration) {
	for i := range q.aside {
		q.send(&q.aside[i], now)
		q.charge(-len(q.aside[i].data) - recordBytes)
	}
	clear(q.aside)
	q.aside = q.aside[:0]
}

// pop takes the first one off.
func (q *queue) pop() {
	q.waiting[0] = datagram{}
	q.waiting, q.paid = q.waiting[1:], 0
}

// clear drops everything.
func (q *queue) clear() {
	q.charge(-q.bytes)
	q.waiting, q.aside = nil, nil
	q.session.relay.loop.timers.drop(&q.timer)
}
