package chaos

import (
	"cmp"
	"context"
)

// HalfOpen forgets connections, as a crashed host or a firewall that lost its state does: the server's side is gone, and
// the client, whose bytes go nowhere, is told nothing. Healing lets new connections through; those that were forgotten are
// answered with a RST when they next send, as by a host that is back and knows nothing of them.
type HalfOpen struct {
	Link string `json:"link"`
	// Share of the connections that are forgotten; all when left out.
	Share float64 `json:"share,omitempty"`
	Seed  uint64  `json:"seed,omitempty"`
}

var _ Fault = (*HalfOpen)(nil)

// Kind is "half_open".
func (*HalfOpen) Kind() string { return "half_open" }

func (f *HalfOpen) String() string { return "half-open on " + arrow(f.Link) + of(f.Share) }

// Validate wants the name of a link.
func (f *HalfOpen) Validate() error { return cmp.Or(checkLinkName(f.Link), checkShare(f.Share)) }

// Available wants a link of that name that carries connections.
func (f *HalfOpen) Available(s Surface) error { return availableOn(s, f, f.Link, streams) }

// Inject proves itself by a probe that is lost on a link that answered before.
func (f *HalfOpen) Inject(ctx context.Context, s Surface) (Injection, error) {
	return injectLinks(ctx, s, linkFault{
		fault: f, link: f.Link,
		effect: Effect{HalfOpen: true, Share: f.Share, Seed: f.Seed},
		tries:  rarely(f.Share),
		giveUp: untilLost,
		landed: func(link string, without, under Probe) Evidence {
			return Evidence{What: "loss of a probe on " + link, Seen: answered(without) && under.Lost}
		},
		met: func(c Counters) Evidence {
			return counted("connections of real traffic that were forgotten", f.Link, "connections", c.HalfOpened)
		},
	})
}
