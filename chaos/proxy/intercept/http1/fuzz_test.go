package http1

import (
	"testing"

	"shakedown/chaos"
	"shakedown/chaos/proxy/intercept"
	"shakedown/chaos/proxy/intercept/intercepttest"
	"shakedown/internal/units"
)

func FuzzAConnectionWithoutRulesIsPassedAsItIs(f *testing.F) {
	intercepttest.AddScripts(f)
	f.Fuzz(func(t *testing.T, stored []byte) {
		intercepttest.Transparent(t, intercepttest.Parse(stored), func() intercept.Filter { return New("link").Open(1) })
	})
}

func FuzzWhereBytesAreCutChangesNothing(f *testing.F) {
	intercepttest.AddScripts(f)
	rules := []chaos.HTTPRule{
		{Answer: &chaos.HTTPAnswer{Status: 503, Body: "no"}, Path: "/*"},
		{Answer: &chaos.HTTPAnswer{Status: 429}, When: chaos.After},
		{Delay: units.Millisecond, Path: "/*a*"},
		{Cut: &chaos.Truncation{AfterBytes: 3}},
	}
	f.Fuzz(func(t *testing.T, stored []byte) {
		for _, r := range rules {
			open := func() intercept.Filter {
				in := New("link")
				if err := in.SetRule("r", chaos.Rule{Pick: chaos.Pick{Every: 2}, HTTP: &r}); err != nil {
					t.Fatal(err)
				}
				return in.Open(1)
			}
			intercepttest.Same(t, intercepttest.Parse(stored), open, 4*lineLimit+128*exchangeLimit, kept)
		}
	})
}

// kept is how many bytes a filter keeps, about.
func kept(of intercept.Filter) int {
	f := of.(*filter)
	return f.client.Held() + f.server.Held() + len(f.client.line) + len(f.server.line) + 128*len(f.exchanges)
}
