package chaos

import (
	"cmp"
	"context"
	"fmt"
	"time"
)

// maxLimit bounds LimitBytes.Bytes: a probe has to send as many.
const maxLimit = 256 << 20

// LimitBytes closes a connection once so many bytes have passed on it, since it was made, in one of the directions.
type LimitBytes struct {
	Link  string `json:"link"`
	Bytes int64  `json:"bytes"`
	// Direction is that in which bytes count, "upstream" or "downstream"; in each for itself when left out.
	Direction Direction `json:"direction,omitempty"`
	// Share of the connections that are limited; all when left out.
	Share float64 `json:"share,omitempty"`
	Seed  uint64  `json:"seed,omitempty"`
}

var _ Fault = (*LimitBytes)(nil)

// Kind is "limit_bytes".
func (*LimitBytes) Kind() string { return "limit_bytes" }

func (f *LimitBytes) String() string {
	return fmt.Sprintf("close after %d bytes %s", f.Bytes, on(f.Link, f.Direction, f.Share))
}

// Validate wants a limit.
func (f *LimitBytes) Validate() error {
	if err := cmp.Or(checkLinkName(f.Link), f.Direction.validate(), checkShare(f.Share)); err != nil {
		return err
	}
	if f.Bytes <= 0 || f.Bytes > maxLimit {
		return fmt.Errorf("bytes is %d; it must be from 1 to %d, because a probe has to send as many", f.Bytes, maxLimit)
	}
	return nil
}

// Available wants a link of that name that carries connections.
func (f *LimitBytes) Available(s Surface) error { return availableOn(s, f, f.Link, streams) }

// Inject proves itself by a probe that is closed when no more than so many bytes have come back.
func (f *LimitBytes) Inject(ctx context.Context, s Surface) (Injection, error) {
	return injectLinks(ctx, s, linkFault{
		fault: f, link: f.Link,
		effect: Effect{Direction: f.Direction, LimitBytes: f.Bytes, Share: f.Share, Seed: f.Seed},
		tries:  rarely(f.Share),
		giveUp: func(_ Probe, patience time.Duration) time.Duration { return 2 * patience },
		landed: func(link string, without, under Probe) Evidence {
			return Evidence{
				What: "bytes that came back until a probe was closed on " + link,
				Want: float64(f.Bytes), Got: float64(under.Bytes), Unit: "bytes",
				Seen: answered(without) && under.Closed && under.Bytes <= f.Bytes,
			}
		},
		met: func(c Counters) Evidence {
			return counted("connections of real traffic that were closed at the limit", f.Link, "connections", c.Limited)
		},
	})
}
