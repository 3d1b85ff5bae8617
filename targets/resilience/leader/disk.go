package leader

import (
	"fmt"

	"shakedown/bench"
	"shakedown/chaos"
	"shakedown/internal/units"
)

const slowed = "slow"

// syncing is a level at which an fsync takes so much longer, on the disks of all members of etcd.
func syncing(sync units.Duration, full bool) bench.Level {
	return bench.Level{
		Name: syncName(sync), About: fmt.Sprintf("an fsync takes %v more", sync), Full: full,
		Phases: []bench.Phase{
			{Name: "steady", For: second, Quick: 600 * ms, Rate: bench.PerSecond(rate), Judged: true},
			{
				Name: slowed, For: 12 * second, Quick: 6 * second, Rate: bench.PerSecond(rate), Judged: true,
				Faults: chaos.Faults{&chaos.DiskSlow{Process: storeEtcd, Sync: sync}, &chaos.DiskSlow{Process: storeEtcd + "-member", Sync: sync}},
			},
			{Name: "after", For: 2 * second, Quick: 1500 * ms, Rate: bench.PerSecond(rate), Judged: true},
		},
	}
}

func syncName(sync units.Duration) string { return fmt.Sprintf("sync-%dms", sync.D().Milliseconds()) }

// timed is a variant whose members wait so long for their leader, and whose lease is the shortest in whole seconds that etcd then gives.
func timed(name, about string, heartbeat, election string, ttl units.Duration) bench.Variant {
	c := config(storeEtcd, checkStep, false)
	c.TTL = ttl
	v := variant(name, about, c)
	v.Engines = []bench.EngineSpec{{Name: storeEtcd, Settings: map[string]string{"heartbeat-interval": heartbeat, "election-timeout": election}}}
	return v
}

var (
	etcdElections = bench.Query{Phase: slowed, Metric: "series", Name: "shakedown_etcd_leader_changes_total", Stat: "increase"}
	noteAnswer    = bench.Query{Phase: slowed, Op: "note", Metric: "answer_ms", Stat: "p50"}
)

var diskExperiment = bench.Experiment{
	Name:     "resilience/leader/disk",
	Question: "Is etcd steady on any disk?",
	Note: "Three members of etcd, each on a disk of its own whose fsync becomes slow on all of them, while somebody writes twenty keys a second: a member that waits for its disk " +
		"neither sends nor counts heartbeats. A change of etcd's own leader is counted by every member that sees it. Look at those, and at how often the role changed hands although nobody died. " +
		"It needs network namespaces, and so root.",
	Isolation: bench.Namespaces,
	Engines:   []bench.EngineSpec{{Name: "postgres"}, {Name: storeEtcd, Members: 3, Disk: true}},
	Variants: []bench.Variant{
		timed("default", "heartbeats every 100 ms, an election after a second without; a lease of two seconds", "100", "1000", 2*second),
		timed("tight", "heartbeats every 50 ms, an election after 250 ms without; a lease of one second", "50", "250", second),
	},
	Factor: "the disks",
	Levels: []bench.Level{syncing(50*ms, true), syncing(100*ms, false), syncing(250*ms, true), syncing(500*ms, false)},
	Workload: bench.Workload{
		Ops: []bench.Op{
			{Name: "latest", Path: "/latest"},
			{Name: "note", Method: "PUT", Path: "/note/{key}", Keys: bench.Keys{Dist: "sequential", N: 1 << 40}, SLO: 2 * second},
		},
		SLO: 250 * ms, Timeout: 3 * second,
	},
	Phases: syncing(500*ms, false).Phases,
	Columns: []bench.Column{
		{Title: "leader changes seen", Of: etcdElections},
		{Title: "a write to etcd, median", Unit: "ms", Of: noteAnswer},
		{Title: "terms", Of: number(auditTerms)},
		{Title: "stale acts", Of: number(auditStale)},
		{Title: "longest silence", Unit: "ms", Of: bench.Query{Phase: slowed, Metric: "age_ms", Stat: "max"}},
	},
	Checks: []bench.Check{
		steady("default", 100*ms), steady("default", 500*ms), steady("tight", 100*ms), steady("tight", 500*ms),
		keepsRole("default", 500*ms), keepsRole("tight", 500*ms),
	},
}

func steady(variant string, sync units.Duration) bench.Check {
	return bench.Check{
		Claim: "resilience/leader#11", Text: fmt.Sprintf("%s, an fsync of %v: etcd's leader does not change", variant, sync),
		Of: etcdElections.In(variant, syncName(sync)), Rel: bench.AtMost, Bound: 0, Never: true,
	}
}

func keepsRole(variant string, sync units.Duration) bench.Check {
	return bench.Check{
		Claim: "resilience/leader#11", Text: fmt.Sprintf("%s, an fsync of %v: the role is given once", variant, sync),
		Of: number(auditTerms).In(variant, syncName(sync)), Rel: bench.AtMost, Bound: 1, Never: true,
	}
}
