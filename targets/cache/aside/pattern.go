// Package aside is the pattern "cache-aside": a service that reads through Redis and rebuilds what is missing from
// PostgreSQL, with several ways to keep the expiry of a hot key from becoming a stampede.
package aside

import "shakedown/bench"

// Pattern is the catalog entry.
var Pattern = bench.Pattern{
	Name:  "cache/aside",
	Title: "Cache-aside",
	Summary: "The service asks the cache first, reads the database on a miss, and puts what it read into the cache with a " +
		"time to live. Simple, and the moment at which a much-read key expires is everybody's miss.",
	Claims:      claims,
	Experiments: []bench.Experiment{stampede},
	Roles:       map[string]bench.Role{bench.ServiceRole: {New: newService, Config: Config{}}},
	Seed:        seed,
}

var claims = []bench.Claim{
	{
		ID: "cache/aside#5", Text: "When a hot key expires, all its readers rebuild it at once: about rate × rebuild time of them.",
		Source: "A. Vattani et al., \"Optimal Probabilistic Cache Stampede Prevention\", VLDB 2015",
		Expect: bench.Confirmed,
	},
	{
		ID: "cache/aside#6", Text: "A jitter of ±10 % on the time to live mitigates the stampede.",
		Source: "Folklore",
		Expect: bench.DependsOn, On: "what expires: many keys that were loaded together, or one hot key",
	},
	{
		ID: "cache/aside#7", Text: "A mutex on a miss stops the stampede: one rebuild per expiry.",
		Source: "Folklore; R. Nishtala et al., \"Scaling Memcache at Facebook\", NSDI 2013 (leases)",
		Expect: bench.DependsOn, On: "where the mutex is: one in each process, or one in Redis",
	},
	{
		ID: "cache/aside#10", Text: "Losing the cache only costs latency.",
		Source: "The naive belief; Slack, \"Slack's Incident on 2-22-22\"",
		Expect: bench.Refuted,
	},
	{
		ID: "cache/aside#12", Text: "A hung cache is no worse than a dead one.",
		Source: "The naive belief",
		Expect: bench.Refuted,
	},
}
