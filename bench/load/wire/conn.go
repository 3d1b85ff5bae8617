package wire

import (
	"errors"
	"strconv"
	"sync"
	"syscall"
	"time"

	"shakedown/bench"
)

// A conn is one connection. It has an exchange, or is idle, or is being closed.
type conn struct {
	fd      int
	id      int32  // its place in Loop.conns
	gen     uint32 // tells events of this connection from those of an earlier one in the same place
	target  int32
	idleAt  int32 // its place among the target's idle connections; -1: not idle
	dialing bool
	fresh   bool // no request was answered on it yet
	more    bool // epoll: there may be more to read
	attend  bool // it cannot wait: see Loop.until
	x       *exchange
	op      bench.OpID
	key     int64
	out     []byte // the request
	off     int    // of out, that the kernel has taken
	resp    response
}

// dial opens a connection for x.
func (l *Loop) dial(x *exchange) {
	t := &l.targets[x.target]
	c := l.newConn(x.target)
	x.c, c.x, x.sent = c, x, l.now
	c.out, c.op, c.key = l.src.AppendHTTP(c.out[:0], x.Seq)
	c.off = 0
	l.attend(c, true)
	err := l.tr.dial(c, t)
	l.look()
	if err != nil {
		outcome := bench.Failed
		if short(err) {
			outcome = bench.Unsent
		}
		l.end(x, outcome, l.cause("connect", err))
		l.drop(c, false)
	}
}

// newConn is a place for a connection, used before where there is one.
func (l *Loop) newConn(target int32) *conn {
	var c *conn
	if n := len(l.free); n > 0 {
		c = l.conns[l.free[n-1]]
		l.free = l.free[:n-1]
	} else {
		c = &conn{id: int32(len(l.conns))}
		l.conns = append(l.conns, c)
	}
	c.gen++
	c.fd, c.target, c.idleAt, c.dialing, c.fresh, c.more = -1, target, -1, true, true, false
	l.targets[target].open++
	return c
}

// send sends x on a connection that is idle.
func (l *Loop) send(c *conn, x *exchange) {
	c.idleAt = -1
	x.c, c.x, x.sent = c, x, l.now
	c.out, c.op, c.key = l.src.AppendHTTP(c.out[:0], x.Seq)
	c.off = 0
	c.resp.begin(bodyless(c.out))
	l.tr.flush(c)
	l.attend(c, c.x != nil && c.off < len(c.out))
}

// attend counts the connections that cannot wait.
func (l *Loop) attend(c *conn, yes bool) {
	if c.attend == yes {
		return
	}
	if c.attend = yes; yes {
		l.attended++
	} else {
		l.attended--
	}
}

func bodyless(request []byte) bool { return len(request) > 5 && string(request[:5]) == "HEAD " }

// connected: c is open, or could not be opened.
func (l *Loop) connected(c *conn, err error) {
	if err != nil {
		outcome := bench.Failed
		if short(err) {
			outcome = bench.Unsent
		}
		l.fail(c, outcome, l.cause("connect", err))
		return
	}
	c.dialing = false
	c.resp.begin(bodyless(c.out))
	l.tr.flush(c)
	l.attend(c, c.x != nil && c.off < len(c.out))
}

// wrote: the kernel has taken n more bytes of the request, or none, ever.
func (l *Loop) wrote(c *conn, n int, err error) {
	x := c.x
	if x == nil {
		return
	}
	if n > 0 {
		c.off += n
		x.left = true
		l.attend(c, c.off < len(c.out) || c.resp.began)
	}
	switch {
	case err == nil:
	case !x.left && !c.fresh: // the server had closed the connection while it was idle: nothing has left, so another may take it
		c.x, x.c = nil, nil
		l.drop(c, false)
		l.place(x)
	case x.left:
		l.fail(c, bench.Unsure, l.cause("write", err))
	default:
		l.fail(c, bench.Failed, l.cause("write", err))
	}
}

// received: b came on c, and was there at the given time.
func (l *Loop) received(c *conn, b []byte, at time.Duration) {
	x := c.x
	if x == nil { // nobody asked
		l.drop(c, false)
		return
	}
	if l.model.matches(&c.resp, b) {
		l.answered(c, x, true, at)
		return
	}
	whole := !c.resp.began
	rest, done, err := c.resp.feed(b)
	switch {
	case err != nil:
		x.left = true
		l.fail(c, bench.Unsure, err.Error())
	case done:
		if whole && len(rest) == 0 {
			l.model.take(&c.resp, b)
		}
		l.answered(c, x, len(rest) == 0, at)
	default:
		l.attend(c, true)
		l.watch = true
	}
}

// closed: no more will come on c.
func (l *Loop) closed(c *conn, err error) {
	x := c.x
	l.watch = l.watch || x != nil
	switch {
	case x == nil:
		l.drop(c, false)
	case err == nil && c.resp.closed():
		l.answered(c, x, false, l.now)
	case !x.left:
		l.fail(c, bench.Failed, l.cause("read", err))
	case err == nil && c.resp.began:
		l.fail(c, bench.Unsure, errTruncated.Error())
	case err == nil:
		l.fail(c, bench.Unsure, "closed without an answer")
	default:
		l.fail(c, bench.Unsure, l.cause("read", err))
	}
}

// statusTexts are what is said of a status that is not ok.
var statusTexts = sync.OnceValue(func() *[1000]string {
	text := new([1000]string)
	for i := range text {
		text[i] = "status " + strconv.Itoa(i)
	}
	return text
})

func (l *Loop) fail(c *conn, outcome bench.Outcome, why string) {
	l.end(c.x, outcome, why)
	l.drop(c, false)
}

// answered ends the exchange of c, which can be used again when it is clean, and both sides agree.
func (l *Loop) answered(c *conn, x *exchange, clean bool, at time.Duration) {
	if at > l.now { // it came since the loop looked, or the stamp is wrong
		l.look()
	}
	late := l.now
	l.now = min(max(at, x.sent), l.now)
	whole := c.off == len(c.out) // a server may answer before it has read everything; then the connection is of no more use
	outcome := c.resp.outcome()
	why := ""
	if outcome != bench.OK {
		why = statusTexts()[c.resp.status%1000]
	}
	l.end(x, outcome, why)
	l.now = late
	if !clean || !c.resp.keep || !whole {
		l.drop(c, false)
		return
	}
	c.fresh = false
	l.attend(c, false)
	t := &l.targets[c.target]
	if next := t.unqueue(); next != nil {
		l.waiting--
		l.look()
		l.send(c, next)
		return
	}
	c.idleAt = int32(len(t.idle))
	t.idle = append(t.idle, c)
}

// drop closes c, which has no exchange any more. Abrupt: with a reset, so that neither side keeps anything of it.
func (l *Loop) drop(c *conn, abrupt bool) {
	t := &l.targets[c.target]
	if i := c.idleAt; i >= 0 && int(i) < len(t.idle) && t.idle[i] == c {
		last := t.idle[len(t.idle)-1]
		t.idle[i], last.idleAt = last, i
		t.idle = t.idle[:len(t.idle)-1]
	}
	if c.fd >= 0 {
		l.tr.close(c, abrupt)
		c.fd = -1
	}
	c.gen++
	c.idleAt = -1
	l.attend(c, false)
	t.open--
	l.free = append(l.free, c.id)
}

// byID is the connection that an event is about, or nil when it is gone.
func (l *Loop) byID(id int32, gen uint32) *conn {
	if int(id) >= len(l.conns) {
		return nil
	}
	if c := l.conns[id]; c.gen == gen && c.fd >= 0 {
		return c
	}
	return nil
}

// A failure is what went wrong in doing what.
type failure struct {
	doing string
	errno syscall.Errno
}

// cause is an error in a few words. They are made once.
func (l *Loop) cause(doing string, err error) string {
	f := failure{doing: doing}
	if !errors.As(err, &f.errno) {
		return doing + " failed"
	}
	text, ok := l.causes[f]
	if !ok {
		text = doing + ": " + f.errno.Error()
		l.causes[f] = text
	}
	return text
}
