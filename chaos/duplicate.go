package chaos

import (
	"cmp"
	"context"
	"fmt"
)

// Duplicate delivers datagrams of a UDP link twice.
type Duplicate struct {
	Link string `json:"link"`
	// Rate is the share of datagrams that are doubled: 0.01 is 1 %.
	Rate float64 `json:"rate"`
	// Direction is "upstream", "downstream", or both when left out.
	Direction Direction `json:"direction,omitempty"`
	// Share of the flows that are touched; all when left out.
	Share float64 `json:"share,omitempty"`
	Seed  uint64  `json:"seed,omitempty"`
}

var _ Fault = (*Duplicate)(nil)

// Kind is "duplicate".
func (*Duplicate) Kind() string { return "duplicate" }

func (f *Duplicate) String() string {
	return fmt.Sprintf("duplicate %s of datagrams %s", percent(f.Rate), on(f.Link, f.Direction, f.Share))
}

// Validate wants a rate.
func (f *Duplicate) Validate() error {
	return cmp.Or(checkLinkName(f.Link), f.Direction.validate(), checkRate(f.Rate, 1), checkShare(f.Share))
}

// Available wants a link of that name that carries datagrams.
func (f *Duplicate) Available(s Surface) error { return availableOn(s, f, f.Link, datagramsOnly) }

// Inject proves itself by a probe of which some datagrams come back more than once.
func (f *Duplicate) Inject(ctx context.Context, s Surface) (Injection, error) {
	return injectLinks(ctx, s, linkFault{
		fault: f, link: f.Link,
		effect: Effect{Direction: f.Direction, Duplicate: f.Rate, Share: f.Share, Seed: f.Seed},
		tries:  rarely(among(100, f.Rate) * whole(f.Share)), // of the 200 datagrams of a probe
		giveUp: untilQuiet,
		landed: func(link string, without, under Probe) Evidence {
			return datagrams("doubled", link, without.Sent > 0 && without.Doubled == 0, under.Doubled, under.Sent, f.Rate, f.Direction)
		},
		met: func(c Counters) Evidence {
			return counted("datagrams of real traffic that were doubled", f.Link, "datagrams", c.Duplicated)
		},
	})
}
