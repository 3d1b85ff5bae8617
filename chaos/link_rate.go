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

// The bounds of a rate: a packet a second or so, and what the kernel's interface for it takes without further attributes.
const (
	leastRate = 2_000
	mostRate  = 4_000_000_000
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
	case f.BytesPerSecond < leastRate || f.BytesPerSecond > mostRate:
		return fmt.Errorf("bytes_per_second: must be %d to %d, got %d", leastRate, int64(mostRate), f.BytesPerSecond)
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
	pairs  []pair // each limited host, and one that it sends to
	free   []float64
	waited []int64 // packets, when the effect had landed
}

const (
	// pourTime is about how long a payload takes at the limit.
	pourTime = 300 * time.Millisecond
	leastPay = 32 << 10
	mostPay  = 32 << 20
	// tooFast is what is no longer the limit: a bucket is full at first, and lets a thirtieth of the payload through at once.
	tooFast = 1.1
	// pourLimit bounds one payload: at the smallest rate it takes a quarter of a minute.
	pourLimit = time.Minute
)

// pour measures the rate from each limited host to another and back.
func (t *throttling) pour(ctx context.Context) ([]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, pourLimit)
	defer cancel()
	bytes := min(max(int64(float64(t.BytesPerSecond)*pourTime.Seconds()), leastPay), mostPay)
	var rates []float64
	for _, p := range t.pairs {
		r, err := p.from.Pour(ctx, p.to, bytes)
		if err != nil {
			return nil, err
		}
		rates = append(rates, r)
	}
	return rates, nil
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
	rates, err := t.pour(ctx)
	if err != nil {
		return Evidence{}, err
	}
	var seen []Evidence
	for i, p := range t.pairs {
		e := Evidence{What: "rate of a payload from " + p.from.Name(), Want: float64(t.BytesPerSecond), Got: rates[i], Unit: "B/s"}
		if e.Seen = rates[i] <= tooFast*e.Want && t.free[i] > tooFast*e.Want; !e.Seen {
			e.What += fmt.Sprintf(", which was %.4g before", t.free[i])
		}
		seen = append(seen, e)
		if t.waited[i], err = p.from.Limited(ctx); err != nil {
			return Evidence{}, err
		}
	}
	return worst(seen), nil
}

func (t *throttling) met(ctx context.Context, _ string) (Evidence, error) {
	var waited int64
	for i, p := range t.pairs {
		now, err := p.from.Limited(ctx)
		if err != nil {
			return Evidence{}, err
		}
		if now < t.waited[i] { // another limit has replaced the bucket, which counts from 0 then
			t.waited[i] = 0
		}
		waited += now - t.waited[i]
	}
	return Evidence{What: "packets that waited for the rate", Got: float64(waited), Unit: "packets", Seen: waited > 0}, nil
}

func (t *throttling) gone(ctx context.Context) (shows string, err error) {
	rates, err := t.pour(ctx)
	if err != nil {
		return "", err
	}
	for i, p := range t.pairs {
		if rates[i] <= tooFast*float64(t.BytesPerSecond) {
			shows = fmt.Sprintf("%s still sends at %.4g B/s", p.from.Name(), rates[i])
		}
	}
	return shows, nil
}
