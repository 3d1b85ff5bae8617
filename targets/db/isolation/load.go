package isolation

import (
	"strconv"

	"shakedown/bench"
	"shakedown/internal/units"
)

// retries are those of a client that is patient: a request is given up by its user before they are used up.
const (
	retries = 50
	backoff = 3 * units.Millisecond
)

// txns is the workload of the service: every request is one transaction, with a number of its own.
func txns(slo units.Duration) bench.Workload {
	return bench.Workload{
		Ops:     []bench.Op{{Name: "txn", Method: "PUT", Path: "/txn/{key}", Keys: bench.Keys{Dist: "sequential", N: 1 << 40}}},
		SLO:     slo,
		Timeout: 3 * units.Second,
	}
}

// drawn is the same with keys at random, so that requests for one key meet as they would by chance.
func drawn(slo units.Duration) bench.Workload {
	w := txns(slo)
	w.Ops[0].Keys.Dist = "uniform"
	return w
}

// at is a variant of the service at a level, which tries again what the engine has ended.
func at(name, about, level string) bench.Variant {
	return bench.Variant{Name: name, About: about, Config: Config{
		Engine: onPostgres, Level: level, Workload: listAppend, Retries: retries, Backoff: backoff, Pause: 2 * units.Millisecond, Keys: 8, Pool: 24,
	}}
}

// notQuick leaves a variant out of --quick.
func notQuick(v bench.Variant) bench.Variant {
	v.Full = true
	return v
}

// work is a level of the load: a workload on an engine, with so many keys and so much of the application's work between two statements.
func work(name, about, engine, workload string, keys int, pause units.Duration) bench.Level {
	return bench.Level{
		Name: name, About: about, Engines: []bench.EngineSpec{{Name: engine}},
		Config: map[string]any{"engine": engine, "workload": workload, "keys": keys, "pause": pause},
	}
}

var loadExperiment = bench.Experiment{
	Name:     "db/isolation/load",
	Question: "What does each isolation level let happen under load?",
	Note: "Every request is one transaction, written as an application writes it: read, compute, write. What the engine ends is tried again. The service " +
		"records each attempt with what it read and wrote, and the audit judges the history: lists by their cycles (Elle), the other four by the one rule " +
		"that each must keep. Violations of a history of lists are sorts of anomalies that serializability forbids.",
	Variants: []bench.Variant{
		at("read-committed", "the default of PostgreSQL", readCommitted),
		notQuick(at("repeatable-read", "snapshot isolation on PostgreSQL; the default of MariaDB", repeatableRead)),
		at("serializable", "", serializable),
	},
	Factor: "workload",
	Levels: []bench.Level{
		work(listAppend, "two to four appends to lists, and reads of them", onPostgres, listAppend, 8, 2*units.Millisecond),
		work(bank, "transfers between eight accounts, and reads of all", onPostgres, bank, 8, 2*units.Millisecond),
		work(writeSkew, "one of two doctors goes off call while the other is on", onPostgres, writeSkew, 4, 4*units.Millisecond),
		work(longFork, "two writes, and readers of both", onPostgres, longFork, 1, 15*units.Millisecond),
		work(lostUpdate, "four counters", onPostgres, lostUpdate, 4, 4*units.Millisecond),
		work(listAppend+" on MariaDB", "the same lists", onMariaDB, listAppend, 8, 2*units.Millisecond),
		work(lostUpdate+" on MariaDB", "the same counters", onMariaDB, lostUpdate, 4, 4*units.Millisecond),
	},
	Workload: txns(500 * units.Millisecond),
	Phases:   []bench.Phase{{Name: "load", For: 5 * units.Second, Quick: 1500 * units.Millisecond, Rate: bench.PerSecond(150), Judged: true}},
	Columns: []bench.Column{
		{Title: "violations", Unit: "found", Of: audited(bench.AuditViolations)},
		{Title: "transactions", Unit: "begun", Of: audited("transactions")},
		{Title: "ended by the engine", Unit: "ended", Of: audited("aborted")},
		{Title: "goodput", Of: bench.Query{Metric: "goodput"}},
		{Title: "p99 response", Unit: "ms", Of: bench.Query{Metric: "response_ms", Stat: "p99"}},
	},
	Checks: []bench.Check{
		unbroken("PostgreSQL: no cycle in the history of the lists", listAppend),
		unbroken("PostgreSQL: money is kept", bank),
		unbroken("PostgreSQL: somebody is on call", writeSkew),
		unbroken("PostgreSQL: all readers see one order of the writes", longFork),
		unbroken("PostgreSQL: no update is lost", lostUpdate),
		unbroken("MariaDB: no cycle in the history of the lists", listAppend+" on MariaDB"),
		unbroken("MariaDB: no update is lost", lostUpdate+" on MariaDB"),
	},
}

func audited(number string) bench.Query { return bench.Query{Metric: "audit", Name: number} }

// unbroken asserts that serializable transactions break no rule, where those of the control do.
func unbroken(text, level string) bench.Check {
	return bench.Check{
		Claim: "db/isolation#5", Text: text, Of: audited(bench.AuditViolations).In("serializable", level), Rel: bench.AtMost, Bound: 0, Unit: "violations",
		Never: true, ControlFails: true,
	}
}

var concurrencyExperiment = bench.Experiment{
	Name:     "db/isolation/concurrency",
	Question: "How many users does it take to see that the isolation level is the wrong one?",
	Note: "Users count up one counter, such as the sold pieces of an article, at read committed: read, compute for 4 ms, write. Each waits for its " +
		"answer and thinks. What is lost is the difference between the acknowledged and the counted.",
	Engines: []bench.EngineSpec{{Name: onPostgres}},
	Variants: []bench.Variant{
		{Name: "naive", About: "read, then write", Config: counting(readCommitted, noGuard, 0)},
		{Name: "atomic", About: "one statement", Config: counting(readCommitted, atomicGuard, 0)},
	},
	Factor:   "users",
	Levels:   []bench.Level{usersOf(1, 20), usersOf(2, 30), usersOf(8, 40), usersOf(64, 400)},
	Workload: drawn(500 * units.Millisecond),
	Phases:   []bench.Phase{{Name: "load", For: 5 * units.Second, Quick: 3 * units.Second, Judged: true}},
	Columns: []bench.Column{
		{Title: "acknowledged", Unit: "updates", Of: audited(numAcked)},
		{Title: "lost", Unit: "updates", Of: audited(bench.AuditViolations)},
		{Title: "lost of 10,000", Unit: "updates", Of: audited(numPer10k)},
	},
	Checks: []bench.Check{
		{
			Claim: "db/isolation#9", Text: "with one user no update is lost", Of: audited(bench.AuditViolations).In("naive", "1"),
			Rel: bench.AtMost, Bound: 0, Unit: "updates", Never: true,
		},
		{
			Claim: "db/isolation#9", Text: "with eight users more than one in a hundred is lost", Of: audited(numPer10k).In("naive", "8"),
			Rel: bench.AtLeast, Bound: 100, Unit: "of 10,000",
		},
		{
			Claim: "db/isolation#9", Text: "with 64 users more are lost than with two", Of: audited(numPer10k).In("naive", "64"),
			Versus: new(audited(numPer10k).In("naive", "2")), By: bench.Difference, Rel: bench.AtLeast, Bound: 100, Unit: "of 10,000",
		},
	},
}

// numAcked are the updates that were acknowledged, and numPer10k how many of 10,000 of them were lost.
const (
	numAcked  = "acked"
	numPer10k = "per_10k"
)

func counting(level, guard string, tries int) Config {
	return Config{
		Engine: onPostgres, Level: level, Workload: lostUpdate, Guard: guard, Retries: tries, Backoff: backoff, Pause: 4 * units.Millisecond, Keys: 1, Pool: 24,
	}
}

// usersOf are n users who think for so many ms on average: many think longer, so that the machine does not decide.
func usersOf(n int, think units.Duration) bench.Level {
	return bench.Level{Name: strconv.Itoa(n), Closed: &bench.Closed{Users: n, Think: think * units.Millisecond}}
}
