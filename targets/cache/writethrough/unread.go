package writethrough

import (
	"fmt"

	"shakedown/bench"
	"shakedown/internal/units"
	"shakedown/targets/internal/crash"
)

const (
	readKeys    = 600     // all of them fit into the cache
	entryBytes  = 16000   // with its key, an entry of 16 KiB
	cacheLimit  = "12mb"  // for 600 entries, and a few connections
	unreadFrom  = 1 << 20 // the first key that nobody reads
	unreadRate  = 500     // half of it reads
	unreadLevel = "unread-95"
)

// unreadAt is a level at which so many percent of the writes are of keys that are written once and never read.
func unreadAt(percent int, full bool) bench.Level {
	popular := bench.Keys{Dist: "zipf", N: readKeys, S: 0.8}
	share := float64(percent) / 100
	ops := []bench.Op{
		{Name: "read", Path: "/item/{key}", Keys: popular},
		{Name: "write", Weight: 1 - share, Method: "PUT", Path: "/item/{key}", Keys: popular},
	}
	if percent > 0 {
		ops = append(ops, bench.Op{
			Name: "write-unread", Weight: share, Method: "PUT", Path: "/item/{key}", Keys: bench.Keys{Dist: "sequential", From: unreadFrom, N: 1 << 40},
		})
	}
	return bench.Level{
		Name: fmt.Sprintf("unread-%d", percent), About: fmt.Sprintf("%d %% of the writes are of keys that nobody reads", percent), Full: full,
		Workload: &bench.Workload{Ops: ops, SLO: 250 * units.Millisecond, Timeout: 3 * units.Second},
	}
}

// limited is a variant whose cache may not grow.
func limited(name, order, about, policy string) bench.Variant {
	c := config(order, readKeys)
	c.Bytes = entryBytes
	return bench.Variant{
		Name: name, About: about, Config: c, Instances: 1,
		Engines: []bench.EngineSpec{{Name: "redis", Settings: map[string]string{"maxmemory": cacheLimit, "maxmemory-policy": policy}}},
	}
}

var hitShare = bench.Query{Phase: "load", Op: "read", Metric: "flag", Name: "hit"}

var unreadWrites = bench.Experiment{
	Name:     "cache/write-through/unread",
	Question: "What do writes that nobody reads do to a cache that is written through?",
	Note: "The cache holds the 600 items that are read, some more often than others, and little more. Half of the requests are writes: of those items, or of " +
		"new keys that are never asked for, as orders, events and logs are. Writing through puts them all into the cache, and evicts for them; cache-aside " +
		"deletes the key and lets readers fill the cache. A commit does not wait for its fsync.",
	Engines: []bench.EngineSpec{{Name: "postgres", Settings: map[string]string{"synchronous_commit": "off"}}, {Name: "redis"}},
	Variants: []bench.Variant{
		limited(aside, aside, "cache-aside: the key is deleted, and a reader who misses fills it", "allkeys-lru"),
		limited(databaseFirst, databaseFirst, "the database, and then the cache; the least recently used entry makes room", "allkeys-lru"),
		limited(present, present, "the database, and then the cache if it has the key (SET XX)", "allkeys-lru"),
		full(limited("database-first-lfu", databaseFirst, "the database, and then the cache; the least frequently used entry makes room", "allkeys-lfu")),
	},
	Factor:   "writes that nobody reads",
	Levels:   []bench.Level{unreadAt(0, false), unreadAt(50, true), unreadAt(80, true), unreadAt(95, false)},
	Workload: *unreadAt(0, false).Workload,
	Phases: []bench.Phase{
		{Name: "warmup", For: 4 * units.Second, Quick: 2500 * units.Millisecond, Rate: bench.PerSecond(unreadRate)},
		{Name: "load", For: 6 * units.Second, Quick: 3 * units.Second, Rate: bench.PerSecond(unreadRate), Judged: true},
	},
	Columns: []bench.Column{
		{Title: "hits", Of: hitShare},
		{Title: "entries that nobody reads", Of: crash.Audited(auditUnread)},
		{Title: "evicted", Of: bench.Query{Metric: "series", Name: "shakedown_redis_evicted_keys_total", Stat: "increase"}},
		{Title: "read, median", Unit: "ms", Of: took("read", "p50")},
		{Title: "read, p99", Unit: "ms", Of: took("read", "p99")},
	},
	Checks: []bench.Check{
		{
			Claim: "cache/write-through#5", Text: "database-first, 95 % of the writes: at least half of the entries are of keys that nobody reads",
			Of: crash.Audited(auditUnread).In(databaseFirst, unreadLevel), Rel: bench.AtLeast, Bound: 0.5, MinOps: 100,
		},
		{
			Claim: "cache/write-through#5", Text: "database-first, 95 % of the writes: at least a tenth of the reads fewer are hits than with cache-aside",
			Of: hitShare.In(aside, unreadLevel), Versus: new(hitShare.In(databaseFirst, unreadLevel)), By: bench.Difference, Rel: bench.AtLeast, Bound: 0.1, MinOps: 100,
		},
	},
}

// full leaves a variant out of quick runs.
func full(v bench.Variant) bench.Variant {
	v.Full = true
	return v
}
