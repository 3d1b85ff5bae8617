// Package isolation is the pattern "isolation levels": transactions on PostgreSQL and MariaDB at every level of the SQL standard, and what
// each lets happen: one anomaly at a time, and all that come under load.
package isolation

import "shakedown/bench"

// Pattern is the catalog entry.
var Pattern = bench.Pattern{
	Name:  "db/isolation",
	Title: "Isolation levels",
	Summary: "How much of other transactions one may see. The four names of the standard mean something else in every engine; what a level lets " +
		"happen is found by trying.",
	Claims:      claims,
	Experiments: []bench.Experiment{matrixExperiment, invariantsExperiment},
	Probes: map[string]bench.Probe{
		"anomalies":  probeMatrix(func() []probeCase { return cases }),
		"invariants": probeMatrix(func() []probeCase { return rulesOfApplications }),
	},
}

const hermitage = "M. Kleppmann, Hermitage: testing transaction isolation levels"

var claims = []bench.Claim{
	{
		ID: "db/isolation#1", Text: "There are four distinct isolation levels of increasing strength.",
		Source: "ISO/IEC 9075-2, \"SQL-transaction isolation levels\"; PostgreSQL manual, \"Transaction Isolation\"", Expect: bench.Refuted,
	},
	{
		ID: "db/isolation#2", Text: "Read Uncommitted permits dirty reads.", Source: "ISO/IEC 9075-2; " + hermitage,
		Expect: bench.DependsOn, On: "the engine: PostgreSQL treats it as Read Committed",
	},
	{ID: "db/isolation#3", Text: "Read Committed prevents dirty reads.", Source: hermitage, Expect: bench.Confirmed},
	{
		ID: "db/isolation#4", Text: "Repeatable Read, MySQL's default, prevents phantoms.", Source: "MySQL manual, \"InnoDB and the ACID Model\"; " + hermitage,
		Expect: bench.DependsOn, On: "the engine, and on MariaDB on whether the transaction writes",
	},
	{
		ID: "db/isolation#6", Text: "Stronger isolation means more locking.", Source: "Folklore; D. Ports, K. Grittner, Serializable Snapshot Isolation in PostgreSQL, VLDB 5(12), 2012",
		Expect: bench.DependsOn, On: "the engine: PostgreSQL's predicate locks block nobody",
	},
	{
		ID: "db/isolation#10", Text: "Read Committed is right for most web applications.", Source: "Folklore; T. Warszawski, P. Bailis, ACIDRain, SIGMOD 2017",
		Expect: bench.Refuted,
	},
}
