package chaos

import (
	"context"
	"fmt"
	"time"
)

// Refuse makes the kernel refuse new connections of a link, with a RST to the SYN, as when nobody listens. Live ones go on.
type Refuse struct {
	Link string `json:"link"`
}

var _ Fault = (*Refuse)(nil)

// Kind is "refuse".
func (*Refuse) Kind() string { return "refuse" }

func (f *Refuse) String() string { return "refuse connections on " + arrow(f.Link) }

// Validate wants the name of a link.
func (f *Refuse) Validate() error { return checkLinkName(f.Link) }

// Available wants a link of that name that carries connections.
func (f *Refuse) Available(s Surface) error { return availableOn(s, f, f.Link, streams) }

// Inject proves itself by a probe that connects from outside and is refused. The kernel tells nobody whom else it refused, so of real
// traffic there is only that no connection of it came through, which holds also when nobody tried: that somebody did, the errors of the
// clients have to say.
func (f *Refuse) Inject(ctx context.Context, s Surface) (Injection, error) {
	return injectLinks(ctx, s, linkFault{
		fault: f, link: f.Link,
		effect: Effect{Refuse: true}, countLate: true,
		giveUp: func(_ Probe, patience time.Duration) time.Duration { return patience },
		landed: func(link string, without, under Probe) Evidence {
			return Evidence{What: "refusal of a probe's connection on " + link, Seen: answered(without) && under.Refused}
		},
		met: func(c Counters) Evidence {
			return Evidence{
				What: fmt.Sprintf("connections of real traffic that came through on %s while they were refused, if any were tried", arrow(f.Link)),
				Got:  float64(c.Connections), Unit: "connections", Seen: c.Connections == 0,
			}
		},
	})
}
