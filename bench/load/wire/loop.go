package wire

import (
	"sync/atomic"
	"time"

	"shakedown/bench"
	"shakedown/internal/clock"
)

// An Arrival is a request that is due. Times are offsets from the loop's zero.
type Arrival struct {
	Seq  uint64
	Due  time.Duration
	User int // of a closed loop
}

// A Result is what became of an arrival.
type Result struct {
	bench.Sample
	User  int           // of the arrival
	Wait  time.Duration // from when the loop got to it until it had a connection
	Cause string        // of an outcome other than ok
}

// A Source says what a loop sends, and is told what became of it. Only the loop calls it, from its own thread; nothing in it may block.
type Source interface {
	// Next is an arrival that is due at now or was due before.
	Next(now time.Duration) (Arrival, bool)
	// Due is when Next will have the next arrival, if it has one without another ending first.
	Due() (time.Duration, bool)
	// Abandon takes notice that what is due at now will not be sent.
	Abandon(now time.Duration)
	// Over says that there will be no more arrivals.
	Over() bool
	// AppendHTTP writes the request of an arrival, whole and ready for the wire.
	AppendHTTP(dst []byte, seq uint64) (out []byte, op bench.OpID, key int64)
	// Ended takes what became of an arrival; every arrival that Next has given ends once.
	Ended(*Result)
}

// Options are how a loop works. Zero is the time of clock.Now that offsets are from.
type Options struct {
	Targets []Target // arrival seq goes to target seq mod n
	// Connections is the most connections open to one target; an arrival beyond them waits for one. 0 means no limit.
	Connections int
	Timeout     time.Duration // from when the loop got to an arrival
	Zero        time.Duration
	Backend     Backend
	// Gather is how long arrivals may be held back so that several leave together: all of it at 30 000/s and more, nothing up to
	// 10 000/s, and in proportion between; and no more than there are connections for. At most MaxGather.
	Gather time.Duration
	// Urgent asks the kernel to run the loop as soon as it wakes: for loops that mostly sleep.
	Urgent bool
	// Stop, once true, makes the loop cut off what is in flight; Drain is when it does so at the latest, an offset.
	Stop  *atomic.Bool
	Drain time.Duration
}

// burst is how many requests a loop sends before it looks for answers again: what is due after 1.6 ms at 30 000/s. io_uring sends them one
// after the other, when the loop has written all of them: the last leaves some hundred microseconds after it counts as sent.
const burst = 48

// patience is how long answers in open loop may wait until the loop wakes up for the next arrival, which it would have to do anyway.
// Waking up for each costs the loop as much again, and the server the interrupt of a core that sleeps.
const patience = 2 * time.Millisecond

// nap bounds how long a loop sleeps, and so how late it sees that it was stopped.
const nap = 20 * time.Millisecond

// MaxGather is the most that Options.Gather may be: more would be most of what a user waits.
const MaxGather = 5 * time.Millisecond

// A Loop drives its share of the load.
type Loop struct {
	o        Options
	src      Source
	tr       transport
	now      time.Duration // as of the last look at the clock
	targets  []endpoint
	conns    []*conn
	free     []int32  // of conns
	flying   int      // exchanges that have not ended
	waiting  int      // of them, those without a connection
	attended int      // connections that cannot wait
	watch    bool     // answers have come in parts, or ended with their connection: the next ones may, and are not made to wait
	unread   bool     // answers may have come that were not looked at, and free a connection
	arrivals pulse    // of the open loop
	answers  pulse    // of the closed loop
	oldest   exchange // sentinel of the ring of exchanges, in order of ready, and so of time-out
	spare    *exchange
	scratch  []byte
	causes   map[failure]string
	model    model // of the answers
	res      Result
}

// NewLoop makes a loop; Run runs it, once. It fails when the kernel denies what the back end needs.
func NewLoop(o Options, src Source) (*Loop, error) {
	l := &Loop{o: o, src: src, arrivals: pulse{gap: time.Second}, answers: pulse{gap: time.Second}, causes: map[failure]string{}}
	l.oldest.next, l.oldest.prev = &l.oldest, &l.oldest
	for _, t := range o.Targets {
		e, err := resolve(t)
		if err != nil {
			return nil, err
		}
		l.targets = append(l.targets, e)
	}
	tr, err := o.Backend.open(l)
	if err != nil {
		return nil, err
	}
	l.tr = tr
	return l, nil
}

// Run drives the load to its end, on the calling goroutine, to which it gives a thread. It returns once every arrival has ended.
// Its system calls block the thread without the Go scheduler's knowledge: while it runs it asks for one more of GOMAXPROCS.
func (l *Loop) Run() error {
	defer ownProc()()
	thread := clock.NewPacer(l.o.Urgent)
	defer thread.Close()
	defer l.shut()
	if err := l.tr.start(); err != nil {
		return err
	}
	for {
		more := l.sendDue()
		l.admit()
		l.expire()
		stopped := l.o.Stop != nil && l.o.Stop.Load()
		switch {
		case stopped || l.now >= l.o.Drain:
			l.cut()
			l.src.Abandon(l.now)
			return nil
		case l.flying == 0 && l.src.Over():
			return nil
		}
		l.tr.wait(l.until(more))
	}
}

// sendDue sends what is due, though not so much at a time that answers would wait; more says that it stopped for that. It looks at the
// clock once: what takes time on the way, a system call, looks again.
func (l *Loop) sendDue() (more bool) {
	l.look()
	for range burst {
		if l.unread && l.taken() {
			return true
		}
		a, ok := l.src.Next(l.now)
		if !ok {
			return false
		}
		if a.User < 0 {
			l.arrivals.beat(a.Due)
		}
		l.begin(a)
	}
	return true
}

// taken says that no connection is idle, to one of the targets.
func (l *Loop) taken() bool {
	for i := range l.targets {
		if len(l.targets[i].idle) == 0 {
			return true
		}
	}
	return false
}

// calm says that all that comes can wait: answers that come whole, because the kernel stamps them; not a connection that is being made,
// nor one that has more to send or to receive, nor what frees a connection for an arrival that waits for one.
func (l *Loop) calm() bool { return l.attended == 0 && l.waiting == 0 && !l.watch }

// look reads the clock.
func (l *Loop) look() { l.now = clock.Now() - l.o.Zero }

// until is when the loop has something to do even when nothing comes, and how many events it waits for before: all, when what comes
// can wait until then.
func (l *Loop) until(more bool) (t time.Duration, events int) {
	if more {
		return l.now, 1
	}
	due, ok := l.src.Due()
	t = min(l.now+nap, l.o.Drain)
	if x := l.oldest.next; x != &l.oldest {
		t = min(t, x.ready+l.o.Timeout)
	}
	switch {
	case !l.calm():
	case ok && l.arrivals.n > 0: // in closed loop an answer may make an arrival due
		held := l.now + l.gather()
		if due = max(due, held); due == held || due < l.now+patience {
			return due, all
		}
	case !ok && l.answers.often() && l.o.Gather > 0:
		if n := min(l.flying/batchOf, batchMost); n > 1 {
			return min(t, l.now+min(l.o.Gather, 2*time.Duration(n)*l.answers.gap)), n
		}
	}
	if ok {
		t = min(t, due)
	}
	return t, 1
}

// A loop that wakes up for a single arrival spends several times what a request costs: on the timer, the switch, and the interrupt
// that wakes the server's core. Above lowRate arrivals a second a loop may therefore gather them, for longer as the rate rises. It knows
// the rate to some 3 %, from the arrivals that there were: at 10 000/s it must not think that there are more.
// In closed loop it waits for the answers of one in batchOf of its users, so that the server always has the others to work on.
// What that makes late is late in the results too: it is send lag, and part of the response time.
const (
	lowRate   = 12_000
	highRate  = 30_000
	batchOf   = 8
	batchMost = 16
	gapWeight = 1024 // events that the gap between them is averaged over
)

// A pulse knows how often something happens.
type pulse struct {
	last time.Duration
	gap  time.Duration // a moving average
	n    time.Duration // what it is of, up to gapWeight
}

func (p *pulse) beat(at time.Duration) {
	p.n = min(p.n+1, gapWeight)
	p.gap += (at - p.last - p.gap) / p.n
	p.last = at
}

// often is more often than lowRate a second.
func (p *pulse) often() bool { return p.gap > 0 && p.gap < time.Second/lowRate }

// gather is how long the loop sleeps at least: not so long that arrivals would find no connection free when it wakes up.
func (l *Loop) gather() time.Duration {
	if !l.arrivals.often() {
		return 0
	}
	rate := float64(time.Second) / float64(l.arrivals.gap)
	g := time.Duration(min(1, (rate-lowRate)/(highRate-lowRate)) * float64(l.o.Gather))
	if n := l.o.Connections * len(l.targets); n > 0 {
		g = min(g, l.arrivals.gap*time.Duration(n)*7/8) // an eighth is for answers that take longer
	}
	return g
}

// shut closes all connections.
func (l *Loop) shut() {
	for _, c := range l.conns {
		if c != nil && c.fd >= 0 {
			l.drop(c, false)
		}
	}
	l.tr.shut()
}
