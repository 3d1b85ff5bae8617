package leader

import (
	"shakedown/bench"
	"shakedown/chaos"
	"shakedown/internal/units"
)

const (
	second = units.Second
	ms     = units.Millisecond

	// instances is how many want the role.
	instances = 3
	// rate of those who look: often enough to see a gap to 25 ms, and far from being work.
	rate = 40
	ttl  = second
)

// engines are all three stores, in every trial; the resource is in PostgreSQL, whatever gives the role. etcd gives no lease for less than
// one and a half election time-outs, so that one is short here.
var engines = []bench.EngineSpec{
	{Name: "postgres"},
	{Name: "redis"},
	{Name: "etcd", Settings: map[string]string{"heartbeat-interval": "50", "election-timeout": "250"}},
}

// watchers look at what the leader has done last, and ask any instance.
var watchers = bench.Workload{
	Ops: []bench.Op{{Name: "latest", Path: "/latest"}}, SLO: 250 * ms, Timeout: second,
}

func config(store, check string, fenced bool) Config {
	return Config{Store: store, TTL: ttl, Retry: 50 * ms, Work: 50 * ms, Check: check, Fenced: fenced}
}

func variant(name, about string, c Config) bench.Variant {
	return bench.Variant{Name: name, About: about, Config: c, Instances: instances}
}

// during is a trial with faults for a while in its middle, which lasts more than two TTLs.
func during(phase string, faults ...chaos.Fault) []bench.Phase {
	return []bench.Phase{
		{Name: "steady", For: second, Quick: 600 * ms, Rate: bench.PerSecond(rate), Judged: true},
		{Name: phase, For: 2500 * ms, Rate: bench.PerSecond(rate), Faults: faults, Judged: true},
		{Name: "after", For: 1500 * ms, Quick: second, Rate: bench.PerSecond(rate), Judged: true},
	}
}

// number is one of the audit's.
func number(name string) bench.Query { return bench.Query{Metric: "audit", Name: name} }

// none says that the audit must not count any, in no trial.
func none(claim, text, name, variant, level string) bench.Check {
	return bench.Check{
		Claim: claim, Text: text, Of: number(name).In(variant, level), Rel: bench.AtMost, Bound: 0, Never: true, MinOps: 20,
	}
}

var safetyColumns = []bench.Column{
	{Title: "stale acts", Of: number(auditStale)},
	{Title: "turned away", Of: number(auditRejected)},
	{Title: "two at work", Of: number(auditOverlaps)},
	{Title: "acts after the hand-over", Of: number(auditLate)},
	{Title: "for", Unit: "s", Of: number(auditLateS)},
	{Title: "terms", Of: number(auditTerms)},
	{Title: "longest silence", Unit: "ms", Of: bench.Query{Metric: "age_ms", Stat: "max"}},
}

const frozen, cutRedis, cutEtcd, late, cut = "frozen", "cut-redis", "cut-etcd", "late", "cut"

var pauseExperiment = bench.Experiment{
	Name:     "resilience/leader/pause",
	Question: "Does a leader that was stopped for longer than its lease act beside the next one?",
	Note: "Three instances want the role; the leader works for 50 ms and writes what came of it, again and again, and looks at its lease before each " +
		"piece of work. In the middle the leader is frozen, or cut off, for two and a half TTLs. The resource keeps all acts in its own order; an act is " +
		"stale when it was taken after one of a leader who was given the role later. Arrivals only look how long ago the last act was.",
	Engines: engines,
	Variants: []bench.Variant{
		variant("redis", "a key that expires; the resource takes what it is given", config(storeRedis, checkStep, false)),
		variant("redis-fenced", "the resource turns away older tokens", config(storeRedis, checkStep, true)),
		variant("etcd", "a key bound to a lease", config(storeEtcd, checkStep, false)),
		variant("etcd-fenced", "the resource turns away older revisions", config(storeEtcd, checkStep, true)),
		variant("advisory", "a session's lock in PostgreSQL, ended by idle_session_timeout", config(storeAdvisory, checkStep, false)),
		variant("advisory-fenced", "with a sequence for tokens", config(storeAdvisory, checkStep, true)),
	},
	Factor: "what happens to the leader",
	Levels: []bench.Level{
		{Name: frozen, About: "its process is stopped, and goes on", Phases: during(frozen, &chaos.Pause{Process: "service-0"})},
		{
			Name: cutRedis, About: "it does not reach Redis, and does reach the resource", Full: true, Variants: []string{"redis", "redis-fenced"},
			Phases: during(cutRedis, &chaos.Blackhole{Link: "service-0→redis"}),
		},
		{
			Name: cutEtcd, About: "it does not reach etcd, and does reach the resource", Full: true, Variants: []string{"etcd", "etcd-fenced"},
			Phases: during(cutEtcd, &chaos.Blackhole{Link: "service-0→etcd"}),
		},
		{
			Name: late, About: "what it sends to Redis and to the resource arrives late", Variants: []string{"redis", "redis-fenced"},
			Phases: during(late, lateFaults()...),
		},
	},
	Workload: watchers,
	Phases:   during(frozen, &chaos.Pause{Process: "service-0"}),
	Columns:  safetyColumns,
	Checks: []bench.Check{
		alone("Redis, a frozen leader", "redis", frozen),
		alone("etcd, a frozen leader", "etcd", frozen),
		alone("an advisory lock, a frozen leader", "advisory", frozen),
		fencedCheck("Redis, a frozen leader", "redis-fenced", frozen),
		fencedCheck("etcd, a frozen leader", "etcd-fenced", frozen),
		fencedCheck("an advisory lock, a frozen leader", "advisory-fenced", frozen),
		fencedCheck("Redis, writes that arrive late", "redis-fenced", late),
	},
}

// lateFaults keep what the leader sends, and deliver it when they are healed.
func lateFaults() []chaos.Fault {
	return []chaos.Fault{
		&chaos.Blackhole{Link: "service-0→redis", Direction: chaos.Upstream}, &chaos.Blackhole{Link: "service-0→postgres", Direction: chaos.Upstream},
	}
}

func fencedCheck(when, variant, level string) bench.Check {
	c := none("resilience/leader#8", when+": the resource takes no stale act", auditStale, variant, level)
	c.ControlFails = true
	return c
}

var stopExperiment = bench.Experiment{
	Name:     "resilience/leader/stop",
	Question: "When does a leader that has lost its lease stop?",
	Note: "The same, with a lease in Redis and no fencing, for leaders that look at their lease never (they believe in it until Redis says otherwise), before " +
		"each piece of work, and before each write too, which then may not take longer than the lease has left.",
	Engines: engines,
	Variants: []bench.Variant{
		variant("never", "until Redis says otherwise", config(storeRedis, checkNever, false)),
		variant("each-step", "by its own clock, before each piece of work", config(storeRedis, checkStep, false)),
		variant("each-write", "before each write, which must end within the lease", config(storeRedis, checkWrite, false)),
	},
	Factor: "what happens to the leader",
	Levels: []bench.Level{
		{Name: frozen, About: "its process is stopped, and goes on", Phases: during(frozen, &chaos.Pause{Process: "service-0"})},
		{
			Name: cut, About: "it does not reach Redis, and does reach the resource", Full: true,
			Phases: during(cut, &chaos.Blackhole{Link: "service-0→redis"}),
		},
		{Name: late, About: "what it sends to Redis and to the resource arrives late", Phases: during(late, lateFaults()...)},
	},
	Workload: watchers,
	Phases:   during(frozen, &chaos.Pause{Process: "service-0"}),
	Columns:  safetyColumns,
	Checks: []bench.Check{
		stops("it never looks, and is cut off from the store", "never", cut),
		stops("it never looks, and was frozen", "never", frozen),
		stops("it looks before each piece of work, and is cut off from the store", "each-step", cut),
		stops("it looks before each piece of work, and was frozen", "each-step", frozen),
		stops("it looks before each write, and was frozen", "each-write", frozen),
		stops("it looks before each write, and its writes arrive late", "each-write", late),
	},
}

func stops(when, variant, level string) bench.Check {
	return none("resilience/leader#12", when+": the resource takes no stale act", auditStale, variant, level)
}
