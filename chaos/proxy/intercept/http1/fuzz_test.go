package http1

import (
	"testing"

	"shakedown/chaos"
	"shakedown/chaos/proxy/intercept"
	"shakedown/chaos/proxy/intercept/intercepttest"
	"shakedown/internal/units"
)

func FuzzAConnectionWithoutRulesIsPassedAsItIs(f *testing.F) { intercepttest.FuzzTransparent(f, New) }

func FuzzWhereBytesAreCutChangesNothing(f *testing.F) {
	intercepttest.FuzzCuts(f, New, []chaos.Rule{
		{HTTP: &chaos.HTTPRule{Answer: &chaos.HTTPAnswer{Status: 503, Body: "no"}, Path: "/*"}},
		{HTTP: &chaos.HTTPRule{Answer: &chaos.HTTPAnswer{Status: 429}, When: chaos.After}},
		{HTTP: &chaos.HTTPRule{Delay: units.Millisecond, Path: "/*a*"}},
		{HTTP: &chaos.HTTPRule{Cut: &chaos.Truncation{AfterBytes: 3}}},
	}, 4*lineLimit+128*exchangeLimit, kept)
}

// kept is how many bytes a filter keeps, about.
func kept(of intercept.Filter) int {
	f := of.(*filter)
	return f.client.Held() + f.server.Held() + len(f.client.line) + len(f.server.line) + 128*len(f.exchanges)
}
