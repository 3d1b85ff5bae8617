package intercept_test

import (
	"testing"

	"shakedown/chaos"
	"shakedown/chaos/proxy/intercept"
)

func newTable() *intercept.Table[struct{}] {
	return intercept.NewTable("link", chaos.Redis, func(chaos.Rule) (struct{}, error) { return struct{}{}, nil })
}

func rule(p chaos.Pick) chaos.Rule {
	return chaos.Rule{Pick: p, Redis: &chaos.RedisRule{Error: "OOM no"}}
}

func TestAChangeIsAcknowledgedWhenEveryFollowedConnectionHasSeenIt(t *testing.T) {
	table := newTable()
	a, b, opaque, idle, gone := table.Seat(0), table.Seat(1), table.Seat(2), table.Seat(3), table.Seat(4)
	opaque.Opaque("TLS")
	idle.Idle()
	if err := table.SetRule("r", rule(chaos.Pick{})); err != nil {
		t.Fatal(err)
	}
	gone.Leave()
	want := func(acknowledged bool, n int64) {
		t.Helper()
		c, ok := table.Counters("r")
		if table.Acknowledged() != acknowledged || !ok || c.Acknowledged != n || c.Live != 4 || c.Opaque != 1 || c.Why != "TLS" {
			t.Errorf("acknowledged: %v, %+v", table.Acknowledged(), c)
		}
	}
	want(false, 1) // the idle one has nothing to follow it with
	a.Rules()
	want(false, 2)
	b.Rules()
	want(true, 3)
	table.Seat(5).Leave() // one that comes later knows
	want(true, 3)
	table.ClearRule("r")
	if table.Acknowledged() {
		t.Error("nobody has seen yet that the rule is gone")
	}
	if _, ok := table.Counters("r"); ok {
		t.Error("a rule that is gone has counters")
	}
}

func TestWhichMessagesAreActedOn(t *testing.T) {
	acted := func(p chaos.Pick, n int) (at []int) {
		table := newTable()
		if err := table.SetRule("r", rule(p)); err != nil {
			t.Fatal(err)
		}
		seat := table.Seat(7)
		for i := range n {
			if seat.Rules()[0].Picks(seat, uint64(i)) {
				at = append(at, i+1)
			}
		}
		return at
	}
	for _, tc := range []struct {
		pick chaos.Pick
		want []int
	}{
		{chaos.Pick{}, []int{1, 2, 3, 4, 5, 6}},
		{chaos.Pick{Nth: 3}, []int{3}},
		{chaos.Pick{Every: 2}, []int{2, 4, 6}},
		{chaos.Pick{Share: 1}, []int{1, 2, 3, 4, 5, 6}},
	} {
		got := acted(tc.pick, 6)
		if len(got) != len(tc.want) {
			t.Errorf("%+v: %v", tc.pick, got)
			continue
		}
		for i := range got {
			if got[i] != tc.want[i] {
				t.Errorf("%+v: %v", tc.pick, got)
			}
		}
	}
	// Five standard deviations around the share asked for.
	if n := len(acted(chaos.Pick{Share: 0.2, Seed: 1}, 10_000)); n < 1800 || n > 2200 {
		t.Errorf("a share of 0.2 is %d of 10000", n)
	}
}

func TestATableTakesRulesOfItsProtocolOnly(t *testing.T) {
	table := newTable()
	for _, r := range []chaos.Rule{{}, {HTTP: &chaos.HTTPRule{Delay: 1}}} {
		if err := table.SetRule("r", r); err == nil {
			t.Errorf("it takes %+v", r)
		}
	}
	if err := table.SetRule("", rule(chaos.Pick{})); err == nil {
		t.Error("it takes a rule without an id")
	}
}
