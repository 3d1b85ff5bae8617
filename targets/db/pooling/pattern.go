// Package pooling is the pattern "connection pooling": a service that runs short transactions over a link of some length,
// with pools of every size, without a pool, and on PostgreSQL itself.
package pooling

import "shakedown/bench"

// Pattern is the catalog entry.
var Pattern = bench.Pattern{
	Name:  "db/pooling",
	Title: "Connection pooling",
	Summary: "Keep a number of database connections open and lend them to requests. The number bounds what the database sees " +
		"at once, and what a request may have to wait for.",
	Claims:      claims,
	Experiments: []bench.Experiment{size},
	Roles:       map[string]bench.Role{bench.ServiceRole: {New: newService, Config: Config{}}},
	Seed:        seed,
}

var claims = []bench.Claim{
	{
		ID: "db/pooling#1", Text: "A PostgreSQL connection costs about 1 to 10 MB.",
		Source: "Folklore; A. Freund, \"Measuring the Memory Overhead of a Postgres Connection\", 2020",
		Expect: bench.DependsOn, On: "what the connection has done: a fresh one, or one that has touched thousands of relations",
	},
	{
		ID: "db/pooling#2", Text: "Connecting is expensive: a tiny query takes at least ten times as long on a new connection.",
		Source: "Folklore", Expect: bench.Confirmed,
	},
	{
		ID: "db/pooling#3", Text: "A hundred concurrent requests without a pool make PostgreSQL collapse.",
		Source: "Folklore", Expect: bench.Refuted,
	},
	{
		ID: "db/pooling#4", Text: "The best pool size is cores × 2 + spindles.",
		Source: "PostgreSQL wiki, \"Number Of Database Connections\"; HikariCP, \"About Pool Sizing\"",
		Expect: bench.DependsOn, On: "the round-trip time between service and database",
	},
	{
		ID: "db/pooling#7", Text: "A growing queue for connections means that the pool is too small.",
		Source: "Folklore", Expect: bench.Refuted,
	},
}
