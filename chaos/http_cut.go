package chaos

import (
	"cmp"
	"context"
	"fmt"
)

// HTTPCut ends connections in the middle of an answer: the server has done what it was asked, and the client has a part of
// what came of it.
type HTTPCut struct {
	Link string `json:"link"`
	// Method and Path choose requests, as HTTPError's do.
	Method string `json:"method,omitempty"`
	Path   string `json:"path,omitempty"`
	// AfterBytes is how much of the body is passed on, as it is framed. An answer whose body is not longer is left whole.
	AfterBytes int64 `json:"after_bytes,omitempty"`
	// Reset cuts with a RST in place of an orderly FIN.
	Reset bool `json:"reset,omitempty"`
	Pick
}

var _ Speaker = (*HTTPCut)(nil)

// Kind is "http_cut".
func (*HTTPCut) Kind() string { return "http_cut" }

func (f *HTTPCut) String() string {
	return fmt.Sprintf("http cut after %d bytes%s%s on %s", f.AfterBytes, f.which(), about(f.Method, f.Path), arrow(f.Link))
}

// Speaks wants HTTP.
func (f *HTTPCut) Speaks() (link string, p Protocol) { return f.Link, HTTP }

func (f *HTTPCut) rule() Rule {
	return Rule{Pick: f.Pick, HTTP: &HTTPRule{
		Method: f.Method, Path: f.Path, Cut: &Truncation{AfterBytes: f.AfterBytes, Reset: f.Reset},
	}}
}

// Validate wants the name of a link.
func (f *HTTPCut) Validate() error { return cmp.Or(checkLinkName(f.Link), f.rule().Validate()) }

// Available wants links of that name that speak HTTP.
func (f *HTTPCut) Available(s Surface) error { return availableSpoken(s, f) }

// Inject proves itself by every live connection following the rule.
func (f *HTTPCut) Inject(ctx context.Context, s Surface) (Injection, error) {
	return injectRules(ctx, s, ruleFault{fault: f, rule: f.rule(), acts: "answers cut short"})
}
