package chaos

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"time"
)

// Drop loses datagrams of a UDP link. A stream loses nothing: see Loss.
type Drop struct {
	Link string `json:"link"`
	// Rate is the share of datagrams that are lost: 0.01 is 1 %.
	Rate float64 `json:"rate"`
	// Direction is "upstream", "downstream", or both when left out.
	Direction Direction `json:"direction,omitempty"`
	// Share of the flows that are touched; all when left out.
	Share float64 `json:"share,omitempty"`
	Seed  uint64  `json:"seed,omitempty"`
}

var _ Fault = (*Drop)(nil)

// Kind is "drop".
func (*Drop) Kind() string { return "drop" }

func (f *Drop) String() string {
	return fmt.Sprintf("drop %s of datagrams %s", percent(f.Rate), on(f.Link, f.Direction, f.Share))
}

// Validate wants a rate.
func (f *Drop) Validate() error {
	return cmp.Or(checkLinkName(f.Link), f.Direction.validate(), checkRate(f.Rate, 1), checkShare(f.Share))
}

// Available wants a link of that name that carries datagrams.
func (f *Drop) Available(s Surface) error { return availableOn(s, f, f.Link, datagramsOnly) }

// Inject proves itself by a probe of which some datagrams do not come back.
func (f *Drop) Inject(ctx context.Context, s Surface) (Injection, error) {
	return injectLinks(ctx, s, linkFault{
		fault: f, link: f.Link,
		effect: Effect{Direction: f.Direction, Drop: f.Rate, Share: f.Share, Seed: f.Seed},
		tries:  rarely(among(100, f.Rate) * whole(f.Share)), // of the 200 datagrams of a probe
		giveUp: untilQuiet,
		landed: func(link string, without, under Probe) Evidence {
			return datagrams("lost", link, without.Sent > 0 && without.Sent-without.Got == 0, under.Sent-under.Got, under.Sent, f.Rate, f.Direction)
		},
		met: func(c Counters) Evidence {
			return counted("datagrams of real traffic that were lost", f.Link, "datagrams", c.Dropped)
		},
	})
}

// untilQuiet is how long to wait for a probe's datagrams, each of which may be lost.
func untilQuiet(before Probe, patience time.Duration) time.Duration {
	return min(patience, 2*time.Second) + 4*before.RoundTrip.D()
}

// among is the probability that something which happens at a rate happens at least once in so many times.
func among(times int, rate float64) float64 { return 1 - math.Pow(1-rate, float64(times)) }

// datagrams is the evidence of what became of a probe's datagrams on their way there and back, where nothing did before.
func datagrams(what, link string, clean bool, n, sent int64, rate float64, d Direction) Evidence {
	asked := among(d.ways(), rate)
	return Evidence{
		What: "share of a probe's datagrams that were " + what + " on " + link,
		Want: asked, Got: float64(n) / float64(max(sent, 1)), Seen: clean && n > 0, Unit: "of 1",
	}
}
