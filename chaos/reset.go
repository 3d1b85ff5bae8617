package chaos

import (
	"cmp"
	"context"
	"fmt"
	"time"

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
	return injectLinks(ctx, s, linkFault{
		fault: f, link: f.Link,
		effect: Effect{Reset: true, After: f.After, Share: f.Share, Seed: f.Seed},
		tries:  rarely(f.Share),
		giveUp: func(_ Probe, patience time.Duration) time.Duration { return patience + f.After.D() },
		landed: func(link string, without, under Probe) Evidence {
			return ended("reset of a probe on "+link, f.After, under, answered(without) && under.Reset)
		},
		met: func(c Counters) Evidence {
			return counted("connections of real traffic that were reset", f.Link, "connections", c.Resets)
		},
	})
}

// after says when connections end, where that is not at once.
func after(d units.Duration) string {
	if d == 0 {
		return ""
	}
	return " after " + d.String()
}

func checkAfter(d units.Duration) error {
	if d < 0 {
		return fmt.Errorf("after is %s; it must not be negative", d)
	}
	return nil
}

// ended is the evidence of a probe's connection that ended, and no sooner than asked.
func ended(what string, after units.Duration, p Probe, did bool) Evidence {
	if after == 0 {
		return Evidence{What: what, Seen: did}
	}
	return Evidence{
		What: what + " and how long it lived", Want: millis(float64(after)), Got: millis(float64(p.Lived)), Unit: "ms",
		Seen: did && float64(p.Lived) >= 0.9*float64(after),
	}
}
