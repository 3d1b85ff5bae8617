package isolation

import (
	"strings"

	"shakedown/bench"
)

var matrixExperiment = bench.Experiment{
	Name:     "db/isolation/matrix",
	Question: "Which anomalies does each isolation level let happen?",
	Note: "Two or three sessions are led through an interleaving in which one anomaly can be seen, at each level of each engine: the cases of Hermitage. " +
		"A figure of 1 says that it was seen; the examples show how, statement by statement. A statement that waits for a lock is known by asking " +
		"the engine, not by waiting, so that each run is the same. That a level prevents an anomaly is said of these cases only.",
	Probe:    "anomalies",
	Variants: levelVariants(),
	Factor:   "engine", Levels: engineLevels,
	Columns: append(caseColumns(cases), column("statements that waited", numWaits), column("transactions ended by the engine", numAborts)),
	Checks: []bench.Check{
		distinct(onPostgres, readUncommitted, readCommitted), distinct(onPostgres, readCommitted, repeatableRead), distinct(onPostgres, repeatableRead, serializable),
		distinct(onMariaDB, readUncommitted, readCommitted), distinct(onMariaDB, readCommitted, repeatableRead), distinct(onMariaDB, repeatableRead, serializable),
		{
			Claim: "db/isolation#2", When: "PostgreSQL", Text: "read uncommitted reads what is not committed", Rel: bench.AtLeast, Bound: 1,
			Of: asked(numDirty, onPostgres, readUncommitted), Unit: "cases",
		},
		{
			Claim: "db/isolation#2", When: "MariaDB", Text: "read uncommitted reads what is not committed", Rel: bench.AtLeast, Bound: 1,
			Of: asked(numDirty, onMariaDB, readUncommitted), Unit: "cases",
		},
		never("db/isolation#3", "", "PostgreSQL: read committed reads nothing that is not committed", numDirty, onPostgres, readCommitted, false),
		never("db/isolation#3", "", "MariaDB: read committed reads nothing that is not committed", numDirty, onMariaDB, readCommitted, true),
		never("db/isolation#4", "PostgreSQL, a transaction that reads", "no row appears between two reads", "PMP", onPostgres, repeatableRead, true),
		never("db/isolation#4", "PostgreSQL, a transaction that writes", "a delete meets what the reads before it met", "PMP-write", onPostgres, repeatableRead, true),
		never("db/isolation#4", "PostgreSQL, a transaction that writes", "no update is lost", "P4", onPostgres, repeatableRead, true),
		never("db/isolation#4", "MariaDB, a transaction that reads", "no row appears between two reads", "PMP", onMariaDB, repeatableRead, true),
		never("db/isolation#4", "MariaDB, a transaction that writes", "a delete meets what the reads before it met", "PMP-write", onMariaDB, repeatableRead, false),
		never("db/isolation#4", "MariaDB, a transaction that writes", "no update is lost", "P4", onMariaDB, repeatableRead, true),
		moreWaiting("PostgreSQL", onPostgres), moreWaiting("MariaDB", onMariaDB),
	},
}

// engineLevels are the engines, as levels of a probe's experiment.
var engineLevels = []bench.Level{
	{Name: onPostgres, About: "PostgreSQL", Config: map[string]any{"engine": onPostgres}, Engines: only(onPostgres)},
	{Name: onMariaDB, About: "MariaDB, InnoDB", Config: map[string]any{"engine": onMariaDB}, Engines: only(onMariaDB)},
}

// only is the engine of a level. PostgreSQL looks for deadlocks early: the cases make them on purpose, and nothing else runs.
func only(engine string) []bench.EngineSpec {
	settings := map[string]map[string]string{onPostgres: {"deadlock_timeout": "50ms"}}
	return []bench.EngineSpec{{Name: engine, Settings: settings[engine]}}
}

// variantName is an isolation level as a variant: "read-committed".
func variantName(level string) string { return strings.ReplaceAll(level, " ", "-") }

// levelVariants are the isolation levels, the weakest first: it is the control.
func levelVariants() []bench.Variant {
	var all []bench.Variant
	for _, l := range levels {
		all = append(all, bench.Variant{Name: variantName(l), Config: MatrixConfig{Engine: onPostgres, Level: l}})
	}
	return all
}

func asked(number, engine, level string) bench.Query {
	return bench.Query{Metric: "audit", Name: number}.In(variantName(level), engine)
}

func column(title, number string) bench.Column {
	return bench.Column{Title: title, Unit: "cases", Of: bench.Query{Metric: "audit", Name: number}}
}

// caseColumns are a column for each case, by its name.
func caseColumns(all []probeCase) []bench.Column {
	var columns []bench.Column
	for _, c := range all {
		columns = append(columns, column(c.name, c.name))
	}
	return columns
}

// distinct asserts that the stronger of two levels prevents a case that the weaker does not.
func distinct(engine, weaker, stronger string) bench.Check {
	versus := asked(numAnomalies, engine, stronger)
	return bench.Check{
		Claim: "db/isolation#1", Text: engine + ": " + stronger + " prevents something that " + weaker + " lets happen", Rel: bench.AtLeast, Bound: 1,
		Of: asked(numAnomalies, engine, weaker), Versus: &versus, By: bench.Difference, Unit: "cases",
	}
}

func never(claim, when, text, number, engine, level string, controlFails bool) bench.Check {
	return bench.Check{
		Claim: claim, When: when, Text: text, Of: asked(number, engine, level), Rel: bench.AtMost, Bound: 0, Unit: "cases", Never: true,
		ControlFails: controlFails,
	}
}

// moreWaiting asserts that the strongest level makes more statements wait than read committed does, over the same cases.
func moreWaiting(when, engine string) bench.Check {
	versus := asked(numWaits, engine, readCommitted)
	return bench.Check{
		Claim: "db/isolation#6", When: when, Text: "at serializable more statements wait for locks than at read committed", Rel: bench.AtLeast, Bound: 1,
		Of: asked(numWaits, engine, serializable), Versus: &versus, By: bench.Difference, Unit: "statements",
	}
}
