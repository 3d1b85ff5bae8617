package chaos

import (
	"cmp"
	"context"

	"shakedown/internal/units"
)

// Reset ends every live connection of a link with a TCP RST, and every new one, until it is healed. To a unix socket a
// reset is a close, because such a socket knows no RST.
type Reset struct {
	Link string `json:"link"`
	// After is how long a connection may still live, from when it was made or the fault came into force, whichever is later;
	// left out, it ends at once.
	After units.Duration `json:"after,omitempty"`
	// Share of the connections that end; all when left out.
	Share float64 `json:"share,omitempty"`
	Seed  uint64  `json:"seed,omitempty"`
}

var _ Fault = (*Reset)(nil)

// Kind is "reset".
func (*Reset) Kind() string { return "reset" }

func (f *Reset) String() string {
	return "reset" + after(f.After) + " on " + arrow(f.Link) + of(f.Share)
}

// Validate wants the name of a link.
func (f *Reset) Validate() error {
	return cmp.Or(checkLinkName(f.Link), checkAfter(f.After), checkShare(f.Share))
}

// Available wants a link of that name that carries connections.
func (f *Reset) Available(s Surface) error { return availableOn(s, f, f.Link, streams) }

// Inject proves itself by a probe whose connection is reset, and no sooner than asked.
func (f *Reset) Inject(ctx context.Context, s Surface) (Injection, error) {
	return injectEnding(ctx, s, ending{
		fault: f, link: f.Link, effect: Effect{Reset: true, After: f.After, Share: f.Share, Seed: f.Seed}, how: "reset",
		did: func(p Probe) bool { return p.Reset }, count: func(c Counters) int64 { return c.Resets },
	})
}
