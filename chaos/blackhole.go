package chaos

import (
	"cmp"
	"context"
	"fmt"
	"time"
)

// Blackhole keeps every byte of a link: nothing arrives, and nobody is told. What was kept is delivered when the fault is
// healed, as TCP's retransmissions would. With one direction it is a one-way partition.
type Blackhole struct {
	Link string `json:"link"`
	// Direction is "upstream", "downstream", or both when left out.
	Direction Direction `json:"direction,omitempty"`
	// Share of the connections that are held; all when left out.
	Share float64 `json:"share,omitempty"`
	Seed  uint64  `json:"seed,omitempty"`
}

var _ Fault = (*Blackhole)(nil)

// Kind is "blackhole".
func (*Blackhole) Kind() string { return "blackhole" }

func (f *Blackhole) String() string {
	if f.Direction == Both {
		return "blackhole on " + arrow(f.Link) + of(f.Share)
	}
	return fmt.Sprintf("blackhole %s %s%s", f.Direction.where(), arrow(f.Link), of(f.Share))
}

// Validate wants the name of a link.
func (f *Blackhole) Validate() error {
	return cmp.Or(checkLinkName(f.Link), f.Direction.validate(), checkShare(f.Share))
}

// Available wants a link of that name.
func (f *Blackhole) Available(s Surface) error { return availableOn(s, f, f.Link, anything) }

// Inject proves itself by a probe that is lost on a link that answered before.
func (f *Blackhole) Inject(ctx context.Context, s Surface) (Injection, error) {
	return injectLinks(ctx, s, linkFault{
		fault: f, link: f.Link,
		effect: Effect{Direction: f.Direction, Hold: true, Share: f.Share, Seed: f.Seed},
		tries:  rarely(f.Share),
		giveUp: untilLost,
		landed: func(link string, without, under Probe) Evidence {
			return Evidence{What: "loss of a probe on " + link, Seen: answered(without) && under.Lost}
		},
		met: func(c Counters) Evidence {
			return counted("chunks of real traffic that were held", f.Link, "chunks", c.Held)
		},
	})
}

// untilLost is how long to wait for a probe that should not come back.
func untilLost(before Probe, _ time.Duration) time.Duration {
	return max(200*time.Millisecond, 4*before.RoundTrip.D(), 2*before.Took.D())
}
