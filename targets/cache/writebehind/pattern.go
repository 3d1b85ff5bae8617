// Package writebehind is the pattern "write-behind": a service that acknowledges a write once it is in a queue, and takes it to the
// database later, many at a time; with several queues, several ways to write a batch, and several ways to fail.
package writebehind

import "shakedown/bench"

// Pattern is the catalog entry.
var Pattern = bench.Pattern{
	Name:  "cache/write-behind",
	Title: "Write-behind (write-back)",
	Summary: "A write is acknowledged once it is in a cache or queue, and a flusher takes what waits there to the database in batches. " +
		"Between the two lies what a crash, an eviction or a refusal can take, and what a second try can do twice.",
	Claims:      claims,
	Experiments: []bench.Experiment{crashes, twice, persistence, outage, cost, eviction, ordering},
	Roles:       map[string]bench.Role{bench.ServiceRole: {New: newService, Config: Config{}}},
	Seed:        seed,
	Audit:       audit,
}

const folklore = "Folklore"

var claims = []bench.Claim{
	{
		ID: "cache/write-behind#1", Text: "Write-behind is the fastest possible write path.", Source: folklore,
		Expect: bench.DependsOn, On: "what PostgreSQL is asked to do before it answers",
	},
	{ID: "cache/write-behind#2", Text: "A crash before the flush loses data.", Source: folklore, Expect: bench.Confirmed},
	{ID: "cache/write-behind#3", Text: "Batching cuts the writes that reach the database.", Source: folklore, Expect: bench.Confirmed},
	{
		ID: "cache/write-behind#4", Text: "Write-behind is acceptable for counters and metrics: a crash costs at most a flush interval of them.",
		Source: folklore, Expect: bench.Confirmed,
	},
	{ID: "cache/write-behind#5", Text: "Write-behind needs retries and a dead-letter queue.", Source: folklore, Expect: bench.Confirmed},
	{
		ID: "cache/write-behind#6", Text: "Flushing a batch twice is harmless.",
		Source: "The naive belief; Redis documentation, \"Streams\" (what is not acknowledged is delivered again)", Expect: bench.Refuted,
	},
	{ID: "cache/write-behind#7", Text: "Dirty entries are safe in the cache.", Source: "The naive belief", Expect: bench.Refuted},
	{ID: "cache/write-behind#8", Text: "The order of writes is preserved.", Source: "The naive belief", Expect: bench.Refuted},
	{ID: "cache/write-behind#9", Text: "Never use write-behind for money.", Source: folklore, Expect: bench.Confirmed},
	{
		ID: "cache/write-behind#10", Text: "Readers see their writes.", Source: "The naive belief",
		Expect: bench.DependsOn, On: "whether they read the cache or the database",
	},
	{
		ID: "cache/write-behind#11", Text: "Flushing a batch twice is harmless when it sets what the cache holds, or when the database remembers the events.",
		Source: "Folklore (idempotent consumers)", Expect: bench.Confirmed,
	},
	{
		ID: "cache/write-behind#12", Text: "Dirty entries are safe when Redis evicts nothing (noeviction), or only what has a time to live and clean entries alone have one (volatile-lru).",
		Source: "Redis documentation, \"Key eviction\"", Expect: bench.Confirmed,
	},
	{
		ID: "cache/write-behind#13", Text: "A version that only grows keeps a newer write from being overwritten by an older one.",
		Source: folklore, Expect: bench.Confirmed,
	},
	{
		ID: "cache/write-behind#14", Text: "A stream with a consumer group, appendfsync always and a flush that is idempotent loses no acknowledged write, and books none twice.",
		Source: "Redis documentation, \"Redis persistence\" and \"Streams\"", Expect: bench.Confirmed,
	},
}
