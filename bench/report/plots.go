package report

import (
	"math"
	"strconv"

	"shakedown/bench"
	"shakedown/bench/verdict"
)

// An axis places values on a drawing, in percent of its width, so that the drawing stretches and its text does not.
type axis struct {
	lo, hi float64
	log    bool
}

// axisFor spans the values with a margin. It is logarithmic where they are positive and span more than a decade.
func axisFor(values ...float64) (axis, bool) {
	a := axis{lo: math.Inf(1), hi: math.Inf(-1)}
	for _, v := range values {
		if finite(v) {
			a.lo, a.hi = min(a.lo, v), max(a.hi, v)
		}
	}
	if a.lo > a.hi {
		return axis{}, false
	}
	if a.lo > 0 && a.hi/a.lo > 10 {
		return axis{a.lo / 1.3, a.hi * 1.3, true}, true
	}
	margin := 0.1 * (a.hi - a.lo)
	if margin == 0 {
		margin = max(0.1*math.Abs(a.hi), 1e-9)
	}
	return axis{a.lo - margin, a.hi + margin, false}, true
}

// at is where v lies, from 0 to 100.
func (a axis) at(v float64) float64 {
	f := (v - a.lo) / (a.hi - a.lo)
	if a.log {
		f = 0
		if v > 0 {
			f = math.Log(v/a.lo) / math.Log(a.hi/a.lo)
		}
	}
	return 100 * max(0, min(1, f))
}

// A dot is an estimate on an axis: the value, its whisker, and the values of the repeats.
type dot struct {
	At      string
	Lo, Hi  string // both empty without an interval
	Repeats []string
	Arrow   string // in place of the dot, where the value is a bound: at least, at most
}

// percent is a position as an SVG attribute.
func percent(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) + "%" }

func (a axis) dot(e verdict.Estimate) *dot {
	if e.Missing || math.IsNaN(e.Value) {
		return nil
	}
	d := &dot{At: percent(a.at(e.Value))}
	switch {
	case e.Censored && !e.Below:
		d.Arrow = "▶"
	case e.Below && !e.Censored:
		d.Arrow = "◀"
	}
	if e.Lo != nil && e.Hi != nil {
		d.Lo, d.Hi = percent(a.at(*e.Lo)), percent(a.at(*e.Hi))
	}
	for _, v := range e.Values {
		if finite(v) {
			d.Repeats = append(d.Repeats, percent(a.at(v)))
		}
	}
	return d
}

// extent is every number of an estimate that a drawing must show.
func extent(e verdict.Estimate) []float64 {
	if e.Missing {
		return nil
	}
	values := append([]float64{e.Value}, e.Values...)
	if e.Lo != nil && e.Hi != nil {
		values = append(values, *e.Lo, *e.Hi)
	}
	return values
}

// A boundPlot draws a check's effect against its bound; the side on which the check holds is shaded.
type boundPlot struct {
	*dot
	Bound            string
	BoundText        string
	Anchor           string // of BoundText, so that it stays inside
	HoldsAt, HoldsTo string // x and width of the shade
	Log              bool
	Label            string // for those who cannot see it
}

// plotOf is nil where there is no effect to draw.
func plotOf(c verdict.Check) *boundPlot {
	unit := effectUnit(c)
	s := scaleOf(unit, c.Effect, verdict.Estimate{Value: c.Bound})
	lo, hi := c.Bound, c.Bound
	if c.Rel == bench.Equal {
		lo, hi = c.Bound-math.Abs(c.Bound*c.Band), c.Bound+math.Abs(c.Bound*c.Band)
	}
	a, ok := axisFor(append(extent(c.Effect), lo, hi)...)
	d := a.dot(c.Effect)
	if !ok || d == nil {
		return nil
	}
	p := &boundPlot{dot: d, Bound: percent(a.at(c.Bound)), BoundText: bound(c), Anchor: "middle", Log: a.log}
	switch at := a.at(c.Bound); {
	case at < 25:
		p.Anchor = "start"
	case at > 75:
		p.Anchor = "end"
	}
	from, to := 0.0, 100.0
	switch c.Rel {
	case bench.AtMost:
		to = a.at(c.Bound)
	case bench.AtLeast:
		from = a.at(c.Bound)
	case bench.Equal:
		from, to = a.at(lo), a.at(hi)
	}
	p.HoldsAt, p.HoldsTo = percent(from), percent(to-from)
	p.Label = s.spell(c.Effect) + " against " + bound(c)
	return p
}
