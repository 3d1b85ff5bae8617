package chaos

import (
	"context"
	"errors"
	"fmt"
)

// A pair is one direction between two hosts.
type pair struct{ from, to Host }

func (p pair) back() pair { return pair{p.to, p.from} }

func (p pair) String() string { return p.from.Name() + " → " + p.to.Name() }

// filters is the rule that the packets of each pair meet where they arrive.
type filters struct {
	pairs  []pair
	answer Answer
	share  float64
}

// byArrival are the rules of each host.
func (f filters) byArrival() map[Host][]PacketRule {
	rules := map[Host][]PacketRule{}
	for _, p := range f.pairs {
		rules[p.to] = append(rules[p.to], PacketRule{From: p.from.Name(), Answer: f.answer, Share: f.share})
	}
	return rules
}

func (f filters) apply(ctx context.Context, id string) error {
	for host, rules := range f.byArrival() {
		if err := host.Filter(ctx, id, rules); err != nil {
			return err
		}
	}
	return nil
}

func (f filters) clear(ctx context.Context, id string) error {
	var errs []error
	for host := range f.byArrival() {
		errs = append(errs, host.Unfilter(ctx, id))
	}
	return errors.Join(errs...)
}

// filtered adds the counters of all hosts up.
func (f filters) filtered(ctx context.Context, id string) (sum Filtered, err error) {
	for host := range f.byArrival() {
		met, err := host.Filtered(ctx, id)
		if err != nil {
			return Filtered{}, err
		}
		for _, m := range met {
			sum.Traffic += m.Traffic
			sum.Probes += m.Probes
		}
	}
	return sum, nil
}

// met is what the kernel counted of real traffic.
func (f filters) met(ctx context.Context, id string) (Evidence, error) {
	met, err := f.filtered(ctx, id)
	if err != nil {
		return Evidence{}, err
	}
	return Evidence{What: "packets of real traffic that were dropped", Want: 1, Got: float64(met.Traffic), Unit: "packets", Seen: met.Traffic > 0}, nil
}

// pairsOf are the pairs of hosts with each other, both ways.
func pairsOf(hosts []Host) []pair {
	var all []pair
	for _, from := range hosts {
		for _, to := range hosts {
			if from.Name() != to.Name() {
				all = append(all, pair{from, to})
			}
		}
	}
	return all
}

// hostsNamed resolves several names, each host once, in order.
func hostsNamed(s Surface, names []string) ([]Host, error) {
	var found []Host
	seen := map[string]bool{}
	for _, name := range names {
		hosts, err := hostsOf(s, name)
		if err != nil {
			return nil, err
		}
		for _, h := range hosts {
			if !seen[h.Name()] {
				seen[h.Name()] = true
				found = append(found, h)
			}
		}
	}
	return found, nil
}

// apart refuses two lists that have a host in common.
func apart(hosts []Host, names map[string]bool) error {
	for _, h := range hosts {
		if names[h.Name()] {
			return fmt.Errorf("%s stands on both sides", h.Name())
		}
		names[h.Name()] = true
	}
	return nil
}
