package leader

import (
	"fmt"
	"time"

	"shakedown/bench"
	"shakedown/chaos"
	"shakedown/internal/units"
)

const stalls, loss = "stalls", "loss"

// stalled freezes all instances for 0.3 s, once a second, as collectors, hypervisors and busy neighbours do.
func stalled() []bench.Phase {
	return []bench.Phase{
		{Name: "steady", For: second, Quick: 600 * ms, Rate: bench.PerSecond(rate), Judged: true},
		{
			Name: stalls, For: 7 * second, Rate: bench.PerSecond(rate), Judged: true,
			Schedule: []bench.Entry{{
				Name: "stall", Faults: chaos.Faults{&chaos.Pause{Process: bench.ServiceRole}},
				At: bench.Exactly(300 * ms), For: bench.Exactly(300 * ms), Every: bench.Exactly(second),
			}},
		},
	}
}

// lossy loses one segment in a hundred between the instances and Redis.
func lossy() []bench.Phase {
	return []bench.Phase{
		{Name: "steady", For: second, Rate: bench.PerSecond(rate), Judged: true},
		{
			Name: loss, For: 15 * second, Rate: bench.PerSecond(rate), Judged: true,
			Faults: chaos.Faults{&chaos.Loss{Link: "service→redis", Rate: 0.01}},
		},
	}
}

// short is a variant with a TTL of its own.
func short(ttl units.Duration) bench.Variant {
	c := config(storeRedis, checkStep, false)
	c.TTL = ttl
	v := variant(fmt.Sprintf("ttl-%dms", ttl.D().Milliseconds()), fmt.Sprintf("renewed every %v", c.renewal().Round(time.Millisecond)), c)
	v.X = float64(ttl.D().Milliseconds())
	return v
}

var thrashExperiment = bench.Experiment{
	Name:     "resilience/leader/thrash",
	Question: "How short may a lease be before the role changes hands for nothing?",
	Note: "Nobody dies. All instances stand still for 0.3 s once a second, or lose one segment in a hundred on the way to Redis, which costs a " +
		"retransmission time-out of 0.2 s. Every term beyond the first took the role from a leader that was well.",
	Engines:  []bench.EngineSpec{{Name: "postgres"}, {Name: "redis"}},
	Variants: []bench.Variant{short(200 * ms), short(500 * ms), short(second), short(2 * second)},
	Factor:   "what disturbs the instances",
	Levels: []bench.Level{
		{Name: stalls, About: "all stand still for 0.3 s, once a second", Phases: stalled()},
		{Name: loss, About: "1 % of segments to Redis are lost", Full: true, Phases: lossy()},
	},
	Workload: watchers,
	Phases:   stalled(),
	Columns: []bench.Column{
		{Title: "terms", Of: number(auditTerms)},
		{Title: "stale acts", Of: number(auditStale)},
		{Title: "acts after the hand-over", Of: number(auditLate)},
		{Title: "longest silence", Unit: "ms", Of: bench.Query{Metric: "age_ms", Stat: "max"}},
	},
	Sweeps: []bench.Sweep{{Title: "shortest TTL without an election for nothing", Unit: "ms", Of: number(auditTerms), Rel: bench.AtMost, Bound: 1}},
	Checks: []bench.Check{thrashes},
}

var thrashes = bench.Check{
	Claim: "resilience/leader#3", Text: "instances that stall for 0.3 s: with a TTL of 200 ms the role is given at least three times as often as with 2 s",
	Of: number(auditTerms).In("ttl-200ms", stalls), Versus: new(number(auditTerms).In("ttl-2000ms", stalls)), Rel: bench.AtLeast, Bound: 3,
}
