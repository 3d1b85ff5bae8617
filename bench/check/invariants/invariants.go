// Package invariants owns the judgement of histories of small workloads, each of which has one rule that no isolation level above a certain
// one may let break: money is kept, somebody is on call, writes are seen in one order, increments count. The package is pure; it never
// knows which database answered, or what it promised.
package invariants

import (
	"fmt"

	"shakedown/bench"
)

// A Judgement is what a history comes to.
type Judgement struct {
	// Judged is how much was looked at: reads, pairs or increments, as the rule has it. Where it is 0 nothing was shown.
	Judged int
	// Violations are the times that the rule was broken.
	Violations int
	// Examples of them, for a person to follow.
	Examples []string
}

// examples is how many are kept.
const examples = 3

func (j *Judgement) violation(format string, args ...any) {
	j.Violations++
	if len(j.Examples) < examples {
		j.Examples = append(j.Examples, fmt.Sprintf(format, args...))
	}
}

// Verdict says whether the rule held: it fails with a violation, and is unknown where nothing was judged.
func (j *Judgement) Verdict() bench.Verdict {
	switch {
	case j.Violations > 0:
		return bench.Fails
	case j.Judged == 0:
		return bench.Unknown
	}
	return bench.Holds
}

// A Cell is a key with its value.
type Cell struct{ Key, Value int64 }

// A Txn is one transaction as its client saw it.
type Txn struct {
	Name    string
	Reads   []Cell // in their order
	Writes  []Cell
	Outcome bench.Outcome
}

// committed: the client was told so.
func (t Txn) committed() bool { return t.Outcome.Answered() }

// read is what the transaction read first of a key.
func (t Txn) read(key int64) (int64, bool) {
	for _, c := range t.Reads {
		if c.Key == key {
			return c.Value, true
		}
	}
	return 0, false
}

// cells is text for people: "3=10 4=20".
func cells(cs []Cell) string {
	text := ""
	for i, c := range cs {
		if i > 0 {
			text += " "
		}
		text += fmt.Sprintf("%d=%d", c.Key, c.Value)
	}
	return text
}
