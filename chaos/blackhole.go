package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Blackhole keeps every byte of a link: nothing arrives, and nobody is told. What was kept is delivered when
// the fault is healed, as TCP's retransmissions would.
type Blackhole struct {
	Link      string    `json:"link"`
	Direction Direction `json:"direction,omitempty"`
}

var _ Fault = (*Blackhole)(nil)

// Kind is "blackhole".
func (*Blackhole) Kind() string { return "blackhole" }

func (f *Blackhole) String() string {
	if f.Direction == Both {
		return "blackhole on " + arrow(f.Link)
	}
	return fmt.Sprintf("blackhole %s %s", f.Direction.where(), arrow(f.Link))
}

// Validate wants the name of a link.
func (f *Blackhole) Validate() error {
	return errors.Join(checkLinkName(f.Link), f.Direction.validate())
}

// Available wants a link of that name.
func (f *Blackhole) Available(s Surface) error {
	_, err := linksOf(s, f.Link)
	return err
}

// Inject proves itself by a probe that is lost on a link that answered before.
func (f *Blackhole) Inject(ctx context.Context, s Surface) (Injection, error) {
	return injectLinks(ctx, s, linkFault{
		fault: f, link: f.Link,
		effect: Effect{Direction: f.Direction, Hold: true},
		giveUp: func(before Probe) time.Duration {
			return max(200*time.Millisecond, 4*before.RoundTrip.D())
		},
		landed: func(link string, before, now Probe) Evidence {
			return Evidence{What: "loss of a probe on " + link, Seen: answered(before) && now.Lost}
		},
		gone: func(_, now Probe) bool { return answered(now) },
		met: func(c Counters) Evidence {
			return Evidence{
				What: "chunks of real traffic that were held on " + arrow(f.Link),
				Got:  float64(c.Held), Want: 1, Unit: "chunks", Seen: c.Held > 0,
			}
		},
	})
}
