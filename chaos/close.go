package chaos

import (
	"cmp"
	"context"

	"shakedown/internal/units"
)

// Close ends every live connection of a link in order, with a FIN, and every new one, until it is healed: as a server does
// that restarts gracefully, or a balancer that closes what is idle.
type Close struct {
	Link string `json:"link"`
	// After is how long a connection may still live, from when it was made or the fault came into force, whichever is later;
	// left out, it ends at once.
	After units.Duration `json:"after,omitempty"`
	// Share of the connections that end; all when left out.
	Share float64 `json:"share,omitempty"`
	Seed  uint64  `json:"seed,omitempty"`
}

var _ Fault = (*Close)(nil)

// Kind is "close".
func (*Close) Kind() string { return "close" }

func (f *Close) String() string {
	return "close" + after(f.After) + " on " + arrow(f.Link) + of(f.Share)
}

// Validate wants the name of a link.
func (f *Close) Validate() error {
	return cmp.Or(checkLinkName(f.Link), checkAfter(f.After), checkShare(f.Share))
}

// Available wants a link of that name that carries connections.
func (f *Close) Available(s Surface) error { return availableOn(s, f, f.Link, streams) }

// Inject proves itself by a probe whose connection is closed, and no sooner than asked.
func (f *Close) Inject(ctx context.Context, s Surface) (Injection, error) {
	return injectEnding(ctx, s, ending{
		fault: f, link: f.Link, effect: Effect{Close: true, After: f.After, Share: f.Share, Seed: f.Seed}, how: "close",
		did: func(p Probe) bool { return p.Closed }, count: func(c Counters) int64 { return c.Closes },
	})
}
