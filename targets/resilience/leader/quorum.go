package leader

import (
	"fmt"

	"shakedown/bench"
	"shakedown/chaos"
)

const cutOff = "cut-off"

// groupOf is a level with so many members of etcd. The first, and the first instance, who leads and asks that member, are cut off from all
// others, and not from the resource.
func groupOf(members int) bench.Level {
	others := []string{"service-1", "service-2"}
	for n := 1; n < members; n++ {
		others = append(others, etcdMember(n))
	}
	return bench.Level{
		Name: groupName(members), About: fmt.Sprintf("%d members, of which one is cut off with the leader", members),
		Engines: []bench.EngineSpec{{Name: storeEtcd, Members: members}},
		Phases: []bench.Phase{
			{Name: "steady", For: 1500 * ms, Quick: second, Rate: bench.PerSecond(rate), Judged: true},
			{
				Name: cutOff, For: 5 * second, Rate: bench.PerSecond(rate), Judged: true,
				Faults: chaos.Faults{&chaos.Partition{Groups: [][]string{{"service-0", storeEtcd}, others}}},
			},
			{Name: "after", For: 3 * second, Rate: bench.PerSecond(rate), Judged: true},
		},
	}
}

func groupName(members int) string { return fmt.Sprintf("members-%d", members) }

// etcdMember is the name of the nth member of a group, as the run names it.
func etcdMember(n int) string {
	if n == 0 {
		return storeEtcd
	}
	return fmt.Sprintf("%s-member-%d", storeEtcd, n)
}

var cutSilence = bench.Query{Phase: cutOff, Metric: "age_ms", Stat: "max"}

var quorumExperiment = bench.Experiment{
	Name:     "resilience/leader/quorum",
	Question: "What does a group of etcd decide when it is cut in two?",
	Note: "Two or three members of etcd, each on a host of its own, and three instances, each of which asks the member beside it. The first member and the leader " +
		"are cut off from all others; both sides reach the resource. A member decides with most of the group or not at all. A leader that looks at its lease stops when it has run " +
		"out; one that believes until it is told is told nothing. What etcd has recorded is read from its own history. It needs network namespaces, and so root.",
	Isolation: bench.Namespaces,
	Engines: []bench.EngineSpec{
		{Name: "postgres"}, {Name: storeEtcd, Settings: map[string]string{"heartbeat-interval": "50", "election-timeout": "250"}},
	},
	Variants: []bench.Variant{
		variant("looks", "the leader looks at its lease before each piece of work", config(storeEtcd, checkStep, false)),
		variant("believes", "it believes in its lease until etcd says otherwise", config(storeEtcd, checkNever, false)),
		variant("believes-fenced", "the same, and the resource turns away older revisions", config(storeEtcd, checkNever, true)),
	},
	Factor:   "members of etcd",
	Levels:   []bench.Level{only(groupOf(2), "looks"), groupOf(3)},
	Workload: watchers,
	Phases:   groupOf(3).Phases,
	Columns: append([]bench.Column{
		{Title: "silence while cut off", Unit: "ms", Of: cutSilence},
		{Title: "grants that etcd does not know", Of: number(auditUnrecorded)},
	}, safetyColumns[:len(safetyColumns)-1]...),
	Checks: []bench.Check{
		recorded("looks"), recorded("believes"),
		outside("the resource is outside of the quorum, and the leader looks at its lease", "looks"),
		outside("the resource is outside of the quorum, and the leader waits to be told", "believes"),
		{
			Claim: "resilience/leader#10", Text: "two members, one cut off: the work is left undone for at most half as long again as with three",
			Of: cutSilence.In("looks", groupName(2)), Versus: new(cutSilence.In("looks", groupName(3))), Rel: bench.AtMost, Bound: 1.5,
		},
	},
}

func only(l bench.Level, variants ...string) bench.Level {
	l.Variants = variants
	return l
}

func recorded(variant string) bench.Check {
	c := none("resilience/leader#5", variant+": every grant is the only one that etcd's history has at its time", auditUnrecorded, variant, groupName(3))
	c.When = "of what etcd has recorded"
	return c
}

func outside(when, variant string) bench.Check {
	c := none("resilience/leader#5", variant+": the resource takes no stale act", auditStale, variant, groupName(3))
	c.When = when
	return c
}
