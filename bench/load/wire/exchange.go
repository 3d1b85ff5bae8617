package wire

import (
	"errors"
	"syscall"
	"time"

	"shakedown/bench"
)

// An exchange is an arrival on its way.
type exchange struct {
	Arrival
	ready, sent time.Duration // when the loop got to it, and when it had a connection
	target      int32
	left        bool  // some of the request may be on the wire
	c           *conn // nil: it waits for one
	prev, next  *exchange
	waiting     *exchange // the next that waits for a connection to the same target
}

// begin starts an exchange: on an idle connection, on a new one, or waiting for one.
func (l *Loop) begin(a Arrival) {
	x := l.spare
	if x == nil {
		x = new(exchange)
	} else {
		l.spare = x.next
	}
	*x = exchange{Arrival: a, ready: l.now, target: int32(a.Seq % uint64(len(l.targets)))}
	last := l.oldest.prev
	x.prev, x.next, last.next, l.oldest.prev = last, &l.oldest, x, x
	l.flying++
	l.place(x)
}

// place finds a connection for x, or lets it wait.
func (l *Loop) place(x *exchange) {
	t := &l.targets[x.target]
	if n := len(t.idle); n > 0 {
		c := t.idle[n-1]
		t.idle = t.idle[:n-1]
		l.send(c, x)
		return
	}
	if l.o.Connections > 0 && t.open >= l.o.Connections {
		t.queue(x)
		l.waiting++
		return
	}
	l.dial(x)
}

// admit finds connections for those that wait, where there are some now.
func (l *Loop) admit() {
	for i := range l.targets {
		t := &l.targets[i]
		for n := 0; n < burst && t.first != nil && (len(t.idle) > 0 || t.open < l.o.Connections); n++ {
			l.look()
			l.waiting--
			l.place(t.unqueue())
		}
	}
}

// end reports what became of x, and forgets it. Its connection is the caller's to see to.
func (l *Loop) end(x *exchange, outcome bench.Outcome, cause string) {
	x.prev.next, x.next.prev = x.next, x.prev
	l.flying--
	r := &l.res
	*r = Result{User: x.User, Cause: cause}
	r.Sample = bench.Sample{Seq: x.Seq, Due: x.Due, Sent: x.sent, Done: l.now, Outcome: outcome}
	if c := x.c; c != nil {
		r.Op, r.Key = c.op, c.key
		if outcome == bench.OK || c.resp.began {
			r.Flags, r.Value = c.resp.flags, c.resp.value
		}
		c.x = nil
	} else {
		l.scratch, r.Op, r.Key = l.src.AppendHTTP(l.scratch[:0], x.Seq)
		r.Sent = l.now // it waited to the end
	}
	r.Wait = r.Sent - x.ready
	if outcome == bench.Unsent {
		r.Sent = 0
	}
	if x.User >= 0 {
		l.answers.beat(l.now)
	}
	l.src.Ended(r)
	x.c, x.prev = nil, nil
	x.next, l.spare = l.spare, x
}

// expire gives up what has taken too long.
func (l *Loop) expire() {
	for {
		x := l.oldest.next
		if x == &l.oldest || l.now < x.ready+l.o.Timeout {
			return
		}
		c := x.c
		switch {
		case c == nil:
			l.targets[x.target].unqueue()
			l.waiting--
			l.end(x, bench.Failed, "no connection was free in time")
			continue
		case x.left:
			l.end(x, bench.Unsure, "timeout")
		default:
			l.end(x, bench.Failed, "timeout while connecting")
		}
		l.drop(c, true)
	}
}

// cut gives up all that is in flight.
func (l *Loop) cut() {
	for x := l.oldest.next; x != &l.oldest; x = l.oldest.next {
		c := x.c
		if c == nil {
			l.targets[x.target].unqueue()
			l.waiting--
			l.end(x, bench.Unsent, "the load was stopped")
			continue
		}
		l.end(x, bench.Unsure, "cut off at the end")
		l.drop(c, true)
	}
}

// short are errors of the generator's own machine: the request did not fail, it was never sent.
func short(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.EADDRNOTAVAIL, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
