package postgres

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

// rules are such that each may act on any connection.
var rules = map[string]chaos.PostgresRule{
	"a delay": {Delay: units.Millisecond, Statement: "(?i)select|insert"},
	"b error": {Error: &chaos.ErrorResponse{SQLState: "40001"}, Statement: "(?i)insert"},
	"c lose":  {LoseAck: chaos.LostByHold, Commit: true, Autocommit: true},
	"d cut":   {CutAfter: 2},
}

func FuzzWhereBytesAreCutChangesNothing(f *testing.F) {
	intercepttest.AddScripts(f)
	f.Fuzz(func(t *testing.T, stored []byte) {
		for id := range rules {
			open := func() intercept.Filter {
				in := New("link")
				r := rules[id]
				if err := in.SetRule(id, chaos.Rule{Pick: chaos.Pick{Every: 2}, PostgreSQL: &r}); err != nil {
					t.Fatal(err)
				}
				return in.Open(1)
			}
			intercepttest.Same(t, intercepttest.Parse(stored), open, 2<<20, kept)
		}
	})
}

// kept is how many bytes a filter keeps, about.
func kept(of intercept.Filter) int {
	f := of.(*filter)
	n := f.client.Held() + f.server.Held() + len(f.client.body) + len(f.server.body) + f.client.bytes
	return n + overhead*(len(f.client.portals)+len(f.pending))
}
