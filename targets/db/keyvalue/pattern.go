// Package keyvalue is the pattern "key-value store": a service that writes to Redis, with every way in which Redis may keep what it has
// acknowledged.
package keyvalue

import "shakedown/bench"

// Pattern is the catalog entry.
var Pattern = bench.Pattern{
	Name:  "db/key-value",
	Title: "Key-value store",
	Summary: "Data lives in the memory of one server and is found by its key. What is left of it after a crash is a question of how the " +
		"server writes it down, and of what crashes: the process, or the machine with its page cache.",
	Claims:      claims,
	Experiments: []bench.Experiment{durability},
	Roles:       map[string]bench.Role{bench.ServiceRole: {New: newService, Config: Config{}}},
	Seed:        seed,
	Audit:       audit,
}

var claims = []bench.Claim{
	{
		ID: "db/key-value#7", Text: "Without persistence a restart loses data; RDB and AOF fix it.",
		Source: "Folklore; Redis documentation, \"Redis persistence\"",
		Expect: bench.DependsOn, On: "the fsync policy, and whether the process dies or the power fails",
	},
	{
		ID: "db/key-value#8", Text: "appendfsync always is unusable: it costs a factor of ten.",
		Source: "Folklore; Redis documentation, \"Redis persistence\" (\"very very slow\"; group commit)",
		Expect: bench.DependsOn, On: "how long an fsync takes, and how many clients share one",
	},
}
