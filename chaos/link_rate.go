package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// LinkRate limits the rate of a host's cable, for all that passes there together: a token bucket in the kernel (tc-tbf(8)),
// with a queue of 0.2 s behind it, which drops what does not fit.
type LinkRate struct {
	Host           string `json:"host"`
	BytesPerSecond int64  `json:"bytes_per_second"`
	// Direction is Upstream for what leaves the host, Downstream for what arrives, and empty for both, each with the rate.
	Direction Direction `json:"direction,omitempty"`
}

var _ Needer = (*LinkRate)(nil)

// The bounds of a rate: what a payload can show in seconds, and what the kernel's interface for it takes without further attributes.
const (
	leastLinkRate = 10_000
	mostLinkRate  = 4_000_000_000
)

// Kind is "link_rate".
func (*LinkRate) Kind() string { return "link_rate" }

// Needs are network namespaces.
func (*LinkRate) Needs() []Need { return []Need{NeedNetworkNamespaces} }

func (f *LinkRate) String() string {
	return fmt.Sprintf("link rate of %d B/s %s %s", f.BytesPerSecond, f.Direction.where(), f.Host)
}

// Validate wants a host and a rate.
func (f *LinkRate) Validate() error {
	switch {
	case f.Host == "":
		return errors.New("host is missing; write the name of an engine, an instance or a role")
	case f.BytesPerSecond < leastLinkRate || f.BytesPerSecond > mostLinkRate:
		return fmt.Errorf("bytes_per_second: must be %d to %d, got %d", leastLinkRate, int64(mostLinkRate), f.BytesPerSecond)
	}
	return f.Direction.validate()
}

// Available wants a host of that name, and another one that it can send to.
func (f *LinkRate) Available(s Surface) error {
	_, err := f.plan(s)
	return err
}

func (f *LinkRate) plan(s Surface) ([]pair, error) {
	hosts, err := hostsOf(s, f.Host)
	if err != nil {
		return nil, err
	}
	all, err := hostsOf(s, EveryHost)
	if err != nil {
		return nil, err
	}
	var pairs []pair
	for _, h := range hosts {
		for _, other := range all {
			if other.Name() != h.Name() {
				pairs = append(pairs, pair{h, other})
				break
			}
		}
	}
	if len(pairs) == 0 {
		return nil, fmt.Errorf("no other host than %s", f.Host)
	}
	return pairs, nil
}

// Inject proves itself by the rate at which a payload goes to another host and back.
func (f *LinkRate) Inject(ctx context.Context, s Surface) (Injection, error) {
	if err := f.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Kind(), err)
	}
	pairs, err := f.plan(s)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f, err)
	}
	return injectHosts(ctx, f, &throttling{LinkRate: *f, pairs: pairs, waited: make([]int64, len(pairs))})
}

// throttling is a limit of the rate as a fault of hosts.
type throttling struct {
	LinkRate
	pairs  []pair   // each limited host, and one that it sends to
	free   []poured // without the limit
	waited []int64  // packets, when the effect had landed
}

const (
	// pourTime is about how long a payload takes at the limit.
	pourTime = 300 * time.Millisecond
	leastPay = 40 << 10
	mostPay  = 32 << 20
	// tooFast is what is no longer the limit: a bucket is full at first, and lets a twentieth of the payload through at once.
	tooFast = 1.1
	// pourLimit bounds one payload: at the smallest rate it takes four seconds.
	pourLimit = 20 * time.Second
)

// poured is what a payload showed.
type poured struct {
	rate   float64 // in bytes per second; 0 when nothing came through
	hidden bool    // other faults have acted on it
}

// pour measures the rate from each limited host to another and back.
func (t *throttling) pour(ctx context.Context) ([]poured, error) {
	bytes := min(max(int64(float64(t.BytesPerSecond)*pourTime.Seconds()), leastPay), mostPay)
	before, err := others(ctx, t.pairs)
	if err != nil {
		return nil, err
	}
	all := make([]poured, len(t.pairs))
	for i, p := range t.pairs {
		if all[i].rate, err = pour(ctx, p, bytes); err != nil {
			return nil, err
		}
	}
	after, err := others(ctx, t.pairs)
	if err != nil {
		return nil, err
	}
	for i, p := range t.pairs {
		all[i].hidden = after[p].filtered != before[p].filtered || after[p.back()].filtered != before[p.back()].filtered
	}
	return all, nil
}

// pour sends a payload, unless there is no way.
func pour(ctx context.Context, p pair, bytes int64) (float64, error) {
	switch h, err := p.from.Connect(ctx, p.to, openTime); {
	case err != nil:
		return 0, err
	case h != Connected:
		return 0, nil
	}
	within, cancel := context.WithTimeout(ctx, pourLimit)
	defer cancel()
	rate, err := p.from.Pour(within, p.to, bytes)
	if err != nil && within.Err() != nil && ctx.Err() == nil { // lost on the way
		return 0, nil
	}
	return rate, err
}

func (t *throttling) before(ctx context.Context) (err error) {
	t.free, err = t.pour(ctx)
	return err
}

func (t *throttling) apply(ctx context.Context, id string) error {
	for _, p := range t.pairs {
		if err := p.from.Limit(ctx, id, t.Direction, t.BytesPerSecond); err != nil {
			return err
		}
	}
	return nil
}

func (t *throttling) clear(ctx context.Context, id string) error {
	var errs []error
	for _, p := range t.pairs {
		errs = append(errs, p.from.Unlimit(ctx, id))
	}
	return errors.Join(errs...)
}

func (t *throttling) landed(ctx context.Context, _ string) (Evidence, error) {
	now, err := t.pour(ctx)
	if err != nil {
		return Evidence{}, err
	}
	var seen []Evidence
	for i, p := range t.pairs {
		e := Evidence{What: "rate of a payload from " + p.from.Name(), Want: float64(t.BytesPerSecond), Got: now[i].rate, Unit: "B/s"}
		e.Seen = now[i].rate > 0 && now[i].rate <= tooFast*e.Want && t.free[i].rate > tooFast*e.Want
		if !e.Seen {
			e.What += fmt.Sprintf(", which was %.4g before", t.free[i].rate)
		}
		seen = append(seen, e)
		limit, err := p.from.Limited(ctx, t.Direction)
		if err != nil {
			return Evidence{}, err
		}
		t.waited[i] = limit.Waited
	}
	return worst(seen), nil
}

func (t *throttling) met(ctx context.Context, _ string) (Evidence, error) {
	var waited int64
	for i, p := range t.pairs {
		limit, err := p.from.Limited(ctx, t.Direction)
		if err != nil {
			return Evidence{}, err
		}
		if limit.Waited < t.waited[i] { // another limit has replaced the bucket, which counts from 0 then
			t.waited[i] = 0
		}
		waited += limit.Waited - t.waited[i]
	}
	return Evidence{What: "packets that waited for the rate", Want: 1, Got: float64(waited), Unit: "packets", Seen: waited > 0}, nil
}

// gone wants a payload to go faster than the limit, unless it is other faults that act on it: filters, or a limit of another rate.
func (t *throttling) gone(ctx context.Context) (shows string, err error) {
	now, err := t.pour(ctx)
	if err != nil {
		return "", err
	}
	for i, p := range t.pairs {
		limit, err := p.from.Limited(ctx, t.Direction)
		if err != nil {
			return "", err
		}
		other := limit.BytesPerSecond != 0 && limit.BytesPerSecond != t.BytesPerSecond
		faster := now[i].rate > tooFast*float64(t.BytesPerSecond) || t.free[i].rate <= tooFast*float64(t.BytesPerSecond)
		if !faster && !now[i].hidden && !other {
			shows = fmt.Sprintf("%s still sends at %.4g B/s", p.from.Name(), now[i].rate)
		}
	}
	return shows, nil
}
