package leader

import (
	"shakedown/bench"
	"shakedown/chaos"
)

const failedOver = "failover"

// forgetful gives the role to another while replication is cut, and then fails Redis over to the replica, which knows nothing of that.
func forgetful() []bench.Phase {
	at := func(name string, at, stay bench.Bounds, f chaos.Fault) bench.Entry {
		return bench.Entry{Name: name, Faults: chaos.Faults{f}, At: at, For: stay}
	}
	return []bench.Phase{
		{Name: "steady", For: second, Quick: 600 * ms, Rate: bench.PerSecond(rate), Judged: true},
		{
			Name: failedOver, For: 5500 * ms, Rate: bench.PerSecond(rate), Judged: true,
			Schedule: []bench.Entry{
				at("cut", bench.Exactly(0), bench.Bounds{}, &chaos.Blackhole{Link: "redis-replica-0→redis"}),
				at("crash", bench.Exactly(600*ms), bench.Bounds{}, &chaos.Kill{Process: "service-0"}),
				at("failover", bench.Exactly(2800*ms), bench.Bounds{}, &chaos.Failover{Engine: "redis", To: "redis-replica-0"}),
			},
		},
		{Name: "after", For: 1500 * ms, Quick: second, Rate: bench.PerSecond(rate), Judged: true},
	}
}

func waiting() Config {
	c := config(storeRedis, checkStep, false)
	c.Wait = 1
	return c
}

var failoverExperiment = bench.Experiment{
	Name:     "resilience/leader/failover",
	Question: "What is left of a leader whose SET NX the new primary of Redis never saw?",
	Note: "Replication from Redis to its replica is cut; the leader dies, and another gets the role, from a primary that nobody copies; then the " +
		"replica takes over. It knows neither the grant nor its token, and gives both again. WAIT makes a grant count only when a replica has it.",
	Engines: []bench.EngineSpec{{Name: "postgres"}, {Name: "redis", Replicas: 1}},
	Variants: []bench.Variant{
		variant("redis", "no fencing", config(storeRedis, checkStep, false)),
		variant("redis-fenced", "tokens that Redis counts", config(storeRedis, checkStep, true)),
		variant("redis-wait", "WAIT for the replica", waiting()),
	},
	Workload: watchers,
	Phases:   forgetful(),
	Columns:  append([]bench.Column{{Title: "tokens that did not grow", Of: number(auditReused)}}, safetyColumns...),
	Checks: []bench.Check{
		none("resilience/leader#6", "no fencing: the resource takes no stale act", auditStale, "redis", ""),
		none("resilience/leader#6", "tokens that Redis counts: the resource takes no stale act", auditStale, "redis-fenced", ""),
		none("resilience/leader#6", "WAIT for the replica: the resource takes no stale act", auditStale, "redis-wait", ""),
	},
}
