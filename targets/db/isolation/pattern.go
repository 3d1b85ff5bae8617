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
	Experiments: []bench.Experiment{matrixExperiment, invariantsExperiment, loadExperiment, concurrencyExperiment, costExperiment, reportExperiment, standbyExperiment},
	Roles:       map[string]bench.Role{bench.ServiceRole: {New: newService, Config: Config{}}},
	Seed:        seed,
	Audit:       audit,
	Probes: map[string]bench.Probe{
		"anomalies":  probeMatrix(func() []probeCase { return cases }),
		"standby":    {Config: StandbyConfig{}, Run: probeStandby},
		"invariants": probeMatrix(func() []probeCase { return rulesOfApplications }),
	},
}

const (
	adya      = "A. Adya, Weak Consistency, 1999"
	hermitage = "M. Kleppmann, Hermitage: testing transaction isolation levels"
)

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
		ID: "db/isolation#5", Text: "Serializable makes transactions look as if they ran one after the other.", Source: adya + "; K. Kingsbury, P. Alvaro, Elle, VLDB 14(3), 2020",
		Expect: bench.Confirmed,
	},
	{
		ID: "db/isolation#6", Text: "Stronger isolation means more locking.", Source: "Folklore; D. Ports, K. Grittner, Serializable Snapshot Isolation in PostgreSQL, VLDB 5(12), 2012",
		Expect: bench.DependsOn, On: "the engine: PostgreSQL's predicate locks block nobody",
	},
	{
		ID: "db/isolation#7", Text: "Stronger isolation means lower throughput.", Source: "Folklore; D. Ports, K. Grittner, Serializable Snapshot Isolation in PostgreSQL, VLDB 5(12), 2012",
		Expect: bench.DependsOn, On: "contention",
	},
	{
		ID: "db/isolation#8", Text: "Serializable collapses under contention.", Source: "Folklore", Expect: bench.DependsOn,
		On: "whether the conflict is on one row or between rows",
	},
	{
		ID: "db/isolation#9", Text: "The wrong isolation level shows its bugs only under concurrency.", Source: "Folklore", Expect: bench.Confirmed,
	},
	{
		ID: "db/isolation#10", Text: "Read Committed is right for most web applications.", Source: "Folklore; T. Warszawski, P. Bailis, ACIDRain, SIGMOD 2017",
		Expect: bench.Refuted,
	},
	{
		ID: "db/isolation#11", Text: "Serializable needs a retry loop, and a bounded one with jitter.", Source: "PostgreSQL manual, \"Serializable Isolation Level\"",
		Expect: bench.Confirmed,
	},
	{
		ID: "db/isolation#12", Text: "A long read-only report can be serializable at no risk of being ended.",
		Source: "PostgreSQL manual, \"SET TRANSACTION\"", Expect: bench.Confirmed,
	},
	{
		ID: "db/isolation#13", Text: "Reading from a standby keeps the isolation level.", Source: "Folklore; K. Kingsbury, Jepsen: Amazon RDS for PostgreSQL 17.4, 2025",
		Expect: bench.DependsOn, On: "whether all writers wait for the same standbys",
	},
}
