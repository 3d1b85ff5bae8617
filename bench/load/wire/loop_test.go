package wire

import (
	"testing"
	"time"

	"shakedown/bench"
)

// next is a source whose next arrival is due at a given time.
type next time.Duration

func (n next) Due() (time.Duration, bool) { return time.Duration(n), true }

func (next) Next(time.Duration) (Arrival, bool)                          { return Arrival{}, false }
func (next) Over() bool                                                  { return false }
func (next) Abandon(time.Duration)                                       {}
func (next) Ended(*Result)                                               {}
func (next) AppendHTTP(dst []byte, _ uint64) ([]byte, bench.OpID, int64) { return dst, 0, 0 }

func TestALoopWakesUpOnlyForWhatCannotWait(t *testing.T) {
	const now, due = time.Second, time.Second + 10*time.Microsecond
	for name, c := range map[string]struct {
		rate   float64
		gather time.Duration
		spoil  func(*Loop)
		until  time.Duration
		events int
		more   bool
		conns  int
	}{
		"10 000/s":                     {rate: 10_000, gather: time.Millisecond, until: due, events: all},
		"20 000/s":                     {rate: 20_000, gather: time.Millisecond, until: now + time.Millisecond*4/9, events: all},
		"30 000/s":                     {rate: 30_000, gather: time.Millisecond, until: now + time.Millisecond, events: all},
		"100 000/s":                    {rate: 100_000, gather: time.Millisecond, until: now + time.Millisecond, events: all},
		"told to gather for long":      {rate: 100_000, gather: MaxGather, until: now + MaxGather, events: all},
		"connections for all":          {rate: 100_000, gather: time.Millisecond, conns: 128, until: now + time.Millisecond, events: all},
		"few connections":              {rate: 100_000, gather: time.Millisecond, conns: 64, until: now + 560*time.Microsecond, events: all},
		"told not to gather":           {rate: 100_000, until: due, events: all},
		"due after the gathering":      {rate: 100_000, gather: 5 * time.Microsecond, until: due, events: all},
		"nothing is due for a while":   {rate: 1000, until: now + 2*patience, spoil: func(l *Loop) { l.src = next(now + 2*patience) }},
		"a connection is being made":   {rate: 100_000, gather: time.Millisecond, until: due, spoil: func(l *Loop) { l.attend(&conn{}, true) }},
		"one waits for a connection":   {rate: 100_000, gather: time.Millisecond, until: due, spoil: func(l *Loop) { l.waiting = 1 }},
		"answers have come in parts":   {rate: 100_000, gather: time.Millisecond, until: due, spoil: func(l *Loop) { l.watch = true }},
		"a closed loop":                {rate: 1000, until: due, spoil: func(l *Loop) { l.arrivals.n = 0 }},
		"more is due than was looked":  {rate: 100_000, gather: time.Millisecond, until: now, more: true},
		"more is due, and it may wait": {rate: 100_000, until: now, more: true},
	} {
		l := &Loop{o: Options{Gather: c.gather, Connections: c.conns, Drain: time.Hour, Timeout: time.Second}, targets: make([]endpoint, 1), src: next(due), now: now, arrivals: pulse{gap: time.Duration(float64(time.Second) / c.rate), n: 1}}
		l.oldest.next, l.oldest.prev = &l.oldest, &l.oldest
		if c.spoil != nil {
			c.spoil(l)
		}
		until, events := l.until(c.more)
		if d := until - c.until; d < -time.Microsecond || d > time.Microsecond || events != max(c.events, 1) {
			t.Errorf("%s: until %v, events %v; want %v, %v", name, until-now, events, c.until-now, max(c.events, 1))
		}
	}
}

// thinking is a source that has nothing until an answer comes.
type thinking struct{ next }

func (thinking) Due() (time.Duration, bool) { return 0, false }

func TestAClosedLoopWaitsForSeveralAnswersWhileTheServerHasWork(t *testing.T) {
	const now = time.Second
	for name, c := range map[string]struct {
		users  int
		rate   float64
		gather time.Duration
		until  time.Duration
		events int
	}{
		"64 users":            {users: 64, rate: 100_000, gather: time.Millisecond, until: now + 160*time.Microsecond, events: 8},
		"no longer than told": {users: 64, rate: 20_000, gather: 100 * time.Microsecond, until: now + 100*time.Microsecond, events: 8},
		"many users":          {users: 1000, rate: 100_000, gather: time.Millisecond, until: now + 320*time.Microsecond, events: batchMost},
		"few users":           {users: 15, rate: 100_000, gather: time.Millisecond, until: now + nap, events: 1},
		"a slow server":       {users: 64, rate: 10_000, gather: time.Millisecond, until: now + nap, events: 1},
		"told not to":         {users: 64, rate: 100_000, until: now + nap, events: 1},
	} {
		l := &Loop{
			o: Options{Gather: c.gather, Drain: time.Hour, Timeout: time.Second}, src: thinking{}, now: now, flying: c.users,
			answers: pulse{gap: time.Duration(float64(time.Second) / c.rate)},
		}
		l.oldest.next, l.oldest.prev = &l.oldest, &l.oldest
		if until, events := l.until(false); until != c.until || events != c.events {
			t.Errorf("%s: until %v or %d events; want %v, %d", name, until-now, events, c.until-now, c.events)
		}
	}
}

func TestAnswersAreReadBeforeAnArrivalWaitsForAConnectionOrMakesOne(t *testing.T) {
	for name, c := range map[string]struct {
		connections        int
		idle, unread, want bool
	}{
		"every connection is taken":           {connections: 1, unread: true, want: true},
		"one may be made":                     {connections: 2, unread: true, want: true},
		"there is no limit":                   {unread: true, want: true},
		"one is idle":                         {connections: 1, idle: true, unread: true},
		"all answers that are there are read": {connections: 1},
	} {
		asked := false
		l := &Loop{o: Options{Connections: c.connections}, src: asking{asked: &asked}, targets: []endpoint{{open: 1}}, unread: c.unread}
		if c.idle {
			l.targets[0].idle = []*conn{{}}
		}
		if first := l.sendDue(); first != c.want || asked == c.want {
			t.Errorf("%s: it reads first: %v, and looks for arrivals: %v; want %v", name, first, asked, c.want)
		}
	}
}

// asking is a source that notes when it is asked for an arrival, and has none.
type asking struct {
	next
	asked *bool
}

func (a asking) Next(time.Duration) (Arrival, bool) {
	*a.asked = true
	return Arrival{}, false
}

func TestCountingThoseThatCannotWait(t *testing.T) {
	l, a, b := &Loop{}, &conn{}, &conn{}
	for _, c := range []struct {
		of   *conn
		yes  bool
		want int
	}{{a, true, 1}, {a, true, 1}, {b, true, 2}, {a, false, 1}, {a, false, 1}, {b, false, 0}} {
		if l.attend(c.of, c.yes); l.attended != c.want {
			t.Fatalf("%d, want %d", l.attended, c.want)
		}
	}
}
