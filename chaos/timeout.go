package chaos

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"shakedown/internal/units"
)

// Timeout keeps every byte of a link and ends each connection in order after a while, as a middlebox does that gives up on
// a server that does not answer. What was kept is lost with the connection.
type Timeout struct {
	Link string `json:"link"`
	// After is how long a connection hangs, from when it was made or the fault came into force, whichever is later.
	After units.Duration `json:"after"`
	// Share of the connections that hang; all when left out.
	Share float64 `json:"share,omitempty"`
	Seed  uint64  `json:"seed,omitempty"`
}

var _ Fault = (*Timeout)(nil)

// Kind is "timeout".
func (*Timeout) Kind() string { return "timeout" }

func (f *Timeout) String() string {
	return "timeout" + after(f.After) + " on " + arrow(f.Link) + of(f.Share)
}

// Validate wants a time after which connections end.
func (f *Timeout) Validate() error {
	if err := cmp.Or(checkLinkName(f.Link), checkShare(f.Share)); err != nil {
		return err
	}
	if f.After <= 0 {
		return fmt.Errorf("after is %s; it must be above 0 (close ends connections at once, a blackhole never)", f.After)
	}
	return nil
}

// Available wants a link of that name that carries connections.
func (f *Timeout) Available(s Surface) error { return availableOn(s, f, f.Link, streams) }

// Inject proves itself by a probe that is not answered and whose connection is closed, no sooner than asked.
func (f *Timeout) Inject(ctx context.Context, s Surface) (Injection, error) {
	return injectLinks(ctx, s, linkFault{
		fault: f, link: f.Link,
		effect: Effect{Hold: true, Close: true, After: f.After, Share: f.Share, Seed: f.Seed},
		tries:  rarely(f.Share),
		giveUp: func(_ Probe, patience time.Duration) time.Duration { return patience + f.After.D() },
		landed: func(link string, without, under Probe) Evidence {
			silent := under.RoundTrip == 0 && under.Bytes == 0
			return ended("close of a silent probe on "+link, f.After, under, answered(without) && silent && under.Closed)
		},
		met: func(c Counters) Evidence {
			return counted("connections of real traffic that hung and were closed", f.Link, "connections", c.Closes)
		},
	})
}
