package bench

import (
	"fmt"
	"slices"
	"strings"
)

// Outcome is what became of one arrival. The zero value is Unsure: nothing is known to have happened.
type Outcome uint8

// Every scheduled arrival ends in exactly one of these.
const (
	Unsure   Outcome = iota // it may have happened: time-out, reset, still in flight at the end
	OK                      // answered in full
	Degraded                // answered, and the answer says that it is less than asked for
	Refused                 // turned away on purpose: shed, rate limited, breaker open
	Failed                  // it did not happen
	Unsent                  // it never left the generator
)

var outcomes = []string{"unsure", "ok", "degraded", "refused", "failed", "unsent"}

// Outcomes are all outcomes, in the order of their values.
func Outcomes() []Outcome { return []Outcome{Unsure, OK, Degraded, Refused, Failed, Unsent} }

func (o Outcome) String() string { return outcomes[o] }

// Answered says whether the user got an answer that is of use.
func (o Outcome) Answered() bool { return o == OK || o == Degraded }

// Flags are facts about one answer that the service states in its response.
type Flags uint8

// The flags a service may set, in the response header that package serve writes.
const (
	Hit      Flags = 1 << iota // answered from a cache
	Miss                       // not found in the cache
	Stale                      // answered with a value past its time to live
	Rebuilt                    // this request rebuilt the cached value
	Retried                    // a dependency was asked more than once
	FellBack                   // a fallback answered in place of the dependency
)

var flagNames = []string{"hit", "miss", "stale", "rebuilt", "retried", "fell_back"}

func (f Flags) String() string {
	var names []string
	for i, n := range flagNames {
		if f&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	return strings.Join(names, ",")
}

// ParseFlags reads what String writes and ignores names it does not know.
func ParseFlags(s string) Flags {
	var f Flags
	for s != "" {
		var name string
		name, s, _ = strings.Cut(s, ",")
		if i := slices.Index(flagNames, strings.TrimSpace(name)); i >= 0 {
			f |= 1 << i
		}
	}
	return f
}

// Verdict is what a check comes to. The zero value is Unknown, which is never a pass.
type Verdict uint8

// The verdicts of a check.
const (
	Unknown Verdict = iota
	Holds
	Fails
)

var verdicts = []string{"unknown", "holds", "fails"}

func (v Verdict) String() string { return verdicts[v] }

// MarshalText writes the verdict's name.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads the verdict's name.
func (v *Verdict) UnmarshalText(b []byte) error { return parseEnum(v, verdicts, "verdict", b) }

// Finding is what the checks of a claim come to together. The zero value is Undecided.
type Finding uint8

// The findings on a claim.
const (
	Undecided Finding = iota
	Confirmed         // every check holds
	Refuted           // a check fails, whatever the condition
	DependsOn         // holds under one stated condition and fails under another
)

var findings = []string{"undecided", "confirmed", "refuted", "depends"}

func (f Finding) String() string { return findings[f] }

// MarshalText writes the finding's name.
func (f Finding) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads the finding's name.
func (f *Finding) UnmarshalText(b []byte) error { return parseEnum(f, findings, "finding", b) }

// Expectation is the finding that is expected before the run. Its zero value expects nothing.
type Expectation = Finding

// Rel is the relation that a check asserts between a value and its bound.
type Rel uint8

// The relations. Equal means within the check's Band of the bound, as a fraction of it.
const (
	AtMost Rel = iota
	AtLeast
	Equal
)

var rels = []string{"at_most", "at_least", "equal"}

func (r Rel) String() string { return rels[r] }

// Sign is the relation as a formula shows it.
func (r Rel) Sign() string { return [...]string{"≤", "≥", "≈"}[r] }

// MarshalText writes the relation's name.
func (r Rel) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads the relation's name.
func (r *Rel) UnmarshalText(b []byte) error { return parseEnum(r, rels, "relation", b) }

// Arrival names an arrival process of the open loop. The zero value is Poisson.
type Arrival uint8

// The arrival processes. Ramp, Step and Spike go from the phase's Rate to its Peak.
const (
	Poisson  Arrival = iota // independent users: exponential gaps
	Constant                // equal gaps
	Ramp                    // the rate rises (or falls) linearly over the whole phase
	Step                    // Rate for the first half, Peak for the second
	Spike                   // Peak for the middle fifth, Rate around it
)

var arrivals = []string{"poisson", "constant", "ramp", "step", "spike"}

func (a Arrival) String() string { return arrivals[a] }

// MarshalText writes the process's name.
func (a Arrival) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads the process's name.
func (a *Arrival) UnmarshalText(b []byte) error { return parseEnum(a, arrivals, "arrival process", b) }

func parseEnum[T ~uint8](into *T, names []string, what string, b []byte) error {
	i := slices.Index(names, string(b))
	if i < 0 {
		return fmt.Errorf("unknown %s %q; one of %s", what, b, strings.Join(names, ", "))
	}
	*into = T(i)
	return nil
}
