// Package relational is the pattern "relational database": a service that commits to PostgreSQL, with every setting that decides what a
// commit is worth.
package relational

import "shakedown/bench"

// Pattern is the catalog entry.
var Pattern = bench.Pattern{
	Name:  "db/relational",
	Title: "Relational database",
	Summary: "Tables, constraints and transactions on one server. A commit that was acknowledged is promised to last; two settings trade " +
		"that promise for speed, each in its own way.",
	Claims:      claims,
	Experiments: []bench.Experiment{durability},
	Roles:       map[string]bench.Role{bench.ServiceRole: {New: newService, Config: Config{}}},
	Seed:        seed,
	Audit:       audit,
}

var claims = []bench.Claim{
	{
		ID: "db/relational#14", Text: "Transactions are durable: a commit that was acknowledged is there after a crash.",
		Source: "PostgreSQL manual, chapter \"Reliability and the Write-Ahead Log\", \"Asynchronous Commit\"; T. Haerder, A. Reuter, " +
			"\"Principles of transaction-oriented database recovery\", ACM Computing Surveys 15(4), 1983",
		Expect: bench.DependsOn, On: "fsync and synchronous_commit, which are on by default",
	},
}
