package server

import (
	"math"
	"time"

	"shakedown/bench/load/loadbench/queueing"
)

// A Behaviour says when requests are answered. It is asked in the order in which they were read.
type Behaviour interface {
	// Answer is when the request that was read at a time is to be answered; false means never. Times are offsets from the server's start.
	Answer(read time.Duration) (at time.Duration, ok bool)
}

// Freeze answers at once, but nothing for a time out of every period; what it was asked meanwhile it answers then. It reads on, so that the
// answers leave as fast as they can be written, and the last of them waits hardly longer than it should.
type Freeze struct{ Every, For time.Duration }

// Answer is at once, or at the end of the freeze.
func (f Freeze) Answer(read time.Duration) (time.Duration, bool) {
	return max(read, f.Frozen(read)), true
}

// golden is the fraction whose multiples are spread most evenly over an interval (D. Knuth, The Art of Computer Programming 3, §6.4).
const golden = 0.6180339887498949

// Frozen is the end of the freeze that a time falls into. Freeze n begins n periods and a part of a millisecond after the start, each time
// another: arrivals that are a millisecond apart would otherwise meet every freeze at the same points.
func (f Freeze) Frozen(now time.Duration) time.Duration {
	n := float64(now / f.Every)
	_, part := math.Modf(n * golden)
	begin := now/f.Every*f.Every + time.Duration(part*float64(time.Millisecond))
	if now >= begin && now < begin+f.For {
		return begin + f.For
	}
	return 0
}

// Wait is what a share p of requests that are due at random times do not wait longer than: P(wait > x) = (For − x) ÷ Every.
func (f Freeze) Wait(p float64) time.Duration {
	return max(0, f.For-time.Duration((1-p)*float64(f.Every)))
}

// Queue answers as a queue does.
type Queue struct{ Station *queueing.Station }

// Answer is when the request leaves the queue that it came to when it was read.
func (q Queue) Answer(read time.Duration) (time.Duration, bool) {
	return time.Duration(q.Station.Leave(read.Seconds()) * float64(time.Second)), true
}

// Silent reads and never answers.
type Silent struct{}

// Answer is never.
func (Silent) Answer(time.Duration) (time.Duration, bool) { return 0, false }

var (
	_ Behaviour = Freeze{}
	_ Behaviour = Queue{}
	_ Behaviour = Silent{}
)
