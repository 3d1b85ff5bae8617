package intercepttest

import (
	"testing"

	"shakedown/chaos"
	"shakedown/chaos/proxy/intercept"
)

// FuzzTransparent checks, from the recorded scripts on, that a connection of an inspector without rules is passed as it is.
func FuzzTransparent[I intercept.Inspector](f *testing.F, inspect func(link string) I) {
	f.Helper()
	addScripts(f)
	f.Fuzz(func(t *testing.T, stored []byte) {
		transparent(t, Parse(stored), func() intercept.Filter { return inspect("link").Open(1) })
	})
}

// FuzzCuts checks, from the recorded scripts on, that under each of the rules, on every second message that matches, an inspector does the
// same wherever the bytes are cut, and keeps no more than limit of them. Kept tells how much a filter keeps.
func FuzzCuts[I intercept.Inspector](f *testing.F, inspect func(link string) I, rules []chaos.Rule, limit int, kept func(intercept.Filter) int) {
	f.Helper()
	addScripts(f)
	f.Fuzz(func(t *testing.T, stored []byte) {
		for _, r := range rules {
			r.Pick = chaos.Pick{Every: 2}
			open := func() intercept.Filter {
				in := inspect("link")
				if err := in.SetRule("r", r); err != nil {
					t.Fatal(err)
				}
				return in.Open(1)
			}
			same(t, Parse(stored), open, limit, kept)
		}
	})
}
