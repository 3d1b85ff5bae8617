package proxy

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"shakedown/internal/clock"
)

const (
	// dialTime bounds the dialling of an upstream, and dialAgain is when a unix socket whose backlog was full is tried again.
	dialTime  = 10 * time.Second
	dialAgain = time.Millisecond
	// lingerTime is how long a connection that was closed from here reads on, so that its FIN does not become a RST because
	// of bytes that nobody read.
	lingerTime = time.Second
)

// The ends of a connection. A flow's source is the end of its own index.
const (
	client = up
	server = down
)

// A state is how far a connection has come.
type state uint8

const (
	waiting   state = iota // the server is not to hear of it yet
	resolving              // the server's address is looked up
	dialing
	open
	forgotten // half-open: there is no server's side
	lingering // both ends have been told of the end
	gone
)

// An end is one socket of a connection.
type end struct {
	conn  *conn
	side  int
	fd    int // -1 is none
	slot  int32
	ended bool // seen while forgotten or lingering
}

// A conn is one connection through a link: a client's, and the one made for it to the server. It belongs to its loop.
type conn struct {
	loop   *loop
	link   *Link
	number uint64
	key    uint64 // names it, for random decisions
	stats  *stats
	plan   *plan
	ends   [2]end
	flows  [2]flow
	state  state
	born   time.Duration
	life   timer
	until  time.Duration // of dialling or lingering

	targets []unix.Sockaddr // that were not tried yet
	spent   bool            // forgotten, and nothing forgets connections any more: the next byte is answered with a RST
	kept    bool            // it waited for the server to hear of it

	filter  *filtered
	cutting ending // asked for by the filter
}

// newConn takes a client in. It runs on the loop. A probe brings its server.
func (l *Link) newConn(on *loop, fd int, number uint64, st *stats, serverFD int) *conn {
	c := &conn{
		loop: on, link: l, number: number, key: connKey(l.spec.Name, number), stats: st, born: clock.Now(),
	}
	c.plan = l.policy.Load().plan(c.key)
	c.life.owner = c
	for i := range c.ends {
		c.ends[i] = end{conn: c, side: i, fd: -1, slot: -1}
		f := &c.flows[i]
		f.conn, f.way, f.src, f.dst = c, i, &c.ends[i], &c.ends[1-i]
		f.lane, f.key, f.ring.blocks, f.timer.owner = &c.plan.lanes[i], streamKey(c.key, i), &on.blocks, f
	}
	st.connections.Add(1)
	st.open.Add(1)
	l.conns[on][c] = struct{}{}
	c.ends[server].fd = serverFD
	if !c.watch(client, fd) {
		c.abort()
		return c
	}
	c.look()
	return c
}

// watch gives an end its socket; false when the kernel denies it.
func (c *conn) watch(side, fd int) bool {
	e := &c.ends[side]
	e.fd = fd
	slot, err := c.loop.watch(fd, socketEvents, e)
	e.slot = slot
	return err == nil
}

// look does what the plan wants of the connection as a whole, now, and sets the alarm for what it wants later.
func (c *conn) look() {
	now := clock.Now()
	if c.cutIfDue(now) {
		return
	}
	if c.forget(); c.state == gone {
		return
	}
	switch c.state {
	case waiting:
		if now >= c.born+c.plan.connectDelay {
			c.dial()
			return // and it has looked again
		}
		c.kept = true
	case resolving, dialing:
		if now >= c.until {
			c.undialled()
			return
		}
		if c.state == dialing && c.ends[server].fd < 0 {
			c.connect()
			return
		}
	case lingering:
		if now >= c.until {
			c.shut(false)
			return
		}
	case open:
		if c.wakeIfDue(now); c.state == gone {
			return
		}
	}
	c.loop.timers.set(&c.life, c.next())
}

func (c *conn) alarmed() { c.look() }

// next is when to look again even if nothing happens.
func (c *conn) next() time.Duration {
	if c.state == lingering { // nothing cuts it any more
		return c.until
	}
	at := never
	for i := range c.plan.cuts {
		at = min(at, c.cutAt(&c.plan.cuts[i]))
	}
	switch c.state {
	case waiting:
		at = min(at, c.born+c.plan.connectDelay)
	case resolving:
		at = min(at, c.until)
	case dialing:
		at = min(at, c.until)
		if c.ends[server].fd < 0 {
			at = min(at, clock.Now()+dialAgain)
		}
	case open:
		if c.filter != nil {
			at = min(at, c.filter.wakeAt)
		}
	}
	return at
}

func (c *conn) cutAt(t *cut) time.Duration { return max(c.born, t.since) + t.after }

// cutIfDue ends the connection when a Reset or Close effect wants that by now.
func (c *conn) cutIfDue(now time.Duration) bool {
	if c.state == lingering {
		return false
	}
	closes := false
	for i := range c.plan.cuts {
		t := &c.plan.cuts[i]
		switch {
		case c.cutAt(t) > now:
		case t.reset:
			c.stats.resets.Add(1)
			c.abort()
			return true
		default:
			closes = true
		}
	}
	if closes {
		c.stats.closes.Add(1)
		c.linger()
	}
	return closes
}

// forget drops the server's side while an effect forgets connections, and remembers when none does any more.
func (c *conn) forget() {
	if c.state == lingering {
		return
	}
	if c.state == forgotten {
		c.spent = !c.plan.halfOpen
		return
	}
	if !c.plan.halfOpen {
		return
	}
	c.stats.halfOpened.Add(1)
	c.drop(server, true)
	c.flows[up].stop()
	c.flows[down].stop()
	c.closeFilter()
	c.state = forgotten
	c.discard(&c.ends[client])
}

// adopt makes the connection follow another plan.
func (c *conn) adopt(p *plan) {
	c.plan = p
	for i := range c.flows {
		f := &c.flows[i]
		f.lane = &p.lanes[i]
		f.piece = piece{}
		if f.lane.hold {
			f.meetHold()
		}
	}
	c.look()
	for i := range c.flows {
		if c.state == open {
			c.flows[i].run()
		}
	}
}

// dial starts to look for the server.
func (c *conn) dial() {
	if c.kept {
		c.stats.connectDelays.Add(1)
	}
	if fd := c.ends[server].fd; fd >= 0 { // a probe's
		if !c.watch(server, fd) {
			c.undialled()
			return
		}
		c.connected()
		return
	}
	c.until = clock.Now() + dialTime
	if c.targets = own(c.link.targets); c.targets != nil {
		c.connect()
		return
	}
	c.state = resolving
	c.link.resolve(c)
	c.look()
}

// connect tries the addresses that are left.
func (c *conn) connect() {
	c.state = dialing
	for len(c.targets) > 0 {
		fd, err := connectTo(c.link.space, c.targets[0])
		if errors.Is(err, unix.EAGAIN) {
			break // until dialAgain
		}
		c.targets = c.targets[1:]
		if err == nil && c.watch(server, fd) {
			break // an event tells of its end, which may be there already
		}
		if err == nil {
			c.drop(server, false)
		}
	}
	if c.ends[server].fd < 0 && len(c.targets) == 0 {
		c.undialled()
		return
	}
	c.loop.timers.set(&c.life, c.next())
}

// dialled takes the outcome of connecting.
func (c *conn) dialled(events uint32) {
	e := &c.ends[server]
	if err := socketError(e.fd); err != nil {
		c.drop(server, false)
		c.connect()
		return
	}
	if events&unix.EPOLLOUT != 0 {
		c.connected()
	}
}

// connected begins to move bytes.
func (c *conn) connected() {
	c.state = open
	c.openFilter()
	for i := range c.flows {
		c.flows[i].readable, c.flows[i].writable, c.flows[i].last = true, true, true
	}
	c.look()
	for i := range c.flows {
		if c.state == open {
			c.flows[i].run()
		}
	}
}

// undialled: the server cannot be reached.
func (c *conn) undialled() {
	c.stats.dialFailures.Add(1)
	c.abort()
}

// ready takes what epoll tells of a socket.
func (e *end) ready(events uint32) {
	c := e.conn
	switch {
	case c.state == open:
		c.happened(e.side, events)
	case c.state == dialing && e.side == server:
		c.dialled(events)
	case c.state == forgotten || c.state == lingering:
		c.discard(e)
	}
}

// happened moves what has become possible to move.
func (c *conn) happened(side int, events uint32) {
	in, out := &c.flows[side], &c.flows[1-side]
	if events&^unix.EPOLLOUT != 0 {
		in.readable = true
		in.last = in.last || events&^(unix.EPOLLIN|unix.EPOLLOUT) != 0
	}
	if events&(unix.EPOLLOUT|unix.EPOLLERR|unix.EPOLLHUP) != 0 && !out.writable {
		out.writable = true
		out.run()
	}
	if in.readable && c.state == open {
		in.run()
	}
}

// discard reads what nobody is to get.
func (c *conn) discard(e *end) {
	for e.fd >= 0 && !e.ended {
		n, errno := recv(e.fd, c.loop.buf)
		switch {
		case errno == unix.EAGAIN:
			return
		case errno != 0:
			c.shut(true)
			return
		case n == 0:
			e.ended = true
		case c.spent: // a host that has forgotten a connection answers with a RST
			c.abort()
			return
		}
	}
	if c.ends[client].over() && c.ends[server].over() {
		c.shut(false)
	}
}

func (e *end) over() bool { return e.fd < 0 || e.ended }

// settle ends the connection once both of its flows have ended, or all has left that was to leave before a cut.
func (c *conn) settle() {
	if c.state != open {
		return
	}
	u, d := &c.flows[up], &c.flows[down]
	switch {
	case u.over() && d.over() && (u.dead || d.dead):
		c.abort()
	case u.over() && d.over():
		c.shut(false) // both ends were closed for writing; there is nothing left to lose
	case c.cutting != notEnded && (u.over() || u.ring.empty()) && (d.over() || d.ring.empty()):
		if c.cutting == broken {
			c.abort()
		} else {
			c.linger()
		}
	}
}

// limited ends a connection on which so many bytes have passed as may.
func (c *conn) limited() {
	c.stats.limited.Add(1)
	c.linger()
}

// linger ends the connection with a FIN to both sides, and drops what is under way. It reads on for a while.
func (c *conn) linger() {
	for i := range c.flows {
		c.flows[i].stop()
	}
	if c.state == dialing {
		c.drop(server, false)
	}
	c.closeFilter()
	c.state, c.until, c.spent = lingering, clock.Now()+lingerTime, false
	for i := range c.ends {
		if c.ends[i].fd >= 0 {
			shutdownWrite(c.ends[i].fd)
		}
	}
	for i := range c.ends {
		if c.state == lingering {
			c.discard(&c.ends[i])
		}
	}
	if c.state == lingering {
		c.loop.timers.set(&c.life, c.until)
	}
}

// abort ends the connection with a RST to both sides, and drops what is under way.
func (c *conn) abort() { c.shut(true) }

// shut closes both sockets, for good.
func (c *conn) shut(abrupt bool) {
	if c.state == gone {
		return
	}
	c.closeFilter()
	c.state = gone
	c.loop.timers.drop(&c.life)
	delete(c.link.conns[c.loop], c)
	c.stats.open.Add(-1) // before anybody can see that it ended
	for i := range c.ends {
		c.flows[i].stop()
		c.drop(i, abrupt)
	}
}

// drop closes one socket.
func (c *conn) drop(side int, abrupt bool) {
	e := &c.ends[side]
	if e.fd < 0 {
		return
	}
	if e.slot >= 0 {
		c.loop.forget(e.slot)
	}
	closeSocket(e.fd, abrupt)
	e.fd, e.slot = -1, -1
}
