package leader

import (
	"fmt"
	"time"

	"shakedown/bench"
	"shakedown/chaos"
	"shakedown/internal/units"
)

// slack is what may come on top of a TTL until the next leader has acted: etcd looks for expired leases twice a second, others look
// whether the role is free every 50 ms, and the first act takes 50 ms.
const slack = second

var silence = bench.Query{Phase: killed, Metric: "age_ms", Stat: "max"}

const killed = "killed"

// ttlLevel kills the leader, and gives the others a TTL and two seconds to follow it.
func ttlLevel(ttl units.Duration, full bool) bench.Level {
	return bench.Level{
		Name: ttlName(ttl), Full: full, Config: map[string]any{"ttl": ttl},
		Phases: []bench.Phase{
			{Name: "steady", For: 1500 * ms, Quick: 600 * ms, Rate: bench.PerSecond(rate), Judged: true},
			{
				Name: killed, For: ttl + 1500*ms, Rate: bench.PerSecond(rate), Judged: true,
				Faults: chaos.Faults{&chaos.Kill{Process: "service-0"}},
			},
		},
	}
}

func ttlName(ttl units.Duration) string { return fmt.Sprintf("ttl-%gs", ttl.D().Seconds()) }

var gapExperiment = bench.Experiment{
	Name:     "resilience/leader/gap",
	Question: "How long is the work left undone when the leader is killed?",
	Note: "The leader is killed. How long ago the last act was is seen by whoever looks; the longest that anybody saw is the gap. A lease that was " +
		"renewed a moment before runs for a TTL more; a session's lock ends with the connection, which the kernel closes for the dead.",
	Engines: engines,
	Variants: []bench.Variant{
		variant("redis", "a key that expires", config(storeRedis, checkStep, false)),
		variant("etcd", "a key bound to a lease", config(storeEtcd, checkStep, false)),
		variant("advisory", "a session's lock in PostgreSQL", config(storeAdvisory, checkStep, false)),
	},
	Factor:   "how long the role is given for",
	Levels:   []bench.Level{ttlLevel(second, false), ttlLevel(4*second, false), ttlLevel(8*second, true)},
	Workload: watchers,
	Phases:   ttlLevel(second, false).Phases,
	Columns: []bench.Column{
		{Title: "gap", Unit: "ms", Of: silence},
		{Title: "silence before", Unit: "ms", Of: bench.Query{Phase: "steady", Metric: "age_ms", Stat: "max"}},
		{Title: "terms", Of: number(auditTerms)},
		{Title: "stale acts", Of: number(auditStale)},
	},
	Checks: []bench.Check{
		gapWithin("resilience/leader#2", "redis", second), gapWithin("resilience/leader#2", "redis", 4*second),
		gapWithin("resilience/leader#2", "advisory", second), gapWithin("resilience/leader#2", "advisory", 4*second),
		gapWithin("resilience/leader#7", "etcd", second), gapWithin("resilience/leader#7", "etcd", 4*second),
		grows("redis", second, 4*second, 2.5), grows("etcd", second, 4*second, 2),
	},
}

func gapWithin(claim, variant string, ttl units.Duration) bench.Check {
	return bench.Check{
		Claim: claim, Text: fmt.Sprintf("%s, a TTL of %v: the next leader has acted a TTL and a second after the last act", variant, ttl),
		Of: silence.In(variant, ttlName(ttl)), Rel: bench.AtMost, Bound: float64((ttl + slack).D() / time.Millisecond), Unit: "ms",
	}
}

func grows(variant string, from, to units.Duration, times float64) bench.Check {
	return bench.Check{
		Claim: "resilience/leader#4", Text: fmt.Sprintf("%s: with a TTL of %v the gap is at least %g times that with %v", variant, to, times, from),
		Of: silence.In(variant, ttlName(to)), Versus: new(silence.In(variant, ttlName(from))), Rel: bench.AtLeast, Bound: times,
	}
}
