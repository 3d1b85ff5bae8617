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

func TestALoopGathersOnlyWhatCanWait(t *testing.T) {
	const now, due = time.Second, time.Second + 10*time.Microsecond
	for name, c := range map[string]struct {
		rate   float64
		gather time.Duration
		spoil  func(*Loop)
		until  time.Duration
		deaf   bool
	}{
		"10 000/s":                    {rate: 10_000, gather: time.Millisecond, until: due},
		"20 000/s":                    {rate: 20_000, gather: time.Millisecond, until: now + 500*time.Microsecond, deaf: true},
		"30 000/s":                    {rate: 30_000, gather: time.Millisecond, until: now + time.Millisecond, deaf: true},
		"100 000/s":                   {rate: 100_000, gather: time.Millisecond, until: now + time.Millisecond, deaf: true},
		"told not to":                 {rate: 100_000, until: due},
		"a connection is being made":  {rate: 100_000, gather: time.Millisecond, until: due, spoil: func(l *Loop) { l.attend(&conn{}, true) }},
		"one waits for a connection":  {rate: 100_000, gather: time.Millisecond, until: due, spoil: func(l *Loop) { l.waiting = 1 }},
		"nothing is due for a while":  {rate: 100_000, gather: 5 * time.Microsecond, until: due},
		"more is due than was looked": {rate: 100_000, gather: time.Millisecond, until: now, spoil: func(l *Loop) { l.src = next(now - 1) }},
	} {
		l := &Loop{o: Options{Gather: c.gather, Drain: time.Hour, Timeout: time.Second}, src: next(due), now: now, gap: time.Duration(float64(time.Second) / c.rate)}
		l.oldest.next, l.oldest.prev = &l.oldest, &l.oldest
		more := false
		if c.spoil != nil {
			c.spoil(l)
			more = l.src != next(due)
		}
		until, deaf := l.until(more)
		if d := until - c.until; d < -time.Microsecond || d > time.Microsecond || deaf != c.deaf {
			t.Errorf("%s: until %v, deaf %v; want %v, %v", name, until-now, deaf, c.until-now, c.deaf)
		}
	}
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
