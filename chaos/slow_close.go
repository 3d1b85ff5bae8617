package chaos

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"shakedown/internal/units"
)

// SlowClose keeps the end of a stream back: the other side learns late that no more will come.
type SlowClose struct {
	Link string `json:"link"`
	// Delay is how much later the end of a stream arrives.
	Delay units.Duration `json:"delay"`
	// Direction is "upstream", "downstream", or both when left out.
	Direction Direction `json:"direction,omitempty"`
	// Share of the connections that end late; all when left out.
	Share float64 `json:"share,omitempty"`
	Seed  uint64  `json:"seed,omitempty"`
}

var _ Fault = (*SlowClose)(nil)

// Kind is "slow_close".
func (*SlowClose) Kind() string { return "slow_close" }

func (f *SlowClose) String() string {
	return fmt.Sprintf("slow close by %s %s", f.Delay, on(f.Link, f.Direction, f.Share))
}

// Validate wants a delay.
func (f *SlowClose) Validate() error {
	if err := cmp.Or(checkLinkName(f.Link), f.Direction.validate(), checkShare(f.Share)); err != nil {
		return err
	}
	if f.Delay <= 0 {
		return fmt.Errorf("delay is %s; it must be above 0", f.Delay)
	}
	return nil
}

// Available wants a link of that name that carries connections.
func (f *SlowClose) Available(s Surface) error { return availableOn(s, f, f.Link, streams) }

// Inject proves itself by the time from the end of a probe's stream to the end of its answer.
func (f *SlowClose) Inject(ctx context.Context, s Surface) (Injection, error) {
	asked := float64(f.Direction.ways()) * float64(f.Delay)
	return injectLinks(ctx, s, linkFault{
		fault: f, link: f.Link, timed: true,
		effect: Effect{Direction: f.Direction, SlowClose: f.Delay, Share: f.Share, Seed: f.Seed},
		tries:  rarely(f.Share),
		giveUp: func(_ Probe, patience time.Duration) time.Duration { return patience + 4*f.Delay.D() },
		landed: func(link string, without, under Probe) Evidence {
			grown := float64(under.End - without.End)
			return Evidence{
				What: "growth of the time that a probe took to end on " + link,
				Want: millis(asked), Got: millis(grown), Unit: "ms",
				Seen: answered(without) && answered(under) && grown >= 0.8*asked,
			}
		},
		met: func(c Counters) Evidence {
			return counted("ends of real streams that were kept back", f.Link, "ends", c.SlowCloses)
		},
	})
}
