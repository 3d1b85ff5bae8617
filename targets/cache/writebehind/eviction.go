package writebehind

import (
	"shakedown/bench"
	"shakedown/internal/units"
	"shakedown/targets/internal/crash"
)

// Orders of 4 KiB fill what Redis may use in about four seconds. The flusher comes once in three, so that what is dirty is a large part
// of what is there.
const (
	orderBytes   = 4096
	evictionRate = 300
	memoryLimit  = "8mb"
	lazyEvery    = 3 * units.Second
)

var eviction = bench.Experiment{
	Name:     "cache/write-behind/eviction",
	Question: "What becomes of dirty entries when the cache is full?",
	Note: "Orders are entries of a cache and marked as dirty until they are flushed, which happens every three seconds. Redis may use 8 MiB, which they fill. " +
		"An entry that is evicted before it was flushed is an acknowledged order that no longer exists.",
	Engines: engines(nil),
	Variants: []bench.Variant{
		through(),
		full("allkeys-lru", "any entry may be evicted", 0),
		full("noeviction", "nothing is evicted: writes are refused when the cache is full", 0),
		full("volatile-lru", "what has a time to live may be evicted; orders get one when they are clean", 60*units.Second),
	},
	Workload: bench.Workload{Ops: []bench.Op{orders}, SLO: 250 * units.Millisecond, Timeout: 3 * units.Second},
	Phases: []bench.Phase{
		{Name: "load", For: 10 * units.Second, Quick: 7 * units.Second, Rate: bench.PerSecond(evictionRate), Judged: true},
	},
	Columns: []bench.Column{
		crash.Column("acknowledged", bench.AuditAcked), crash.Column("lost", bench.AuditLost), crash.Column("money lost", auditMissing),
		{Title: "answered", Of: bench.Query{Metric: "ok"}},
		{Title: "evicted", Of: bench.Query{Metric: "series", Name: "shakedown_redis_evicted_keys_total", Stat: "increase"}},
		{Title: "largest Redis", Unit: "B", Of: bench.Query{Metric: "series", Name: "shakedown_redis_used_memory_bytes", Stat: "max"}},
	},
	Checks: []bench.Check{
		crash.Never("cache/write-behind#7", "", "allkeys-lru", "", bench.AuditLost, "no acknowledged write is lost"),
		crash.Never("cache/write-behind#12", "", "noeviction", "", bench.AuditLost, "no acknowledged write is lost"),
		{
			Claim: "cache/write-behind#12", Text: "noeviction: it was full, and at least one write in twenty was refused",
			Of: bench.Query{Metric: "failed"}.In("noeviction", ""), Rel: bench.AtLeast, Bound: 0.05, MinOps: 100,
		},
		crash.Never("cache/write-behind#12", "", "volatile-lru", "", bench.AuditLost, "no acknowledged write is lost"),
		{
			Claim: "cache/write-behind#12", Text: "volatile-lru: it was full, and a hundred entries at least were evicted",
			Of: bench.Query{Metric: "series", Name: "shakedown_redis_evicted_keys_total", Stat: "increase"}.In("volatile-lru", ""), Rel: bench.AtLeast, Bound: 100,
		},
	},
}

func full(policy, about string, ttl units.Duration) bench.Variant {
	c := base(queueDirty, flushAbsolute).every(lazyEvery)
	c.Bytes, c.CleanTTL = orderBytes, ttl
	return bench.Variant{
		Name: policy, About: about, Config: c,
		Engines: []bench.EngineSpec{{Name: "redis", Settings: map[string]string{"maxmemory": memoryLimit, "maxmemory-policy": policy}}},
	}
}
