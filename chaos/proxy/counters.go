package proxy

import (
	"sync/atomic"

	"shakedown/chaos"
)

// stats are the counters of a link. They move while a connection lives.
type stats struct {
	connections, open, resets, dialFailures atomic.Int64
	delivered                               [2]atomic.Int64 // bytes by direction
	delayed, delayedMicros                  atomic.Int64
	held, throttled                         atomic.Int64
}

func (s *stats) counters() chaos.Counters {
	return chaos.Counters{
		Connections: s.connections.Load(), Open: s.open.Load(),
		Resets: s.resets.Load(), DialFailures: s.dialFailures.Load(),
		BytesUp: s.delivered[up].Load(), BytesDown: s.delivered[down].Load(),
		Delayed: s.delayed.Load(), DelayedMicros: s.delayedMicros.Load(),
		Held: s.held.Load(), Throttled: s.throttled.Load(),
	}
}
