package chaos

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"shakedown/internal/units"
)

// ConnectDelay makes each new connection of a link wait before the server hears of it. The proxy accepts at once, so the
// client sees it as a first answer that is late.
type ConnectDelay struct {
	Link  string         `json:"link"`
	Delay units.Duration `json:"delay"`
	// Share of the connections that wait; all when left out.
	Share float64 `json:"share,omitempty"`
	Seed  uint64  `json:"seed,omitempty"`
}

var _ Fault = (*ConnectDelay)(nil)

// Kind is "connect_delay".
func (*ConnectDelay) Kind() string { return "connect_delay" }

func (f *ConnectDelay) String() string {
	return fmt.Sprintf("connects delayed by %s %s", f.Delay, on(f.Link, Both, f.Share))
}

// Validate wants a delay.
func (f *ConnectDelay) Validate() error {
	if err := cmp.Or(checkLinkName(f.Link), checkShare(f.Share)); err != nil {
		return err
	}
	if f.Delay <= 0 {
		return fmt.Errorf("delay is %s; it must be above 0", f.Delay)
	}
	return nil
}

// Available wants a link of that name that carries connections.
func (f *ConnectDelay) Available(s Surface) error { return availableOn(s, f, f.Link, streams) }

// Inject proves itself by how much later than a second one the first answer to a probe comes.
func (f *ConnectDelay) Inject(ctx context.Context, s Surface) (Injection, error) {
	asked := float64(f.Delay)
	return injectLinks(ctx, s, linkFault{
		fault: f, link: f.Link, timed: true,
		effect: Effect{ConnectDelay: f.Delay, Share: f.Share, Seed: f.Seed},
		tries:  rarely(f.Share),
		giveUp: func(_ Probe, patience time.Duration) time.Duration { return patience + 2*f.Delay.D() },
		landed: func(link string, without, under Probe) Evidence {
			grown := float64(under.First - under.RoundTrip)
			return Evidence{
				What: "how much later the first answer to a probe came than the second on " + link,
				Want: millis(asked), Got: millis(grown), Unit: "ms",
				Seen: answered(without) && answered(under) && grown >= 0.8*asked && under.First > without.First,
			}
		},
		met: func(c Counters) Evidence {
			return counted("connections of real traffic that waited", f.Link, "connections", c.ConnectDelays)
		},
	})
}
