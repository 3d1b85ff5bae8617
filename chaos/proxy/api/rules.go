package api

import (
	"context"
	"fmt"
	"net/http"

	"shakedown/chaos"
	"shakedown/chaos/proxy"
)

// ruleHandlers are the resources below a link that say what is done to single messages.
func ruleHandlers(p *proxy.Proxy) map[string]func(*http.Request) (any, error) {
	return map[string]func(*http.Request) (any, error){
		"GET /v1/links/{name}/rules":         onLink(p, rules),
		"PUT /v1/links/{name}/rules/{id}":    onLink(p, setRule),
		"GET /v1/links/{name}/rules/{id}":    onLink(p, ruleCounters),
		"DELETE /v1/links/{name}/rules/{id}": onLink(p, clearRule),
	}
}

func rules(_ *http.Request, l *proxy.Link) (any, error) { return l.Rules(), nil }

func setRule(r *http.Request, l *proxy.Link) (any, error) {
	var rule chaos.Rule
	if err := read(r, &rule); err != nil {
		return nil, err
	}
	if err := l.SetRule(r.Context(), r.PathValue("id"), rule); err != nil {
		return nil, refuse(http.StatusBadRequest, "%v", err)
	}
	return nil, nil
}

func clearRule(r *http.Request, l *proxy.Link) (any, error) {
	return nil, l.ClearRule(r.Context(), r.PathValue("id"))
}

func ruleCounters(r *http.Request, l *proxy.Link) (any, error) {
	c, err := l.RuleCounters(r.Context(), r.PathValue("id"))
	if err != nil {
		return nil, refuse(http.StatusNotFound, "%v", err)
	}
	return c, nil
}

var _ chaos.RuleLink = (*Link)(nil)

// Protocol is what the link speaks; empty when it only knows bytes.
func (l *Link) Protocol() chaos.Protocol { return l.protocol }

// SetRule puts a rule in force, and returns when every live connection has acknowledged it.
func (l *Link) SetRule(ctx context.Context, id string, r chaos.Rule) error {
	if err := l.client.call(ctx, http.MethodPut, path(l.name, "rules", id), r, nil); err != nil {
		return fmt.Errorf("setting a rule on link %s: %w", l.name, err)
	}
	return nil
}

// ClearRule removes a rule, likewise.
func (l *Link) ClearRule(ctx context.Context, id string) error {
	if err := l.client.call(ctx, http.MethodDelete, path(l.name, "rules", id), nil, nil); err != nil {
		return fmt.Errorf("clearing a rule on link %s: %w", l.name, err)
	}
	return nil
}

// RuleCounters say what has become of a rule.
func (l *Link) RuleCounters(ctx context.Context, id string) (chaos.RuleCounters, error) {
	var c chaos.RuleCounters
	if err := l.client.call(ctx, http.MethodGet, path(l.name, "rules", id), nil, &c); err != nil {
		return c, fmt.Errorf("counters of a rule on link %s: %w", l.name, err)
	}
	return c, nil
}
