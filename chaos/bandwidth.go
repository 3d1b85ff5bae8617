package chaos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

// Bandwidth limits the rate of a link, in each direction that it touches: of each connection, of all connections of each
// link together, or of all links together. On a link that another fault limits to less, it cannot be seen.
type Bandwidth struct {
	Link           string `json:"link"`
	BytesPerSecond int64  `json:"bytes_per_second"`
	// Scope is what shares the rate: each connection has its own when left out; "link" or "group".
	Scope Scope `json:"scope,omitempty"`
	// Group names what shares a rate of the scope group; limits on other links with the same name share it too. Left out, it
	// is the link's name: all links that the name stands for.
	Group string `json:"group,omitempty"`
	// Direction is "upstream", "downstream", or both when left out.
	Direction Direction `json:"direction,omitempty"`
	// Share of the connections that are limited; all when left out.
	Share float64 `json:"share,omitempty"`
	Seed  uint64  `json:"seed,omitempty"`
}

var _ Fault = (*Bandwidth)(nil)

// Kind is "bandwidth".
func (*Bandwidth) Kind() string { return "bandwidth" }

func (f *Bandwidth) String() string {
	shared := ""
	switch f.Scope {
	case ScopeLink:
		shared = " shared by a link"
	case ScopeGroup:
		shared = " shared by " + f.group()
	}
	return fmt.Sprintf("bandwidth %d B/s%s %s %s%s", f.BytesPerSecond, shared, f.Direction.where(), arrow(f.Link), of(f.Share))
}

func (f *Bandwidth) group() string {
	if f.Scope == ScopeGroup && f.Group == "" {
		return arrow(f.Link)
	}
	return f.Group
}

// Validate wants a rate above 0; a link without any bandwidth is a Blackhole.
func (f *Bandwidth) Validate() error {
	if err := cmp.Or(checkLinkName(f.Link), f.Direction.validate(), checkShare(f.Share)); err != nil {
		return err
	}
	switch f.Scope {
	case ScopeConnection, ScopeLink, ScopeGroup:
	default:
		return fmt.Errorf("scope %q is unknown; it is link, group, or left out for each connection", f.Scope)
	}
	if f.Group != "" && f.Scope != ScopeGroup {
		return errors.New("a group needs the scope group")
	}
	if f.BytesPerSecond <= 0 {
		return fmt.Errorf("bytes_per_second is %d; it must be above 0 (a blackhole passes nothing)", f.BytesPerSecond)
	}
	return nil
}

// Available wants a link of that name.
func (f *Bandwidth) Available(s Surface) error { return availableOn(s, f, f.Link, anything) }

// Inject proves itself by the rate at which a probe's payload crosses the link.
func (f *Bandwidth) Inject(ctx context.Context, s Surface) (Injection, error) {
	asked := float64(f.BytesPerSecond)
	rivals := 1 // a probe shares the rate with the traffic, and with other probes
	if f.Scope != ScopeConnection {
		rivals = 20
	}
	return injectLinks(ctx, s, linkFault{
		fault: f, link: f.Link, timed: true,
		effect: Effect{
			Direction: f.Direction, BytesPerSecond: f.BytesPerSecond, Scope: f.Scope, Group: f.group(), Share: f.Share, Seed: f.Seed,
		},
		tries: rarely(f.Share),
		// A probe is about 64 bytes and its payload a quarter of a second's worth; a slow link needs time for both.
		giveUp: func(_ Probe, patience time.Duration) time.Duration {
			return patience + time.Duration(float64(rivals)*4*(128/asked+0.25)*float64(time.Second))
		},
		landed: func(link string, without, under Probe) Evidence {
			return Evidence{
				What: "rate of the probe's payload on " + link,
				Want: asked, Got: under.BytesPerSecond, Unit: "B/s",
				Seen: answered(under) && limited(under, 1.2*asked) && answered(without) && !limited(without, 1.2*asked),
			}
		},
		met: func(c Counters) Evidence {
			return counted("chunks of real traffic that waited for bandwidth", f.Link, "chunks", c.Throttled)
		},
	})
}

// limited says whether a probe's payload crossed the link at no more than a rate.
func limited(p Probe, rate float64) bool { return p.BytesPerSecond > 0 && p.BytesPerSecond <= rate }
