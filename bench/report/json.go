package report

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"

	"shakedown/bench/verdict"
)

// Document is the JSON form of a report. It always holds a list, so that a script sees one shape for one run and many.
type Document struct {
	SchemaVersion int              `json:"schema_version"`
	Runs          []verdict.Result `json:"runs"`
}

// documentVersion is the version of Document's own shape; each run states that of its Result.
const documentVersion = 1

// WriteJSON writes any number of runs as one Document. JSON has no infinity: an infinite estimate, such as a ratio to
// zero, is written as the largest number and marked as censored, and one that is no number as missing.
func WriteJSON(w io.Writer, runs []verdict.Result) error {
	doc := Document{SchemaVersion: documentVersion, Runs: make([]verdict.Result, len(runs))}
	for i, r := range runs {
		doc.Runs[i] = writable(r)
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(doc); err != nil {
		return fmt.Errorf("encoding the result: %w", err)
	}
	return nil
}

// writable is the result with every estimate in the range of JSON. It copies what it changes, and it gives lists that
// a script iterates over as [], never null.
func writable(r verdict.Result) verdict.Result {
	r.Claims = append([]verdict.Claim{}, r.Claims...)
	for i := range r.Claims {
		c := &r.Claims[i]
		c.Checks = append([]verdict.Check{}, c.Checks...)
		for j := range c.Checks {
			k := &c.Checks[j]
			k.Effect, k.Of = writableEstimate(k.Effect), writableEstimate(k.Of)
			if k.Versus != nil {
				versus := writableEstimate(*k.Versus)
				k.Versus = &versus
			}
		}
	}
	r.Cells = append([]verdict.Cell{}, r.Cells...)
	for i := range r.Cells {
		c := &r.Cells[i]
		c.Values = append([]verdict.Estimate{}, c.Values...)
		for j := range c.Values {
			c.Values[j] = writableEstimate(c.Values[j])
		}
	}
	r.Sweeps = slices.Clone(r.Sweeps)
	for i := range r.Sweeps {
		s := &r.Sweeps[i]
		s.Points = slices.Clone(s.Points)
		for j := range s.Points {
			s.Points[j].Value = writableEstimate(s.Points[j].Value)
		}
	}
	r.Trials = append([]verdict.Trial{}, r.Trials...)
	return r
}

func writableEstimate(e verdict.Estimate) verdict.Estimate {
	switch {
	case math.IsNaN(e.Value):
		e.Value, e.Missing = 0, true
	case math.IsInf(e.Value, 1):
		e.Value, e.Censored = clamp(e.Value), true
	case math.IsInf(e.Value, -1):
		e.Value, e.Below = clamp(e.Value), true
	}
	e.Lo, e.Hi = writableBound(e.Lo), writableBound(e.Hi)
	values := e.Values
	e.Values = nil
	for _, v := range values {
		if !math.IsNaN(v) {
			e.Values = append(e.Values, clamp(v))
		}
	}
	return e
}

func writableBound(v *float64) *float64 {
	if v == nil || math.IsNaN(*v) {
		return nil
	}
	b := clamp(*v)
	return &b
}

func clamp(v float64) float64 { return max(-math.MaxFloat64, min(math.MaxFloat64, v)) }
