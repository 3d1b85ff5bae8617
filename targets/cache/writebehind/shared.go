package writebehind

import (
	"shakedown/bench"
	"shakedown/chaos"
	"shakedown/internal/units"
	"shakedown/targets/internal/crash"
)

// rate is how many writes arrive in a second, half of them orders and half increments: far below what two cores carry.
const rate = 300

// flushEvery is the flush interval, unless an experiment says otherwise.
const flushEvery = 100 * units.Millisecond

// base is a variant that flushes every 100 ms, up to 1000 events at a time, and tries until it succeeds.
func base(queue, flush string) Config {
	return Config{
		Queue: queue, Flush: flush, Every: flushEvery, Batch: 1000, Retry: retryBlock, Pause: 50 * units.Millisecond,
		Read: readDatabase, Pool: 16,
	}
}

func (c Config) every(d units.Duration) Config {
	c.Every = d
	return c
}

func (c Config) retrying(how string, tries int) Config {
	c.Retry, c.Tries = how, tries
	return c
}

// through is the control of every experiment: the database is written before the answer.
func through() bench.Variant {
	return bench.Variant{Name: "through", About: "the database is written before the answer", Config: base(queueNone, flushAdditive)}
}

// The operations.
var (
	orders     = bench.Op{Name: "order", Method: "PUT", Path: "/order/{key}", Keys: bench.Keys{Dist: "sequential", N: 1 << 40}}
	increments = bench.Op{Name: "count", Method: "POST", Path: "/count/{key}", Keys: bench.Keys{Dist: "zipf", N: 1000, S: 1.1}}
)

// writes is a workload of orders and increments.
func writes() bench.Workload {
	return bench.Workload{
		Ops: []bench.Op{orders, increments}, SLO: 250 * units.Millisecond, Timeout: 3 * units.Second,
	}
}

// near is a database that is 2 ms away, so that a flush takes some time.
var near = chaos.Faults{&chaos.Latency{Link: "service→postgres", Delay: units.Millisecond}}

// engines are PostgreSQL and a Redis with the settings.
func engines(redis map[string]string) []bench.EngineSpec {
	return []bench.EngineSpec{{Name: "postgres"}, {Name: "redis", Settings: redis}}
}

// kept are the settings of a Redis whose append-only file survives what it is asked to.
func kept(policy string) map[string]string {
	return map[string]string{"appendonly": "yes", "appendfsync": policy}
}

// some asserts that a number of the audit is at least 1 on average, and that it is not on the control.
func some(claim, when, variant, level, number, text string) bench.Check {
	return bench.Check{
		Claim: claim, When: when, Text: variant + ": " + text,
		Of: crash.Audited(number).In(variant, level), Rel: bench.AtLeast, Bound: 1, MinOps: 100, ControlFails: true,
	}
}
