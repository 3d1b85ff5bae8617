package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Bandwidth limits the rate of each connection of a link, in each direction that it touches.
type Bandwidth struct {
	Link           string    `json:"link"`
	BytesPerSecond int64     `json:"bytes_per_second"`
	Direction      Direction `json:"direction,omitempty"`
}

var _ Fault = (*Bandwidth)(nil)

// Kind is "bandwidth".
func (*Bandwidth) Kind() string { return "bandwidth" }

func (f *Bandwidth) String() string {
	return fmt.Sprintf("bandwidth %d B/s %s %s", f.BytesPerSecond, f.Direction.where(), arrow(f.Link))
}

// Validate wants a rate above 0; a link without any bandwidth is a Blackhole.
func (f *Bandwidth) Validate() error {
	if err := errors.Join(checkLinkName(f.Link), f.Direction.validate()); err != nil {
		return err
	}
	if f.BytesPerSecond <= 0 {
		return fmt.Errorf("bytes_per_second is %d; it must be above 0 (a blackhole passes nothing)", f.BytesPerSecond)
	}
	return nil
}

// Available wants a link of that name.
func (f *Bandwidth) Available(s Surface) error {
	_, err := linksOf(s, f.Link)
	return err
}

// Inject proves itself by the rate at which a probe's payload crosses the link.
func (f *Bandwidth) Inject(ctx context.Context, s Surface) (Injection, error) {
	asked := float64(f.BytesPerSecond)
	return injectLinks(ctx, s, linkFault{
		fault: f, link: f.Link,
		effect: Effect{Direction: f.Direction, BytesPerSecond: f.BytesPerSecond},
		// A probe is about 64 bytes and its payload a quarter of a second's worth; a slow link needs time for both.
		giveUp: func(Probe) time.Duration {
			return patience + time.Duration(4*(128/asked+0.25)*float64(time.Second))
		},
		landed: func(link string, _, now Probe) Evidence {
			return Evidence{
				What: "rate of the probe's payload on " + link,
				Want: asked, Got: now.BytesPerSecond, Unit: "B/s",
				Seen: answered(now) && now.BytesPerSecond > 0 && now.BytesPerSecond <= 1.2*asked,
			}
		},
		// An unlimited link carries the payload at once; a link that was already slower stays as it was.
		gone: func(during, now Probe) bool {
			return answered(now) && (now.BytesPerSecond > 1.2*asked || during.BytesPerSecond < 0.5*asked)
		},
		met: func(c Counters) Evidence {
			return Evidence{
				What: "chunks of real traffic that waited for bandwidth on " + arrow(f.Link),
				Got:  float64(c.Throttled), Want: 1, Unit: "chunks", Seen: c.Throttled > 0,
			}
		},
	})
}
