package chaos

import (
	"cmp"
	"context"
	"fmt"

	"shakedown/internal/units"
)

// HTTPError answers requests in the server's place: 429 or 503 with Retry-After, or any other status.
type HTTPError struct {
	Link string `json:"link"`
	// Method is a list of methods, as "POST,PUT", and Path a pattern of the path without its query, as "/orders/*"; left out,
	// they are all.
	Method string `json:"method,omitempty"`
	Path   string `json:"path,omitempty"`
	Status int    `json:"status"`
	// RetryAfter is in whole seconds; left out, there is no such header.
	RetryAfter units.Duration `json:"retry_after,omitempty"`
	Body       string         `json:"body,omitempty"`
	// When says whether the server has done what it was asked: "before" (also when left out) it is never asked, "after" it
	// has answered, and the client is told this instead.
	When When `json:"when,omitempty"`
	Pick
}

var _ Speaker = (*HTTPError)(nil)

// Kind is "http_error".
func (*HTTPError) Kind() string { return "http_error" }

func (f *HTTPError) String() string {
	when := ""
	if f.When == After {
		when = " after the server"
	}
	return fmt.Sprintf("http %d%s%s%s on %s", f.Status, when, f.which(), about(f.Method, f.Path), arrow(f.Link))
}

// Speaks wants HTTP.
func (f *HTTPError) Speaks() (link string, p Protocol) { return f.Link, HTTP }

func (f *HTTPError) rule() Rule {
	return Rule{Pick: f.Pick, HTTP: &HTTPRule{
		Method: f.Method, Path: f.Path, When: f.When,
		Answer: &HTTPAnswer{Status: f.Status, RetryAfter: f.RetryAfter, Body: f.Body},
	}}
}

// Validate wants a status.
func (f *HTTPError) Validate() error { return cmp.Or(checkLinkName(f.Link), f.rule().Validate()) }

// Available wants links of that name that speak HTTP.
func (f *HTTPError) Available(s Surface) error { return availableSpoken(s, f) }

// Inject proves itself by every live connection following the rule.
func (f *HTTPError) Inject(ctx context.Context, s Surface) (Injection, error) {
	return injectRules(ctx, s, ruleFault{fault: f, rule: f.rule(), acts: fmt.Sprintf("requests answered with %d", f.Status)})
}
