package proxy

import (
	"context"
	"fmt"
	"time"

	"shakedown/chaos"
)

var _ chaos.RuleLink = (*Link)(nil)

// Protocol is what the link's bytes mean; empty when it knows bytes only.
func (l *Link) Protocol() chaos.Protocol { return l.spec.Protocol }

// SetRule puts a rule in force under the given id, or replaces the one of that id. When it returns, every live connection
// has acknowledged the rule.
func (l *Link) SetRule(ctx context.Context, id string, r chaos.Rule) error {
	if err := l.speaks(r.Protocol()); err != nil {
		return fmt.Errorf("rule %s: %w", id, err)
	}
	if err := r.Validate(); err != nil {
		return fmt.Errorf("rule %s: %w", id, err)
	}
	if err := l.inspector.SetRule(id, r); err != nil {
		return fmt.Errorf("rule %s: %w", id, err)
	}
	return l.acknowledge(ctx)
}

// ClearRule removes a rule, likewise; clearing an absent id is no error.
func (l *Link) ClearRule(ctx context.Context, id string) error {
	if l.inspector == nil {
		return nil
	}
	l.inspector.ClearRule(id)
	return l.acknowledge(ctx)
}

// RuleCounters say what has become of a rule; an absent id is an error.
func (l *Link) RuleCounters(_ context.Context, id string) (chaos.RuleCounters, error) {
	if l.inspector != nil {
		if c, ok := l.inspector.Counters(id); ok {
			return c, nil
		}
	}
	return chaos.RuleCounters{}, fmt.Errorf("link %s has no rule %s", l.spec.Name, id)
}

// Rules are the rules in force, by id.
func (l *Link) Rules() map[string]chaos.Rule {
	if l.inspector == nil {
		return nil
	}
	return l.inspector.Rules()
}

// speaks says why a rule about a protocol cannot act here.
func (l *Link) speaks(p chaos.Protocol) error {
	if l.inspector == nil || p != l.spec.Protocol {
		return fmt.Errorf("link %s speaks %q and not %q: say so when it is made", l.spec.Name, l.spec.Protocol, p)
	}
	return nil
}

// acknowledge wakes every filter of the link until all have seen its rules.
func (l *Link) acknowledge(ctx context.Context) error {
	for {
		l.each((*conn).wake)
		if l.inspector.Acknowledged() {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-l.ctx.Done():
			return l.gone()
		case <-time.After(time.Millisecond): // a connection that is being made has a filter that nobody has woken yet
		}
	}
}
