package proxy

import (
	"sync/atomic"
	"time"

	"shakedown/chaos"
)

// stats are the counters of a link. They move while a connection lives.
type stats struct {
	connections, open, dialFailures        atomic.Int64
	resets, closes, limited, halfOpened    atomic.Int64
	received, delivered                    [2]atomic.Int64 // bytes by direction
	delayed, delayedMicros, lost           atomic.Int64
	held, throttled, sliced                atomic.Int64
	connectDelays, slowCloses, corrupted   atomic.Int64
	datagrams, dropped, doubled, overtaken atomic.Int64
	asked, achieved                        *distribution // nil where nobody will ask
}

// A distribution is a chaos.Histogram that loops add to while others read it.
type distribution [chaos.Buckets]atomic.Int64

func (d *distribution) histogram() chaos.Histogram {
	if d == nil {
		return nil
	}
	var h chaos.Histogram
	for i := range d {
		if n := d[i].Load(); n > 0 {
			if h == nil {
				h = chaos.Histogram{}
			}
			h[i] = n
		}
	}
	return h
}

// delay counts a chunk that was to be delayed, and was.
func (s *stats) delay(asked, achieved time.Duration) {
	s.delayed.Add(1)
	s.delayedMicros.Add(achieved.Microseconds())
	if s.asked != nil {
		s.asked[chaos.Bucket(asked)].Add(1)
		s.achieved[chaos.Bucket(achieved)].Add(1)
	}
}

func (s *stats) counters() chaos.Counters {
	return chaos.Counters{
		Connections: s.connections.Load(), Open: s.open.Load(), DialFailures: s.dialFailures.Load(),
		ReceivedUp: s.received[up].Load(), ReceivedDown: s.received[down].Load(),
		BytesUp: s.delivered[up].Load(), BytesDown: s.delivered[down].Load(),
		Delayed: s.delayed.Load(), DelayedMicros: s.delayedMicros.Load(), Delays: s.achieved.histogram(), Asked: s.asked.histogram(),
		Lost: s.lost.Load(), Held: s.held.Load(), Throttled: s.throttled.Load(), Sliced: s.sliced.Load(),
		Resets: s.resets.Load(), Closes: s.closes.Load(), Limited: s.limited.Load(), HalfOpened: s.halfOpened.Load(),
		ConnectDelays: s.connectDelays.Load(), SlowCloses: s.slowCloses.Load(), Corrupted: s.corrupted.Load(),
		Datagrams: s.datagrams.Load(), Dropped: s.dropped.Load(), Duplicated: s.doubled.Load(), Reordered: s.overtaken.Load(),
	}
}
