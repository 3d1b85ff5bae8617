package bench

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// An Auditor looks at what a trial has left in the engines, once every fault is healed and the services are still there, and accounts for
// what its users were told. env.URLs lead straight to the engines; config is the variant's; samples are all arrivals of the trial, in
// order. What it returns is recorded; the metric "audit" asks for its numbers.
type Auditor func(ctx context.Context, env Env, config json.RawMessage, samples []Sample) (Audit, error)

// An Audit is what an Auditor found.
type Audit struct {
	// Numbers by name. Names of times end in their unit, _s, those of rates in _per_s and those of parts of a whole in _share; all others are
	// counts.
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

// The numbers of an audit of order.
const (
	AuditOrdered   = "ordered"   // effects whose place was looked at: the first of each acknowledged request
	AuditOvertaken = "overtaken" // of those, the ones that came after the effect of a request that was sent only later
)

// Add puts what another audit of the same trial has found beside what this one has.
func (a *Audit) Add(other Audit) {
	if a.Numbers == nil {
		a.Numbers = map[string]float64{}
	}
	maps.Copy(a.Numbers, other.Numbers)
	a.Of = max(a.Of, other.Of)
	a.Examples = append(a.Examples, other.Examples...)
}

// AccountForOrder compares the order in which effects happened with that of the requests which asked for them. Requests that were under
// way at the same time have no order. One that was acknowledged before another was sent comes first (real-time precedence: Herlihy and
// Wing, "Linearizability", ACM TOPLAS 12(3), 1990), and is overtaken when the other's effect is there before its own. Effects are keys, in
// their order; a repetition counts at its first place. It is pure.
func AccountForOrder(samples []Sample, op OpID, effects []int64) Audit {
	asked := make(map[int64]Sample, len(samples))
	for _, s := range samples {
		if s.Op == op && (s.Outcome == OK || s.Outcome == Degraded) {
			asked[s.Key] = s
		}
	}
	a := account{numbers: map[string]float64{AuditOrdered: 0, AuditOvertaken: 0}}
	var latest Sample // of those whose effects came before, the one that was sent last
	for _, key := range effects {
		s, first := asked[key]
		if !first {
			continue
		}
		delete(asked, key)
		a.numbers[AuditOrdered]++
		if latest.Sent > s.Done {
			a.numbers[AuditOvertaken]++
			if a.numbers[AuditOvertaken] < auditExamples {
				a.examples = append(a.examples, fmt.Sprintf("overtaken: key %d, acknowledged at %v, by key %d, sent at %v",
					s.Key, s.Done.Round(time.Millisecond), latest.Key, latest.Sent.Round(time.Millisecond)))
			}
		}
		if s.Sent > latest.Sent {
			latest = s
		}
	}
	return Audit{Numbers: a.numbers, Of: int(a.numbers[AuditOrdered]), Examples: a.examples}
}

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
			a.losses = append(a.losses, example(lostForm, a.lost[n-1])) // the one nearest to the fault
		}
	}
	return Audit{Numbers: a.numbers, Of: int(a.numbers[AuditAcked]), Examples: append(a.losses, a.examples...)}
}

const lostForm = "lost: key %d, value %d, acknowledged at %v"

// account is an accounting under way.
type account struct {
	stored   map[int64]Stored
	numbers  map[string]float64
	lost     []Sample
	losses   []string // examples of what was lost, which come first
	examples []string // all others
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
	to := &a.examples
	if name == AuditLost {
		to = &a.losses
	}
	if a.numbers[name] < auditExamples {
		*to = append(*to, example(form, s))
	}
}

func example(form string, s Sample) string {
	return fmt.Sprintf(form, s.Key, s.Value, s.Done.Round(time.Millisecond))
}
