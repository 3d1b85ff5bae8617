// Package crash is what experiments share that ask what a crash takes of acknowledged writes: the course of a trial, and the question.
package crash

import (
	"shakedown/bench"
	"shakedown/chaos"
	"shakedown/internal/units"
)

// Phases are the course of a trial: a load in whose midst the fault strikes, a while without the server, and its return. Writes of all
// phases are audited.
func Phases(perSecond float64, f chaos.Fault) []bench.Phase {
	r := bench.PerSecond(perSecond)
	return []bench.Phase{
		{Name: "load", For: 8 * units.Second, Quick: 2500 * units.Millisecond, Rate: r, Judged: true},
		{Name: "down", For: units.Second, Quick: 300 * units.Millisecond, Rate: r, Faults: chaos.Faults{f}},
		{Name: "returned", For: units.Second, Quick: 200 * units.Millisecond, Rate: r},
	}
}

// Writes is the workload: every request writes a key of its own, and is told the value.
func Writes() bench.Workload {
	return bench.Workload{
		Ops:     []bench.Op{{Name: "write", Method: "PUT", Path: "/write/{key}", Keys: bench.Keys{Dist: "sequential", N: 1 << 60}}},
		SLO:     250 * units.Millisecond,
		Timeout: 3 * units.Second,
	}
}

// ValueOf is what is written under a key: never 0, which an answer cannot state.
func ValueOf(key int64) int64 { return key + 1 }

// Audited asks for a number of the audit.
func Audited(number string) bench.Query { return bench.Query{Metric: "audit", Name: number} }

// Columns are what the audits of the given levels found, and what an answer took.
func Columns(levels ...string) []bench.Column {
	return []bench.Column{
		{Title: "acknowledged", Of: Audited(bench.AuditAcked), Levels: levels},
		{Title: "lost", Of: Audited(bench.AuditLost), Levels: levels},
		{Title: "span of the lost", Unit: "s", Of: Audited(bench.AuditLostS), Levels: levels},
		{Title: "answer, median", Unit: "ms", Of: bench.Query{Phase: "load", Metric: "answer_ms", Stat: "p50"}},
	}
}

// NothingLost asserts that no acknowledged write is lost, under the condition that is named, and that the control loses some.
func NothingLost(claim, when, variant, level string) bench.Check {
	return bench.Check{
		Claim: claim, When: when, Text: variant + ": no acknowledged write is lost",
		Of: Audited(bench.AuditLost).In(variant, level), Rel: bench.AtMost, Bound: 0, MinOps: 100, Never: true, ControlFails: true,
	}
}

// LostWithin asserts that what is lost was acknowledged within so many seconds.
func LostWithin(claim, when, variant, level, text string, seconds float64) bench.Check {
	return bench.Check{
		Claim: claim, When: when, Text: variant + ": " + text,
		Of: Audited(bench.AuditLostS).In(variant, level), Rel: bench.AtMost, Bound: seconds, MinOps: 100, Never: true,
	}
}

// Never asserts that a number of the audit is 0 in every repeat.
func Never(claim, when, variant, level, number, text string) bench.Check {
	return bench.Check{
		Claim: claim, When: when, Text: variant + ": " + text,
		Of: Audited(number).In(variant, level), Rel: bench.AtMost, Bound: 0, MinOps: 100, Never: true,
	}
}

// Column is a column of a number of the audit.
func Column(title, number string) bench.Column {
	return bench.Column{Title: title, Of: Audited(number)}
}
