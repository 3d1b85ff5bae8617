package proxy

import (
	"sync"
	"time"
)

const (
	// catchUp bounds the burst after a late wake or a blocked write: a limited link makes up for so much lost time, and no
	// more.
	catchUp = 10 * time.Millisecond
	// pieceTime is the grain of a limited link: it sends pieces worth so much time, of leastPiece at least.
	pieceTime  = 5 * time.Millisecond
	leastPiece = 64
)

// A rateClock is the virtual clock of a limit (L. Zhang, "VirtualClock", SIGCOMM '90): the time at which the limited link
// will have sent what it was given. Limits of a link or of a group share one among connections.
type rateClock struct {
	mu   sync.Mutex
	free time.Duration
}

// reserve gives a piece its place behind those that have theirs, and returns when it has been sent.
func (c *rateClock) reserve(from time.Duration, n int, rate int64) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.free = max(c.free, from) + transmission(n, rate)
	return c.free
}

// transmission is the time that n bytes take at a rate in bytes per second.
func transmission(n int, rate int64) time.Duration {
	return time.Duration(float64(n) / float64(rate) * float64(time.Second))
}
