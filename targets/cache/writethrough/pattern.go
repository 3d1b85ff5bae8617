// Package writethrough is the pattern "write-through": a service that writes the database and the cache in one request, in every order
// that is tried for that, beside a cache that is told by versions or from an outbox.
package writethrough

import "shakedown/bench"

// Pattern is the catalog entry.
var Pattern = bench.Pattern{
	Name:  "cache/write-through",
	Title: "Write-through",
	Summary: "A write goes to the database and to the cache before it is acknowledged, so that readers find it there. The two writes are not " +
		"one: another writer, a crash or a refusal comes between them.",
	Claims:      claims,
	Experiments: []bench.Experiment{divergence, refusals, healing, unreadWrites, cost},
	Roles:       map[string]bench.Role{bench.ServiceRole: {New: newService, Config: Config{}}},
	Seed:        seed,
	Audit:       audit,
}

const folklore = "Folklore"

var claims = []bench.Claim{
	{ID: "cache/write-through#1", Text: "The cache stays in sync with the database.", Source: folklore, Expect: bench.Refuted},
	{ID: "cache/write-through#2", Text: "Database and cache can be written atomically.", Source: folklore, Expect: bench.Refuted},
	{ID: "cache/write-through#3", Text: "Reads hit the cache after the first write.", Source: folklore, Expect: bench.Confirmed},
	{
		ID: "cache/write-through#4", Text: "Writes are slower, since there are two of them: at least by half.", Source: folklore,
		Expect: bench.DependsOn, On: "how long the commit itself takes",
	},
	{
		ID: "cache/write-through#5", Text: "The cache fills with data that nobody reads, and readers miss more.", Source: folklore, Expect: bench.Confirmed,
	},
	{
		ID: "cache/write-through#6", Text: "A cache write that succeeds and a database write that fails leave a window in which readers see what never existed.",
		Source: folklore, Expect: bench.Confirmed,
	},
	{ID: "cache/write-through#7", Text: "A transaction closes that window.", Source: folklore, Expect: bench.Refuted},
	{ID: "cache/write-through#8", Text: "A time to live heals divergence, after that time at the latest.", Source: folklore, Expect: bench.Confirmed},
	{
		ID: "cache/write-through#9", Text: "Write-through suits workloads that need consistency.", Source: folklore + "; R. Nishtala et al., \"Scaling Memcache at Facebook\", NSDI 2013 (stale sets)",
		Expect: bench.DependsOn, On: "whether entries carry versions",
	},
	{
		ID: "cache/write-through#10", Text: "An outbox, whose relay takes committed changes to the cache by version, converges whatever dies.",
		Source: folklore + " (transactional outbox, change data capture)", Expect: bench.Confirmed,
	},
}
