package queue

import (
	"shakedown/bench"
	"shakedown/chaos"
	"shakedown/internal/units"
	"shakedown/targets/internal/crash"
)

// redisLossRate is more than the 100 a second that two workers can do, so that jobs wait when something happens to Redis.
const redisLossRate = 150

// The levels of redisLossExperiment.
const (
	failedOver = "failover"
	evicting   = "allkeys-lru"
	refusing   = "noeviction"
)

var redisLossExperiment = bench.Experiment{
	Name:     "async/queue/redis-loss",
	Question: "What of a queue on Redis outlives a failover, and a Redis that has no memory left?",
	Note: "Two workers do 100 jobs a second, and 150 come, so that some wait. Then replication to the replica is cut, a second later the primary is " +
		"killed and the replica takes over; or Redis may use a little less memory than it does, and evicts keys or refuses writes. Clients find the new " +
		"primary by themselves. WAIT lets a job count only once the replica has it.",
	Engines: append([]bench.EngineSpec{{Name: redisBroker, Replicas: 1}}, effects...), Backends: workers,
	Variants: []bench.Variant{
		{Name: "xadd", About: "accepted when the primary has it", Config: twoWorkers(0)},
		{Name: "wait", About: "accepted when the replica has it too", Config: twoWorkers(1)},
	},
	Factor: "what happens",
	Levels: []bench.Level{
		{Name: failedOver, About: "the primary is killed, and a replica that lags takes over", Phases: lagging()},
		{Name: evicting, About: "98 % of the memory in use, and the policy of a cache", Variants: []string{"xadd"}, Phases: shortOfMemory(evicting)},
		{Name: refusing, About: "98 % of the memory in use, and the policy for a queue", Variants: []string{"xadd"}, Phases: shortOfMemory(refusing)},
	},
	Workload: jobs(),
	Phases:   lagging(),
	Columns: []bench.Column{
		{Title: "acknowledged", Of: crash.Audited(bench.AuditAcked)},
		{Title: "lost", Of: crash.Audited(bench.AuditLost)},
		{Title: "done twice", Of: crash.Audited(bench.AuditDoubled)},
		{Title: "still waiting", Of: crash.Audited(auditWaiting)},
		{Title: "never answered", Of: crash.Audited(bench.AuditUnsure)},
		{Title: "failed", Unit: "share", Of: bench.Query{Phase: "trouble", Metric: "failed"}},
	},
	Checks: []bench.Check{
		someLost("a replica that lags takes over", "xadd", failedOver),
		someLost("Redis evicts keys", "xadd", evicting),
		noneLost("12", "WAIT for the replica", "wait", failedOver, true),
		noneLost("12", "Redis refuses writes instead", "xadd", refusing, false),
	},
}

func twoWorkers(replicas int) Config {
	return with(func(c *Config) { c.Consumers, c.Prefetch, c.Work, c.Replicas = 2, 1, 20*units.Millisecond, replicas })
}

func trouble(fs chaos.Faults, schedule ...bench.Entry) []bench.Phase {
	r := bench.PerSecond(redisLossRate)
	return []bench.Phase{
		{Name: "load", For: 2 * units.Second, Quick: 1500 * units.Millisecond, Rate: r, Judged: true},
		{Name: "trouble", For: 3 * units.Second, Rate: r, Judged: true, Faults: fs, Schedule: schedule},
		{Name: "after", For: 500 * units.Millisecond, Rate: r},
	}
}

// lagging fails over to a replica that has been told nothing for a while.
func lagging() []bench.Phase {
	return trouble(nil,
		bench.Entry{Name: "cut", Faults: chaos.Faults{&chaos.Blackhole{Link: "redis-replica-0→redis"}}, At: bench.Exactly(0)},
		bench.Entry{Name: "failover", Faults: chaos.Faults{&chaos.Failover{Engine: redisBroker, To: "redis-replica-0"}}, At: bench.Exactly(1200 * units.Millisecond)},
	)
}

func shortOfMemory(policy string) []bench.Phase {
	return trouble(chaos.Faults{&chaos.MaxMemory{Engine: redisBroker, OfUsed: 0.98, Policy: policy}})
}

func someLost(when, variant, level string) bench.Check {
	return bench.Check{
		Claim: id + "12", When: when, Text: variant + ", " + level + ": some acknowledged jobs are lost",
		Of: crash.Audited(bench.AuditLost).In(variant, level), Rel: bench.AtLeast, Bound: 1, MinOps: 100,
	}
}
