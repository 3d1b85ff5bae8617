package chaos

import (
	"context"
	"errors"
	"fmt"
	"math"
)

// PacketLoss drops a share of the packets between hosts, each drawn by the kernel for itself; the draws do not replay. It is
// the real thing: TCP notices by duplicate acknowledgements or by time-out, and slows down (RFC 5681).
type PacketLoss struct {
	From string `json:"from"`
	To   string `json:"to"`
	// Direction is Upstream for packets from From to To, Downstream for the other way, and empty for both.
	Direction Direction `json:"direction,omitempty"`
	// Rate is the share of the packets that is dropped, 0.001 to 0.99.
	Rate float64 `json:"rate"`
}

var _ Needer = (*PacketLoss)(nil)

// Kind is "packet_loss".
func (*PacketLoss) Kind() string { return "packet_loss" }

// Needs are network namespaces.
func (*PacketLoss) Needs() []Need { return []Need{NeedNetworkNamespaces} }

func (f *PacketLoss) String() string {
	arrow := map[Direction]string{Upstream: "→", Downstream: "←"}[f.Direction]
	if arrow == "" {
		arrow = "↔"
	}
	return fmt.Sprintf("packet loss of %s on %s %s %s", percent(f.Rate), f.From, arrow, f.To)
}

// Validate wants two hosts and a rate.
func (f *PacketLoss) Validate() error {
	if f.From == "" || f.To == "" {
		return errors.New("from and to are missing; write the names of two hosts")
	}
	return errors.Join(checkRate(f.Rate, mostLoss), f.Direction.validate())
}

// mostLoss is less than all, which is a partition.
const mostLoss = 0.99

// Available wants the hosts.
func (f *PacketLoss) Available(s Surface) error {
	_, _, err := oneWay(s, f.From, f.To)
	return err
}

// Inject proves itself by datagrams: the kernel says how many of them it dropped, and the others arrive.
func (f *PacketLoss) Inject(ctx context.Context, s Surface) (Injection, error) {
	if err := f.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Kind(), err)
	}
	_, pairs, err := oneWay(s, f.From, f.To)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f, err)
	}
	var lossy []pair
	for _, p := range pairs {
		if f.Direction != Downstream {
			lossy = append(lossy, p)
		}
		if f.Direction != Upstream {
			lossy = append(lossy, p.back())
		}
	}
	return injectHosts(ctx, f, losing{filters{pairs: lossy, share: f.Rate}})
}

// losing is a loss of packets as a fault of hosts.
type losing struct{ filters }

func (losing) before(context.Context) error { return nil }

// burst is how many datagrams are sent at once: as many as the buffer of a socket holds, at least.
const burst = 100

func (l losing) landed(ctx context.Context, id string) (Evidence, error) {
	was, err := l.filtered(ctx, id)
	if err != nil {
		return Evidence{}, err
	}
	// Enough for twenty losses in all, however small the share.
	bursts := int(math.Ceil(20/(l.share*float64(burst*len(l.pairs))))) + 1
	sent, arrived := 0, 0
	for _, p := range l.pairs {
		for range bursts {
			n, err := p.from.Ping(ctx, p.to, burst, cutTime)
			if err != nil {
				return Evidence{}, err
			}
			sent, arrived = sent+burst, arrived+n
		}
	}
	met, err := l.filtered(ctx, id)
	if err != nil {
		return Evidence{}, err
	}
	lost := float64(met.Probes - was.Probes)
	want := l.share * float64(sent)
	e := Evidence{What: "share of probes dropped", Want: l.share, Got: lost / float64(sent), Unit: "of packets"}
	// Six standard deviations of a binomial distribution are exceeded once in 10⁹ looks.
	e.Seen = math.Abs(lost-want) <= 6*math.Sqrt(want*(1-l.share)) && float64(arrived) <= float64(sent)-lost && arrived > 0
	return e, nil
}

// gone sends as many datagrams as should lose some if the loss went on, all of which have to arrive, unless it is other faults
// that act on them.
func (l losing) gone(ctx context.Context) (shows string, err error) {
	before, err := others(ctx, l.pairs)
	if err != nil {
		return "", err
	}
	arrived := map[pair]int{}
	for _, p := range l.pairs {
		if arrived[p], err = p.from.Ping(ctx, p.to, burst, openTime); err != nil {
			return "", err
		}
	}
	after, err := others(ctx, l.pairs)
	if err != nil {
		return "", err
	}
	for p, n := range arrived {
		if n < burst && !after.hides(before, p) {
			shows = fmt.Sprintf("%d of %d datagrams arrive from %s", n, burst, p)
		}
	}
	return shows, nil
}
