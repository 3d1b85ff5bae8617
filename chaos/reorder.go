package chaos

import (
	"cmp"
	"context"
	"fmt"
)

// Reorder lets datagrams of a UDP link arrive after later ones.
type Reorder struct {
	Link string `json:"link"`
	// Rate is the share of datagrams that are reordered: 0.01 is 1 %.
	Rate float64 `json:"rate"`
	// Direction is "upstream", "downstream", or both when left out.
	Direction Direction `json:"direction,omitempty"`
	// Share of the flows that are touched; all when left out.
	Share float64 `json:"share,omitempty"`
	Seed  uint64  `json:"seed,omitempty"`
}

var _ Fault = (*Reorder)(nil)

// Kind is "reorder".
func (*Reorder) Kind() string { return "reorder" }

func (f *Reorder) String() string {
	return fmt.Sprintf("reorder %s of datagrams %s", percent(f.Rate), on(f.Link, f.Direction, f.Share))
}

// Validate wants a rate.
func (f *Reorder) Validate() error {
	return cmp.Or(checkLinkName(f.Link), f.Direction.validate(), checkRate(f.Rate, 1), checkShare(f.Share))
}

// Available wants a link of that name that carries datagrams.
func (f *Reorder) Available(s Surface) error { return availableOn(s, f, f.Link, datagramsOnly) }

// Inject proves itself by a probe of which some datagrams come back after later ones.
func (f *Reorder) Inject(ctx context.Context, s Surface) (Injection, error) {
	return injectLinks(ctx, s, linkFault{
		fault: f, link: f.Link,
		effect: Effect{Direction: f.Direction, Reorder: f.Rate, Share: f.Share, Seed: f.Seed},
		tries:  rarely(among(100, f.Rate) * whole(f.Share)), // of the 200 datagrams of a probe
		giveUp: untilQuiet,
		landed: func(link string, without, under Probe) Evidence {
			return datagrams("reordered", link, without.Sent > 0 && without.Reordered == 0, under.Reordered, under.Sent, f.Rate, f.Direction)
		},
		met: func(c Counters) Evidence {
			return counted("datagrams of real traffic that were reordered", f.Link, "datagrams", c.Reordered)
		},
	})
}
