package intercept

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"shakedown/chaos"
)

// A Table keeps the rules of one link, and knows which connections have seen them. It has all of an Inspector but Open,
// and M is what a protocol makes of a rule to match messages with.
type Table[M any] struct {
	link     string
	protocol chaos.Protocol
	compile  func(chaos.Rule) (M, error)
	present  atomic.Pointer[ruleSet[M]]

	mu    sync.Mutex
	seats map[*Seat[M]]struct{}
}

// ruleSet are the rules of one moment. It is never changed.
type ruleSet[M any] struct {
	generation uint64
	rules      []*Active[M] // by id
}

// NewTable is a table without rules. Compile is given valid rules of the protocol.
func NewTable[M any](link string, protocol chaos.Protocol, compile func(chaos.Rule) (M, error)) *Table[M] {
	t := &Table[M]{link: link, protocol: protocol, compile: compile, seats: map[*Seat[M]]struct{}{}}
	t.present.Store(&ruleSet[M]{})
	return t
}

// SetRule puts a rule in force, or replaces the one of that id.
func (t *Table[M]) SetRule(id string, r chaos.Rule) error {
	if id == "" {
		return errors.New("a rule needs an id")
	}
	if err := r.Validate(); err != nil {
		return fmt.Errorf("rule %s: %w", id, err)
	}
	if r.Protocol() != t.protocol {
		return fmt.Errorf("rule %s is about %s, and %s speaks %s", id, r.Protocol(), t.link, t.protocol)
	}
	match, err := t.compile(r)
	if err != nil {
		return fmt.Errorf("rule %s: %w", id, err)
	}
	a := &Active[M]{ID: id, Rule: r, Match: match}
	t.mu.Lock()
	defer t.mu.Unlock()
	for s := range t.seats {
		if why := s.opaque; why != "" {
			a.opaque++
			a.why = why
		}
	}
	t.change(id, a)
	return nil
}

// ClearRule removes a rule, if it is there.
func (t *Table[M]) ClearRule(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.change(id, nil)
}

// change makes the next set: without the rule of that id, and with another in its place if there is one.
func (t *Table[M]) change(id string, a *Active[M]) {
	old := t.present.Load()
	rules := slices.DeleteFunc(slices.Clone(old.rules), func(r *Active[M]) bool { return r.ID == id })
	if a != nil {
		rules = append(rules, a)
	}
	slices.SortFunc(rules, func(a, b *Active[M]) int { return strings.Compare(a.ID, b.ID) })
	t.present.Store(&ruleSet[M]{generation: old.generation + 1, rules: rules})
}

// Acknowledged says whether every open connection knows the present rules.
func (t *Table[M]) Acknowledged() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.present.Load().generation
	for s := range t.seats {
		if !s.idle && s.opaque == "" && s.known.Load() != now {
			return false
		}
	}
	return true
}

// Counters are those of a rule; ok is false when there is none of that id.
func (t *Table[M]) Counters(id string) (c chaos.RuleCounters, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	set := t.present.Load()
	at := slices.IndexFunc(set.rules, func(r *Active[M]) bool { return r.ID == id })
	if at < 0 {
		return c, false
	}
	r := set.rules[at]
	c = chaos.RuleCounters{
		Seen: r.seen.Load(), Matched: r.matched.Load(), Acted: r.acted.Load(),
		Live: int64(len(t.seats)), Opaque: r.opaque, Why: r.why,
	}
	for s := range t.seats {
		if s.idle || s.opaque == "" && s.known.Load() == set.generation {
			c.Acknowledged++
		}
	}
	return c, true
}

// Rules are the rules in force, by id.
func (t *Table[M]) Rules() map[string]chaos.Rule {
	rules := map[string]chaos.Rule{}
	for _, r := range t.present.Load().rules {
		rules[r.ID] = r.Rule
	}
	return rules
}

// Seat gives the nth connection of the link its place at the table.
func (t *Table[M]) Seat(conn uint64) *Seat[M] {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%s\x00%d", t.link, conn) // a hash never fails
	s := &Seat[M]{table: t, key: h.Sum64()}
	t.mu.Lock()
	defer t.mu.Unlock()
	s.known.Store(t.present.Load().generation)
	t.seats[s] = struct{}{}
	return s
}

// A Seat is one connection's place at the table: what it knows of the rules.
type Seat[M any] struct {
	table *Table[M]
	key   uint64
	known atomic.Uint64 // generation of the rules that the connection has seen

	// Written by the connection and under the table's mutex, so the connection may read them without.
	opaque string // why the connection cannot be followed
	idle   bool   // the connection has nothing that rules are about
}

// Rules are the rules that the next message is held against. To ask is to acknowledge them.
func (s *Seat[M]) Rules() []*Active[M] {
	set := s.table.present.Load()
	if s.known.Load() != set.generation {
		s.known.Store(set.generation)
	}
	return set.rules
}

// InForce says whether a rule still is.
func (s *Seat[M]) InForce(r *Active[M]) bool { return slices.Contains(s.Rules(), r) }

// Opaque says that the connection can no longer be followed, and why: every rule's evidence will tell.
func (s *Seat[M]) Opaque(why string) {
	t := s.table
	t.mu.Lock()
	defer t.mu.Unlock()
	s.opaque = why
	for _, r := range t.present.Load().rules {
		r.opaque++
		r.why = why
	}
}

// Idle says that the connection will carry nothing that rules are about, as one that cancels a query.
func (s *Seat[M]) Idle() {
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	s.idle = true
}

// Follows says whether messages of the connection are looked at.
func (s *Seat[M]) Follows() bool { return s.opaque == "" && !s.idle }

// Leave gives the place back.
func (s *Seat[M]) Leave() {
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	delete(s.table.seats, s)
}

// An Active is a rule in force, with its counters.
type Active[M any] struct {
	ID    string
	Rule  chaos.Rule
	Match M

	seen, matched, acted atomic.Int64
	opaque               int64  // under the table's mutex
	why                  string // likewise
}

// Saw counts a message that was held against the rule.
func (a *Active[M]) Saw() { a.seen.Add(1) }

// Acted counts a message that the rule was carried out on.
func (a *Active[M]) Acted() { a.acted.Add(1) }

// Picks counts a message that matches, the nth of the connection in the seat, and says whether the rule acts on it.
func (a *Active[M]) Picks(s *Seat[M], n uint64) bool {
	matched, p := a.matched.Add(1), a.Rule.Pick
	switch {
	case p.Nth > 0:
		return matched == p.Nth
	case p.Every > 0:
		return matched%p.Every == 0
	case p.Share > 0:
		var pcg rand.PCG
		pcg.Seed(p.Seed^s.key, n)
		return float64(pcg.Uint64()>>11)/(1<<53) < p.Share
	}
	return true
}
