package chaos

import (
	"cmp"
	"context"
	"fmt"

	"shakedown/internal/units"
)

// HTTPDelay keeps requests from the server for a while, or its answers from the client.
type HTTPDelay struct {
	Link string `json:"link"`
	// Method and Path choose requests, as HTTPError's do.
	Method string         `json:"method,omitempty"`
	Path   string         `json:"path,omitempty"`
	Delay  units.Duration `json:"delay"`
	// When is "before" the server is asked (also when left out), or "after" it has answered.
	When When `json:"when,omitempty"`
	Pick
}

var _ Speaker = (*HTTPDelay)(nil)

// Kind is "http_delay".
func (*HTTPDelay) Kind() string { return "http_delay" }

func (f *HTTPDelay) String() string {
	return fmt.Sprintf("http delay %s%s%s on %s", f.Delay, f.which(), about(f.Method, f.Path), arrow(f.Link))
}

// Speaks wants HTTP.
func (f *HTTPDelay) Speaks() (link string, p Protocol) { return f.Link, HTTP }

func (f *HTTPDelay) rule() Rule {
	return Rule{Pick: f.Pick, HTTP: &HTTPRule{Method: f.Method, Path: f.Path, When: f.When, Delay: f.Delay}}
}

// Validate wants a delay.
func (f *HTTPDelay) Validate() error {
	return cmp.Or(checkLinkName(f.Link), checkDelay(f.Delay), f.rule().Validate())
}

// Available wants links of that name that speak HTTP.
func (f *HTTPDelay) Available(s Surface) error { return availableSpoken(s, f) }

// Inject proves itself by every live connection following the rule.
func (f *HTTPDelay) Inject(ctx context.Context, s Surface) (Injection, error) {
	return injectRules(ctx, s, ruleFault{fault: f, rule: f.rule(), acts: "requests delayed by " + f.Delay.String()})
}
