package leader

import (
	"shakedown/bench"
	"shakedown/chaos"
	"shakedown/internal/units"
)

const (
	jumped, jumpedPostgres, restarted, restartedEtcd = "clock", "clock-postgres", "restarted", "restarted-etcd"

	// longTTL makes a leader wait for two seconds before it asks again: as long it does not hear what the store has done.
	longTTL = 10 * second
	ahead   = longTTL + 2*second
	down    = 300 * ms
)

// lasting is a variant whose lease does not end by itself before the trial does.
func lasting(name, about, store string, fenced bool) bench.Variant {
	c := config(store, checkStep, fenced)
	c.TTL = longTTL
	return variant(name, about, c)
}

// upset is a trial with a store that is disturbed once, and goes on.
func upset(phase string, stay units.Duration, f chaos.Fault) []bench.Phase {
	e := bench.Entry{Name: phase, Faults: chaos.Faults{f}, At: bench.Exactly(300 * ms)}
	if stay > 0 {
		e.For = bench.Exactly(stay)
	}
	return []bench.Phase{
		{Name: "steady", For: second, Quick: 600 * ms, Rate: bench.PerSecond(rate), Judged: true},
		{Name: phase, For: 4 * second, Rate: bench.PerSecond(rate), Schedule: []bench.Entry{e}, Judged: true},
		{Name: "after", For: second, Quick: 600 * ms, Rate: bench.PerSecond(rate), Judged: true},
	}
}

var storeExperiment = bench.Experiment{
	Name:     "resilience/leader/store",
	Question: "What is a lease worth when the store's clock jumps, or the store is started again?",
	Note: "Nothing happens to the leader. Its lease is of ten seconds, and it asks for more every two. The clock of the store jumps ahead by twelve; or the store " +
		"is killed and started again a third of a second later: Redis without persistence, as it is often run for locks, or with a log that every grant is in. " +
		"The harness changes clocks of the servers that ask the C library, which etcd does not; it measures leases by a clock that does not jump.",
	Engines: engines,
	Variants: []bench.Variant{
		lasting("redis", "a key that expires, in memory only", storeRedis, false),
		lasting("redis-fenced", "with tokens that Redis counts", storeRedis, true),
		logged(lasting("redis-aof", "a log that is synced before Redis answers (appendfsync always)", storeRedis, false)),
		lasting("etcd", "a key bound to a lease, on disk", storeEtcd, false),
		lasting("advisory", "a session's lock in PostgreSQL", storeAdvisory, false),
	},
	Factor: "what happens to the store",
	Levels: []bench.Level{
		{
			Name: jumped, About: "the clock of Redis jumps ahead by 12 s", Variants: []string{"redis", "redis-fenced"},
			Phases: upset(jumped, 0, &chaos.ClockSkew{Process: storeRedis, Offset: ahead}),
		},
		{
			Name: jumpedPostgres, About: "the clock of PostgreSQL jumps ahead by 12 s", Variants: []string{"advisory"},
			Phases: upset(jumpedPostgres, 0, &chaos.ClockSkew{Process: "postgres", Offset: ahead}),
		},
		{
			Name: restarted, About: "Redis is killed, and started again", Variants: []string{"redis", "redis-fenced", "redis-aof"},
			Phases: upset(restarted, down, &chaos.Kill{Process: storeRedis}),
		},
		{
			Name: restartedEtcd, About: "etcd is killed, and started again", Variants: []string{"etcd"},
			Phases: upset(restartedEtcd, down, &chaos.Kill{Process: storeEtcd}),
		},
	},
	Workload: watchers,
	Phases:   upset(restarted, down, &chaos.Kill{Process: storeRedis}),
	Columns:  append([]bench.Column{{Title: "tokens that did not grow", Of: number(auditReused)}}, safetyColumns...),
	Checks: []bench.Check{
		alone("Redis, whose clock jumps", "redis", jumped),
		alone("an advisory lock, and PostgreSQL's clock jumps", "advisory", jumpedPostgres),
		alone("Redis, started again", "redis", restarted),
		alone("Redis with a log, started again", "redis-aof", restarted),
		alone("etcd, started again", "etcd", restartedEtcd),
		none("resilience/leader#6", "Redis, started again: the resource takes no stale act", auditStale, "redis", restarted),
		none("resilience/leader#6", "tokens that Redis counts, started again: the resource takes no stale act", auditStale, "redis-fenced", restarted),
		none("resilience/leader#6", "Redis with a log, started again: the resource takes no stale act", auditStale, "redis-aof", restarted),
		fencedCheck("Redis, whose clock jumps", "redis-fenced", jumped),
	},
}

func alone(when, variant, level string) bench.Check {
	return none("resilience/leader#1", when+": no two work at the same time", auditOverlaps, variant, level)
}

// logged is a variant whose Redis keeps what it has acknowledged.
func logged(v bench.Variant) bench.Variant {
	v.Engines = []bench.EngineSpec{{Name: storeRedis, Settings: map[string]string{"appendonly": "yes", "appendfsync": "always"}}}
	return v
}
