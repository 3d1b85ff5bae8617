package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"

	"shakedown/internal/units"
)

// Latency adds a delay to every byte of a link, in each direction that it touches: with Direction left
// out, a round trip grows by twice the delay. Jitter spreads the delay of each chunk uniformly over
// Delay ± Jitter; the spread replays from Seed.
type Latency struct {
	Link      string         `json:"link"`
	Delay     units.Duration `json:"delay"`
	Jitter    units.Duration `json:"jitter,omitempty"`
	Direction Direction      `json:"direction,omitempty"`
	Seed      uint64         `json:"seed,omitempty"`
}

var _ Fault = (*Latency)(nil)

// Kind is "latency".
func (*Latency) Kind() string { return "latency" }

func (f *Latency) String() string {
	if f.Jitter > 0 {
		return fmt.Sprintf("latency %s±%s %s %s", f.Delay, f.Jitter, f.Direction.where(), arrow(f.Link))
	}
	return fmt.Sprintf("latency %s %s %s", f.Delay, f.Direction.where(), arrow(f.Link))
}

// Validate wants a delay, and a jitter below it: a delay that may be nothing cannot be proven.
func (f *Latency) Validate() error {
	if err := errors.Join(checkLinkName(f.Link), f.Direction.validate()); err != nil {
		return err
	}
	if f.Delay <= 0 {
		return fmt.Errorf("delay is %s; it must be above 0", f.Delay)
	}
	if f.Jitter < 0 || f.Jitter >= f.Delay {
		return fmt.Errorf("jitter is %s; it must be at least 0 and below the delay of %s", f.Jitter, f.Delay)
	}
	return nil
}

// Available wants a link of that name.
func (f *Latency) Available(s Surface) error {
	_, err := linksOf(s, f.Link)
	return err
}

// Inject proves itself by the growth of a probe's round trip.
func (f *Latency) Inject(ctx context.Context, s Surface) (Injection, error) {
	least := float64(f.Delay - f.Jitter) // the least delay of one chunk, in one direction
	ways := f.Direction.ways()
	return injectLinks(ctx, s, linkFault{
		fault: f, link: f.Link,
		effect: Effect{Direction: f.Direction, Delay: f.Delay, Jitter: f.Jitter, Seed: f.Seed},
		giveUp: func(Probe) time.Duration { return patience + 4*(f.Delay+f.Jitter).D() },
		landed: func(link string, before, now Probe) Evidence {
			grown := float64(now.RoundTrip - before.RoundTrip)
			return Evidence{
				What: "growth of the probe's round trip on " + link,
				Want: millis(float64(ways) * float64(f.Delay)), Got: millis(grown), Unit: "ms",
				// Only the lower bound is the fault's: a busy machine adds to both probes, not always alike.
				Seen: answered(before) && answered(now) && grown >= 0.8*float64(ways)*least,
			}
		},
		gone: func(during, now Probe) bool {
			return answered(now) && float64(during.RoundTrip-now.RoundTrip) >= 0.5*float64(ways)*least
		},
		met: func(c Counters) Evidence {
			mean := float64(c.DelayedMicros) * 1e3 / float64(max(c.Delayed, 1))
			return Evidence{
				What: fmt.Sprintf("mean delay of %d chunks of real traffic on %s", c.Delayed, arrow(f.Link)),
				Want: millis(float64(f.Delay)), Got: millis(mean), Unit: "ms",
				Seen: c.Delayed > 0 && mean >= 0.9*least,
			}
		},
	})
}

func millis(ns float64) float64 { return ns / 1e6 }
