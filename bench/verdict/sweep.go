package verdict

import (
	"cmp"
	"slices"

	"shakedown/bench"
)

// Sweep is the answer to a sweep at one level: the variant with the smallest X that is good enough.
type Sweep struct {
	Title string `json:"title"`
	Unit  string `json:"unit,omitempty"`
	Level string `json:"level,omitempty"`
	// Found is the variant, and X its place; Found is empty when none of those that ran is good enough.
	Found string  `json:"found,omitempty"`
	X     float64 `json:"x,omitempty"`
	// Formula names the rule of thumb, and Predicted is its answer for this machine.
	Formula   string   `json:"formula,omitempty"`
	Predicted *float64 `json:"predicted,omitempty"`
	// Points are the variants with an X that ran at the level, in order of X.
	Points []SweepPoint `json:"points"`
}

// SweepPoint is one variant of a sweep. Enough says that its value, the mean over repeats, satisfies the bound.
type SweepPoint struct {
	Variant string   `json:"variant"`
	X       float64  `json:"x"`
	Value   Estimate `json:"value"`
	Enough  bool     `json:"enough"`
}

// sweeps answers every sweep at every level at which its variants gave a value. A sweep is a description of the
// machine and decides no claim, so that the means are compared and not the intervals.
func (j *judge) sweeps() []Sweep {
	var out []Sweep
	for _, s := range j.run.Experiment.Sweeps {
		for _, l := range j.run.Experiment.LevelList() {
			points := j.points(s, l.Name)
			if len(points) == 0 {
				continue
			}
			answer := Sweep{Title: s.Title, Unit: s.Unit, Level: l.Name, Points: points}
			if at := slices.IndexFunc(points, func(p SweepPoint) bool { return p.Enough }); at >= 0 {
				answer.Found, answer.X = points[at].Variant, points[at].X
			}
			if s.Formula != nil {
				predicted := s.Formula.At(j.run.Host.Cores)
				answer.Formula, answer.Predicted = s.Formula.Name, &predicted
			}
			out = append(out, answer)
		}
	}
	return out
}

func (j *judge) points(s bench.Sweep, level string) []SweepPoint {
	var points []SweepPoint
	c := bench.Check{Of: s.Of, Rel: s.Rel, Bound: s.Bound}
	for _, v := range j.run.Experiment.Variants {
		if v.X == 0 {
			continue
		}
		q := inCell(s.Of, cell{v.Name, level})
		_, data := j.repeats(q)
		e := estimate(data, arithmetic, j.run.Seed)
		if e.Missing {
			continue
		}
		enough := e.N >= minOps(c, q) && !e.Censored && compareRange(c, e.Value, e.Value, false) == bench.Holds
		points = append(points, SweepPoint{Variant: v.Name, X: v.X, Value: e, Enough: enough})
	}
	slices.SortStableFunc(points, func(a, b SweepPoint) int { return cmp.Compare(a.X, b.X) })
	return points
}
