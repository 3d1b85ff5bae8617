package postgres

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
		{PostgreSQL: &chaos.PostgresRule{Delay: units.Millisecond, Statement: "(?i)select|insert"}},
		{PostgreSQL: &chaos.PostgresRule{Error: &chaos.ErrorResponse{SQLState: "40001"}, Statement: "(?i)insert"}},
		{PostgreSQL: &chaos.PostgresRule{LoseAck: chaos.LostByHold, Commit: true, Autocommit: true}},
		{PostgreSQL: &chaos.PostgresRule{CutAfter: 2}},
	}, 2<<20, kept)
}

// kept is how many bytes a filter keeps, about.
func kept(of intercept.Filter) int {
	f := of.(*filter)
	n := f.client.Held() + f.server.Held() + len(f.client.body) + len(f.server.body) + f.client.bytes
	return n + overhead*(len(f.client.portals)+len(f.pending))
}
