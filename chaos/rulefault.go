package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
)

// A Speaker is a fault that acts on messages: its links must understand a protocol, and have to be made so.
type Speaker interface {
	Fault
	// Speaks is the name of the links, and what they must speak.
	Speaks() (link string, p Protocol)
}

// A ruleFault is what distinguishes one fault of messages from another.
type ruleFault struct {
	fault Speaker
	rule  Rule
	// acts says what was done to the messages: "commands answered with 40001".
	acts string
}

// availableSpoken wants links of the fault's name that speak its protocol.
func availableSpoken(s Surface, f Speaker) error {
	_, err := ruleLinksOf(s, f)
	return err
}

func ruleLinksOf(s Surface, f Speaker) ([]RuleLink, error) {
	name, protocol := f.Speaks()
	links, err := linksOf(s, name)
	if err != nil {
		return nil, err
	}
	var able []RuleLink
	var not []string
	for _, l := range links {
		if r, ok := l.(RuleLink); ok && r.Protocol() == protocol {
			able = append(able, r)
		} else {
			not = append(not, l.Name()+" "+speech(l))
		}
	}
	if len(not) > 0 {
		return nil, fmt.Errorf("no %s on %s: %s needs links that speak it", protocol, strings.Join(not, ", "), f.Kind())
	}
	return able, nil
}

func speech(l Link) string {
	if r, ok := l.(RuleLink); ok && r.Protocol() != "" {
		return "(speaks " + string(r.Protocol()) + ")"
	}
	return "(carries bytes only)"
}

// ruleInjection is a rule in force on every link of one name.
type ruleInjection struct {
	ruleFault
	id    string
	links []RuleLink
	proof Evidence

	mu      sync.Mutex
	counted bool
	healed  bool
	traffic Evidence
}

// injectRules puts the rule in force on all the fault's links. It has landed when every live connection follows it; a
// connection that cannot be looked into, as one with TLS, makes it unseen. When it fails, it has undone what it did.
func injectRules(ctx context.Context, s Surface, f ruleFault) (Injection, error) {
	if err := f.fault.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", f.fault.Kind(), err)
	}
	links, err := ruleLinksOf(s, f.fault)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.fault, err)
	}
	in := &ruleInjection{ruleFault: f, links: links, id: fmt.Sprintf("%s-%016x", f.fault.Kind(), rand.Uint64())}
	if err := in.inject(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", f.fault, err), in.clear(ctx))
	}
	return in, nil
}

func (in *ruleInjection) inject(ctx context.Context) error {
	for _, l := range in.links {
		if err := l.SetRule(ctx, in.id, in.rule); err != nil {
			return fmt.Errorf("setting the rule on %s: %w", l.Name(), err)
		}
	}
	sum, err := in.sum(ctx)
	if err != nil {
		return err
	}
	in.proof = Evidence{
		What: "live connections on " + in.where() + " that follow the rule" + unseen(sum),
		Want: float64(sum.Live), Got: float64(sum.Acknowledged), Unit: "connections",
		Seen: sum.Acknowledged >= sum.Live && sum.Opaque == 0,
	}
	return nil
}

func (in *ruleInjection) where() string {
	name, _ := in.fault.Speaks()
	return arrow(name)
}

// unseen says which connections could not be looked into, and why.
func unseen(c RuleCounters) string {
	if c.Opaque == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d cannot be looked into: %s)", c.Opaque, c.Why)
}

// Landed says how many of the live connections follow the rule.
func (in *ruleInjection) Landed() Evidence { return in.proof }

// Heal takes the rule away, even when ctx is done; it is gone when every live connection has acknowledged that. The
// evidence is what the rule did to real traffic, summed over the links.
func (in *ruleInjection) Heal(ctx context.Context) (Evidence, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.healed {
		return in.traffic, nil
	}
	if err := errors.Join(in.count(ctx), in.clear(ctx)); err != nil {
		return in.traffic, fmt.Errorf("healing %s: %w", in.fault, err)
	}
	in.healed = true
	return in.traffic, nil
}

// count settles the evidence, once: the counters go with the rule.
func (in *ruleInjection) count(ctx context.Context) error {
	if in.counted {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	sum, err := in.sum(ctx)
	if err != nil {
		return err
	}
	in.traffic = Evidence{
		What: fmt.Sprintf("%s on %s, of %d that match and %d seen%s", in.acts, in.where(), sum.Matched, sum.Seen, unseen(sum)),
		Want: 1, Got: float64(sum.Acted), Unit: "messages",
		Seen: sum.Acted > 0 && sum.Opaque == 0,
	}
	in.counted = true
	return nil
}

func (in *ruleInjection) sum(ctx context.Context) (sum RuleCounters, err error) {
	for _, l := range in.links {
		c, err := l.RuleCounters(ctx, in.id)
		if err != nil {
			return sum, fmt.Errorf("counters of the rule on %s: %w", l.Name(), err)
		}
		sum.Seen += c.Seen
		sum.Matched += c.Matched
		sum.Acted += c.Acted
		sum.Live += c.Live
		sum.Acknowledged += c.Acknowledged
		sum.Opaque += c.Opaque
		if c.Why != "" {
			sum.Why = c.Why
		}
	}
	return sum, nil
}

// clear takes the rule off every link, whether or not it was put there.
func (in *ruleInjection) clear(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	var errs []error
	for _, l := range in.links {
		if err := l.ClearRule(ctx, in.id); err != nil {
			errs = append(errs, fmt.Errorf("clearing the rule on %s: %w", l.Name(), err))
		}
	}
	return errors.Join(errs...)
}

// about says which messages a fault of them is about, for its String: " of INSERT", or nothing for all.
func about(patterns ...string) string {
	var said []string
	for _, p := range patterns {
		if p != "" {
			said = append(said, p)
		}
	}
	if len(said) == 0 {
		return ""
	}
	return " of " + strings.Join(said, " ")
}

// ProtocolOf is what the link of a name has to speak for the faults to act on it; empty when bytes will do. Stands says
// whether a fault's name for links stands for the link.
func ProtocolOf(faults []Fault, stands func(name string) bool) Protocol {
	for _, f := range faults {
		if s, ok := f.(Speaker); ok {
			if name, protocol := s.Speaks(); stands(arrow(name)) {
				return protocol
			}
		}
	}
	return ""
}
