package bench

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// An Auditor looks at what a trial has left in the engines, once every fault is healed and the services are still there, and accounts for
// what its users were told. env.URLs lead straight to the engines; config is the variant's; samples are all arrivals of the trial, in
// order. What it returns is recorded; the metric "audit" asks for its numbers.
type Auditor func(ctx context.Context, env Env, config json.RawMessage, samples []Sample) (Audit, error)

// An Audit is what an Auditor found.
type Audit struct {
	// Numbers by name. Names of times end in their unit, _s; all others are counts.
	Numbers map[string]float64 `json:"numbers"`
	// Of is how many acknowledged effects were accounted for; What they are, "acknowledged writes" when it is empty.
	Of   int    `json:"of"`
	What string `json:"what,omitempty"`
	// Examples are a few of the findings, for a person to follow. One may have several lines. Those that are the same in several trials
	// are shown once, so that they should not tell times where they do not matter.
	Examples []string `json:"examples,omitempty"`
}

// The numbers of an audit of writes.
const (
	AuditAcked   = "acked"   // writes that were acknowledged
	AuditLost    = "lost"    // acknowledged, and not there
	AuditLostS   = "lost_s"  // from the acknowledgement of the first lost write to that of the last
	AuditChanged = "changed" // acknowledged, and there with another value
	AuditDoubled = "doubled" // there more often than once
	AuditPhantom = "phantom" // refused or failed, and yet there
	AuditUnsure  = "unsure"  // never answered: each may be there or not
	AuditLanded  = "landed"  // of those, the ones that are there
	// AuditViolations counts what contradicts an invariant, in audits that are not of writes.
	AuditViolations = "violations"
)

// Stored is what an engine holds of one key.
type Stored struct {
	Value int64
	Times int // how often it is there; 0 means once
}

// auditExamples bounds the examples of one kind.
const auditExamples = 5

// AccountForWrites compares what users were told of their writes with what is stored. Writes are the samples of one operation, each with
// a key of its own; the value of an acknowledged one is what its answer stated, and 0 when it stated none. It is pure.
func AccountForWrites(samples []Sample, op OpID, stored map[int64]Stored) Audit {
	a := account{stored: stored, numbers: map[string]float64{
		AuditAcked: 0, AuditLost: 0, AuditLostS: 0, AuditChanged: 0, AuditDoubled: 0, AuditPhantom: 0, AuditUnsure: 0, AuditLanded: 0,
	}}
	var writes []Sample
	for _, s := range samples {
		if s.Op == op && s.Outcome != Unsent {
			writes = append(writes, s)
		}
	}
	slices.SortStableFunc(writes, func(x, y Sample) int { return cmp.Compare(x.Done, y.Done) })
	for _, s := range writes {
		a.write(s)
	}
	if n := len(a.lost); n > 0 {
		a.numbers[AuditLostS] = (a.lost[n-1].Done - a.lost[0].Done).Seconds()
		if n >= auditExamples {
			a.example(lostForm, a.lost[n-1]) // the one nearest to the fault
		}
	}
	return Audit{Numbers: a.numbers, Of: int(a.numbers[AuditAcked]), Examples: a.examples}
}

const lostForm = "lost: key %d, value %d, acknowledged at %v"

// account is an accounting under way.
type account struct {
	stored   map[int64]Stored
	numbers  map[string]float64
	lost     []Sample
	examples []string
}

func (a *account) write(s Sample) {
	is, there := a.stored[s.Key]
	if there && is.Times > 1 {
		a.count(AuditDoubled, "doubled: key %d, value %d, answered at %v", s)
	}
	switch s.Outcome {
	case OK, Degraded:
		a.numbers[AuditAcked]++
		if !there {
			a.lost = append(a.lost, s)
			a.count(AuditLost, lostForm, s)
		} else if is.Value != s.Value {
			a.count(AuditChanged, "changed: key %d, acknowledged with value %d at %v", s)
		}
	case Unsure:
		a.numbers[AuditUnsure]++
		if there {
			a.numbers[AuditLanded]++
		}
	default:
		if there {
			a.count(AuditPhantom, "phantom: key %d, value %d, turned away at %v", s)
		}
	}
}

// count counts a finding, and shows the first few of its kind.
func (a *account) count(name, form string, s Sample) {
	a.numbers[name]++
	if a.numbers[name] < auditExamples {
		a.example(form, s)
	}
}

func (a *account) example(form string, s Sample) {
	a.examples = append(a.examples, fmt.Sprintf(form, s.Key, s.Value, s.Done.Round(time.Millisecond)))
}
