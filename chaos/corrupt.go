package chaos

import (
	"cmp"
	"context"
	"fmt"
	"time"
)

// Corrupt flips bits, as memory and network cards do that TCP's weak checksum lets through: one bit in some of the chunks
// of a stream, or in some datagrams.
type Corrupt struct {
	Link string `json:"link"`
	// Rate is the share of chunks or datagrams in which a bit is flipped: 0.01 is 1 %.
	Rate float64 `json:"rate"`
	// Direction is "upstream", "downstream", or both when left out.
	Direction Direction `json:"direction,omitempty"`
	// Share of the connections that are touched; all when left out.
	Share float64 `json:"share,omitempty"`
	Seed  uint64  `json:"seed,omitempty"`
}

var _ Fault = (*Corrupt)(nil)

// Kind is "corrupt".
func (*Corrupt) Kind() string { return "corrupt" }

func (f *Corrupt) String() string {
	return fmt.Sprintf("corrupt %s %s", percent(f.Rate), on(f.Link, f.Direction, f.Share))
}

// Validate wants a rate.
func (f *Corrupt) Validate() error {
	return cmp.Or(checkLinkName(f.Link), f.Direction.validate(), checkRate(f.Rate, 1), checkShare(f.Share))
}

// Available wants a link of that name.
func (f *Corrupt) Available(s Surface) error { return availableOn(s, f, f.Link, anything) }

// Inject proves itself by a probe of which something came back wrong.
func (f *Corrupt) Inject(ctx context.Context, s Surface) (Injection, error) {
	return injectLinks(ctx, s, linkFault{
		fault: f, link: f.Link,
		effect: Effect{Direction: f.Direction, Corrupt: f.Rate, Share: f.Share, Seed: f.Seed},
		tries:  rarely(among(64, f.Rate) * whole(f.Share)), // of the messages of a probe
		giveUp: func(_ Probe, patience time.Duration) time.Duration { return patience },
		landed: func(link string, without, under Probe) Evidence {
			return Evidence{
				What: "what came back wrong of a probe on " + link, Want: 1, Got: float64(under.Corrupt), Unit: "errors",
				Seen: answered(without) && answered(under) && without.Corrupt == 0 && under.Corrupt > 0,
			}
		},
		met: func(c Counters) Evidence {
			return counted("chunks of real traffic in which a bit was flipped", f.Link, "chunks", c.Corrupted)
		},
	})
}
