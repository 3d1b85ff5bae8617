package chaos

import (
	"cmp"
	"context"
	"fmt"
	"time"
)

// retransmission is the least time-out after which TCP sends a lost segment again on Linux (TCP_RTO_MIN).
const retransmission = 200 * time.Millisecond

// Loss is what TCP makes of a path that drops segments: nothing is missing, but a lost segment and what follows it come a
// retransmission time-out later, 200 ms and then twice as long (RFC 6298). For datagrams, which nobody sends again, use Drop.
type Loss struct {
	Link string `json:"link"`
	// Rate is the share of segments that are lost: 0.01 is 1 %.
	Rate float64 `json:"rate"`
	// Direction is "upstream", "downstream", or both when left out.
	Direction Direction `json:"direction,omitempty"`
	// Share of the connections that lose segments; all when left out.
	Share float64 `json:"share,omitempty"`
	Seed  uint64  `json:"seed,omitempty"`
}

var _ Fault = (*Loss)(nil)

// Kind is "loss".
func (*Loss) Kind() string { return "loss" }

func (f *Loss) String() string {
	return fmt.Sprintf("loss of %s of segments %s", percent(f.Rate), on(f.Link, f.Direction, f.Share))
}

// Validate wants a rate at which something can still be said to get through.
func (f *Loss) Validate() error {
	return cmp.Or(checkLinkName(f.Link), f.Direction.validate(), checkRate(f.Rate, 0.5), checkShare(f.Share))
}

// Available wants a link of that name that carries a stream.
func (f *Loss) Available(s Surface) error { return availableOn(s, f, f.Link, streams) }

// Inject proves itself by a probe that took a retransmission time-out longer.
func (f *Loss) Inject(ctx context.Context, s Surface) (Injection, error) {
	return injectLinks(ctx, s, linkFault{
		fault: f, link: f.Link, timed: true,
		effect: Effect{Direction: f.Direction, Loss: f.Rate, Share: f.Share, Seed: f.Seed},
		tries:  rarely(among(40, f.Rate) * whole(f.Share)), // of the 45 segments of a probe's payload
		giveUp: func(_ Probe, patience time.Duration) time.Duration { return patience },
		landed: func(link string, without, under Probe) Evidence {
			grown := float64(under.Took - without.Took)
			return Evidence{
				What: "growth of the time that a probe took on " + link,
				Want: millis(float64(retransmission)), Got: millis(grown), Unit: "ms",
				Seen: answered(without) && (under.Lost || answered(under) && grown >= 0.8*float64(retransmission)),
			}
		},
		met: func(c Counters) Evidence {
			return counted("segments of real traffic that came late as lost ones do", f.Link, "segments", c.Lost)
		},
	})
}

// whole is the share that a left-out one stands for.
func whole(share float64) float64 {
	if share == 0 {
		return 1
	}
	return share
}

// counted is the evidence of a counter that moved.
func counted(what, link, unit string, n int64) Evidence {
	return Evidence{What: what + " on " + arrow(link), Got: float64(n), Want: 1, Unit: unit, Seen: n > 0}
}
