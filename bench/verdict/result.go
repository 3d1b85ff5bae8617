package verdict

import (
	"shakedown/bench"
	"shakedown/bench/record"
)

// SchemaVersion is the version of Result's JSON form, published in docs/schema.
const SchemaVersion = 1

// Result is what a run comes to. It is a pure function of the run directory.
type Result struct {
	SchemaVersion int           `json:"schema_version"`
	Run           record.Run    `json:"run"`
	Status        record.Status `json:"status"`
	// Void: no verdict may be drawn; Reasons say why.
	Void    bool     `json:"void"`
	Reasons []string `json:"reasons,omitempty"`
	// AsExpected: every claim that the experiment decides came out as expected.
	AsExpected bool     `json:"as_expected"`
	Claims     []Claim  `json:"claims"`
	Cells      []Cell   `json:"cells"`
	Sweeps     []Sweep  `json:"sweeps,omitempty"` // the answers to the experiment's sweeps, level by level
	Trials     []Trial  `json:"trials"`
	Findings   []string `json:"findings,omitempty"`
	// Audits are the trials' audits in words.
	Audits []string `json:"audits,omitempty"`
	// Examples are some of the things that audits and probes counted.
	Examples []Example `json:"examples,omitempty"`
}

// Claim is a claim with what its checks came to.
type Claim struct {
	bench.Claim
	Finding    bench.Finding `json:"finding"`
	AsExpected bool          `json:"as_expected"`
	Reason     string        `json:"reason"` // one line: the deciding figures in words
	Checks     []Check       `json:"checks"`
}

// Check is a check with its verdict.
type Check struct {
	bench.Check
	Verdict bench.Verdict `json:"verdict"`
	Reason  string        `json:"reason"`
	// Effect is the compared value (a ratio, a difference, or the value itself), with its interval over repeats.
	Effect Estimate `json:"effect"`
	// Of and Versus are the two sides, in the metric's own unit; their queries are those of the embedded check.
	Of     Estimate  `json:"of_estimate"`
	Versus *Estimate `json:"versus_estimate,omitempty"`
	// Control is the verdict of the same check on the control, where ControlFails asks for it.
	Control *bench.Verdict `json:"control,omitempty"`
}

// Estimate is a value over the repeats of a run.
type Estimate struct {
	Value float64 `json:"value"`
	// Lo and Hi bound the 95 % confidence interval; both are nil with fewer than three repeats.
	Lo *float64 `json:"lo,omitempty"`
	Hi *float64 `json:"hi,omitempty"`
	// Repeats that had a value, and the values themselves in order of repeat.
	Repeats int       `json:"repeats"`
	Values  []float64 `json:"values,omitempty"`
	// N is the least number of observations behind any one value.
	N        int  `json:"n"`
	Censored bool `json:"censored,omitempty"` // Value is a bound: at least so much
	Below    bool `json:"below,omitempty"`    // Value is a bound: at most so much
	Missing  bool `json:"missing,omitempty"`  // there was nothing to estimate from
	// Tilde: the interval (or, without one, the distance) does not tell the value from the check's bound.
	Tilde bool `json:"tilde,omitempty"`
}

// Cell is one row of the table of variants: a variant at a level, with a value for each of the experiment's columns.
type Cell struct {
	Variant string     `json:"variant"`
	Level   string     `json:"level,omitempty"`
	Values  []Estimate `json:"values"`
	Valid   int        `json:"valid_trials"`
	Void    int        `json:"void_trials"`
}

// Trial is what became of one trial, for the record.
type Trial struct {
	Index   int           `json:"index"`
	Variant string        `json:"variant"`
	Level   string        `json:"level,omitempty"`
	Repeat  int           `json:"repeat"`
	Status  record.Status `json:"status"`
	Void    []string      `json:"void,omitempty"` // reasons why it may not be judged
	Ledger  bench.Ledger  `json:"ledger"`
}
