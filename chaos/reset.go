package chaos

import (
	"context"
	"time"
)

// Reset ends every live connection of a link with a TCP RST, and every new one, until it is healed.
type Reset struct {
	Link string `json:"link"`
}

var _ Fault = (*Reset)(nil)

// Kind is "reset".
func (*Reset) Kind() string { return "reset" }

func (f *Reset) String() string { return "reset on " + arrow(f.Link) }

// Validate wants the name of a link.
func (f *Reset) Validate() error { return checkLinkName(f.Link) }

// Available wants a link of that name.
func (f *Reset) Available(s Surface) error {
	_, err := linksOf(s, f.Link)
	return err
}

// Inject proves itself by a probe whose connection is reset.
func (f *Reset) Inject(ctx context.Context, s Surface) (Injection, error) {
	return injectLinks(ctx, s, linkFault{
		fault: f, link: f.Link,
		effect: Effect{Reset: true},
		giveUp: func(Probe) time.Duration { return patience },
		landed: func(link string, before, now Probe) Evidence {
			return Evidence{What: "reset of a probe on " + link, Seen: answered(before) && now.Reset}
		},
		gone: func(_, now Probe) bool { return answered(now) },
		met: func(c Counters) Evidence {
			return Evidence{
				What: "connections of real traffic that were reset on " + arrow(f.Link),
				Got:  float64(c.Resets), Want: 1, Unit: "connections", Seen: c.Resets > 0,
			}
		},
	})
}
