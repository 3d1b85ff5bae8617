package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
)

// A Partition cuts hosts off from each other: packets are dropped where they arrive, and TCP sends them again until it gives up.
// Its shape is that of the one field among Groups, Isolate, From and To, Ring, Bridge and Minority that is set. A name stands
// for one host, for all hosts of a role, or, "*", for all. Healing removes the rules; connections that TCP has not given up
// go on when it next sends.
type Partition struct {
	// Groups do not reach each other. Hosts in none of them reach all.
	Groups [][]string `json:"groups,omitempty"`
	// Isolate names hosts that reach nobody, and that nobody reaches.
	Isolate string `json:"isolate,omitempty"`
	// From and To: what From sends does not arrive at To. The other way is open.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
	// Ring: each host reaches its two neighbours in the order given. With five, each sees a majority, and no two the same.
	Ring []string `json:"ring,omitempty"`
	// Bridge: two halves, of which the host in the middle of the order sees both.
	Bridge []string `json:"bridge,omitempty"`
	// Minority is the size of a group, fewer than half of the hosts Among (empty: all), that the seed chooses.
	Minority int      `json:"minority,omitempty"`
	Among    []string `json:"among,omitempty"`
	// Answer is what senders hear; empty is nothing.
	Answer Answer `json:"answer,omitempty"`
	// Seed chooses the minority, and, when it is not 0, the order of a ring or bridge.
	Seed uint64 `json:"seed,omitempty"`
}

var _ Needer = (*Partition)(nil)

// Kind is "partition".
func (*Partition) Kind() string { return "partition" }

// Needs are network namespaces.
func (*Partition) Needs() []Need { return []Need{NeedNetworkNamespaces} }

func (f *Partition) String() string {
	shape := "nothing"
	switch {
	case f.Groups != nil:
		var groups []string
		for _, g := range f.Groups {
			groups = append(groups, strings.Join(g, ", "))
		}
		shape = strings.Join(groups, " | ")
	case f.Isolate != "":
		shape = f.Isolate + " from all"
	case f.From != "":
		shape = f.From + " → " + f.To
	case f.Ring != nil:
		shape = "ring of " + strings.Join(f.Ring, ", ")
	case f.Bridge != nil:
		shape = "bridge of " + strings.Join(f.Bridge, ", ")
	case f.Minority != 0:
		shape = fmt.Sprintf("a minority of %d", f.Minority)
	}
	return "partition " + shape + f.Answer.how()
}

// Validate wants one shape.
func (f *Partition) Validate() error {
	shapes := 0
	for _, set := range []bool{f.Groups != nil, f.Isolate != "", f.From != "" || f.To != "", f.Ring != nil, f.Bridge != nil, f.Minority != 0} {
		if set {
			shapes++
		}
	}
	if shapes != 1 {
		return fmt.Errorf("needs one shape, has %d; set one of groups, isolate, from and to, ring, bridge, minority", shapes)
	}
	if err := f.validateShape(); err != nil {
		return err
	}
	if f.Among != nil && f.Minority == 0 {
		return errors.New("among goes with minority")
	}
	return f.Answer.validate()
}

func (f *Partition) validateShape() error {
	switch {
	case f.Groups != nil && len(f.Groups) < 2:
		return errors.New("groups: needs at least two")
	case (f.From == "") != (f.To == ""):
		return errors.New("from and to go together")
	case f.Minority < 0:
		return fmt.Errorf("minority: must be positive, got %d", f.Minority)
	}
	for _, g := range f.Groups {
		if len(g) == 0 {
			return errors.New("groups: each needs a host")
		}
	}
	return nil
}

// Available wants the hosts that the shape is made of.
func (f *Partition) Available(s Surface) error {
	_, _, err := f.plan(s)
	return err
}

// Inject proves itself by datagrams and handshakes between all hosts of the shape, in both directions: those that the shape cuts
// fail, and are counted by the kernel, and the others succeed.
func (f *Partition) Inject(ctx context.Context, s Surface) (Injection, error) {
	if err := f.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Kind(), err)
	}
	hosts, cut, err := f.plan(s)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f, err)
	}
	p := &cutting{filters: filters{pairs: cut, answer: f.Answer}, all: pairsOf(hosts), cut: map[pair]bool{}}
	for _, c := range cut {
		p.cut[c] = true
	}
	return injectHosts(ctx, f, p)
}

// plan resolves the shape: the hosts that it is made of, and the directions that it cuts.
func (f *Partition) plan(s Surface) (hosts []Host, cut []pair, err error) {
	switch {
	case f.Isolate != "":
		return isolate(s, f.Isolate)
	case f.From != "":
		return oneWay(s, f.From, f.To)
	case f.Ring != nil:
		return f.ring(s)
	case f.Bridge != nil:
		return f.bridge(s)
	case f.Minority != 0:
		return f.minority(s)
	}
	var groups [][]Host
	known := map[string]bool{}
	for _, names := range f.Groups {
		group, err := hostsNamed(s, names)
		if err == nil {
			err = apart(group, known)
		}
		if err != nil {
			return nil, nil, err
		}
		groups = append(groups, group)
	}
	hosts, cut = between(groups)
	return hosts, cut, nil
}

// between cuts groups off from each other.
func between(groups [][]Host) (hosts []Host, cut []pair) {
	for i, group := range groups {
		hosts = append(hosts, group...)
		for j, other := range groups {
			if i != j {
				cut = append(cut, across(group, other)...)
			}
		}
	}
	return hosts, cut
}

// across is every direction from one list of hosts to another.
func across(from, to []Host) (cut []pair) {
	for _, a := range from {
		for _, b := range to {
			if a.Name() != b.Name() {
				cut = append(cut, pair{a, b})
			}
		}
	}
	return cut
}

func isolate(s Surface, name string) (hosts []Host, cut []pair, err error) {
	alone, err := hostsOf(s, name)
	if err != nil {
		return nil, nil, err
	}
	if hosts, err = hostsOf(s, EveryHost); err != nil {
		return nil, nil, err
	}
	isAlone := map[string]bool{}
	for _, h := range alone {
		isAlone[h.Name()] = true
	}
	for _, p := range pairsOf(hosts) {
		if isAlone[p.from.Name()] || isAlone[p.to.Name()] {
			cut = append(cut, p)
		}
	}
	return hosts, cut, enough(hosts, 2)
}

func oneWay(s Surface, fromName, toName string) (hosts []Host, cut []pair, err error) {
	from, err := hostsOf(s, fromName)
	if err != nil {
		return nil, nil, err
	}
	to, err := hostsOf(s, toName)
	if err != nil {
		return nil, nil, err
	}
	known := map[string]bool{}
	if err := errors.Join(apart(from, known), apart(to, known)); err != nil {
		return nil, nil, err
	}
	return append(append(hosts, from...), to...), across(from, to), nil
}

// ordered are the hosts of the names, in an order that the seed decides.
func (f *Partition) ordered(s Surface, names []string, least int) ([]Host, error) {
	hosts, err := hostsNamed(s, names)
	if err != nil {
		return nil, err
	}
	if f.Seed != 0 || f.Minority != 0 {
		rand.New(rand.NewPCG(f.Seed, 0)).Shuffle(len(hosts), func(i, j int) { hosts[i], hosts[j] = hosts[j], hosts[i] })
	}
	return hosts, enough(hosts, least)
}

func enough(hosts []Host, least int) error {
	if len(hosts) < least {
		return fmt.Errorf("needs at least %d hosts for this shape, has %d", least, len(hosts))
	}
	return nil
}

func (f *Partition) ring(s Surface) (hosts []Host, cut []pair, err error) {
	if hosts, err = f.ordered(s, f.Ring, 4); err != nil { // of three, each is the neighbour of the others
		return nil, nil, err
	}
	for i, from := range hosts {
		for j, to := range hosts {
			if d := (i - j + len(hosts)) % len(hosts); d > 1 && d < len(hosts)-1 {
				cut = append(cut, pair{from, to})
			}
		}
	}
	return hosts, cut, nil
}

func (f *Partition) bridge(s Surface) (hosts []Host, cut []pair, err error) {
	if hosts, err = f.ordered(s, f.Bridge, 3); err != nil {
		return nil, nil, err
	}
	middle := len(hosts) / 2
	_, cut = between([][]Host{hosts[:middle], hosts[middle+1:]})
	return hosts, cut, nil
}

func (f *Partition) minority(s Surface) (hosts []Host, cut []pair, err error) {
	among := f.Among
	if among == nil {
		among = []string{EveryHost}
	}
	if hosts, err = f.ordered(s, among, 2*f.Minority+1); err != nil {
		return nil, nil, err
	}
	hosts, cut = between([][]Host{hosts[:f.Minority], hosts[f.Minority:]})
	return hosts, cut, nil
}

// cutting is a partition as a fault of hosts.
type cutting struct {
	filters
	all  []pair // every direction between the hosts of the shape
	cut  map[pair]bool
	open reachability // before
}

func (c *cutting) before(ctx context.Context) (err error) {
	c.open, err = look(ctx, c.all, nil)
	return err
}

func (c *cutting) landed(ctx context.Context, id string) (Evidence, error) {
	was, err := c.filtered(ctx, id)
	if err != nil {
		return Evidence{}, err
	}
	now, err := look(ctx, c.all, c.cut)
	if err != nil {
		return Evidence{}, err
	}
	met, err := c.filtered(ctx, id)
	if err != nil {
		return Evidence{}, err
	}
	seen, differs := now.differs(c.open, c.cut)
	e := Evidence{What: "directions cut", Want: float64(len(c.cut)), Got: float64(seen), Unit: "directions"}
	counted := met.Probes - was.Probes
	switch {
	case differs != "":
		e.What += ", but " + differs
	case seen == 0:
		e.What += "; these hosts did not reach each other before"
	case counted < int64(pings*seen):
		e.What += fmt.Sprintf(", but the kernel counted %d packets", counted)
	default:
		e.Seen = true
	}
	return e, nil
}

func (c *cutting) gone(ctx context.Context) (shows string, err error) {
	now, err := look(ctx, c.all, nil)
	if err != nil {
		return "", err
	}
	_, shows = now.differs(c.open, nil)
	return shows, nil
}
