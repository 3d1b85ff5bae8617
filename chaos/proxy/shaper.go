package proxy

import (
	"math"
	"time"
)

const (
	never = time.Duration(math.MaxInt64)
	// catchUp bounds the burst after a late wake or a blocked write: a limited link makes up for so much lost
	// time, and no more.
	catchUp = 10 * time.Millisecond
	// pieceTime is the grain of a limited link: it sends pieces worth so much time, of leastPiece at least.
	pieceTime  = 5 * time.Millisecond
	leastPiece = 64
)

// A shaper decides when the bytes of one direction of one connection may go. It keeps the virtual clock of the
// bandwidth limit (the finish time of L. Zhang, "VirtualClock", SIGCOMM '90) and nothing else, so that a changed
// plan applies to waiting chunks at once: their times are computed when asked for, never stored.
type shaper struct {
	key  uint64        // names the stream, for its jitter
	free time.Duration // when the limited link has sent the last piece it was given
}

// next says how many bytes of the chunk at the head of the queue may be written, and when. The head goes first
// whatever its lag, so nothing is reordered; its lag counts from its arrival, so a delay never caps the bandwidth.
func (s *shaper) next(l *lane, c *chunk) (n int, at time.Duration) {
	n = len(c.data)
	if l.hold {
		return n, never
	}
	at = c.arrived + l.lag(s.key, c.seq)
	if l.rate > 0 && n > 0 {
		n = min(n, max(leastPiece, int(l.rate/int64(time.Second/pieceTime))))
		at = max(at, s.free) + transmission(n, l.rate)
	}
	return n, at
}

// sent records that a piece due at at was written by now.
func (s *shaper) sent(at, now time.Duration) { s.free = max(at, now-catchUp) }

// transmission is the time that n bytes take at a rate in bytes per second.
func transmission(n int, rate int64) time.Duration {
	return time.Duration(float64(n) / float64(rate) * float64(time.Second))
}
