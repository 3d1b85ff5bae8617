package report

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"shakedown/bench"
	"shakedown/bench/measure"
	"shakedown/bench/verdict"
)

// A scale is the multiple of a base unit in which figures are shown: 0.0123 s reads 12.3 ms.
type scale struct {
	per  float64 // base units in one shown unit
	unit string
}

// prefixes are the shown units of base units that span many orders of magnitude, largest first.
var prefixes = map[string][]scale{
	"s":     {{1, "s"}, {1e-3, "ms"}, {1e-6, "µs"}},
	"ms":    {{1e3, "s"}, {1, "ms"}, {1e-3, "µs"}},
	"share": {{1e-2, "%"}},
	"B":     {{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}, {1, "B"}},
	"bytes": {{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}, {1, "B"}},
}

// scaleFor picks one unit for all of the values, so that a column can be compared by eye: the largest in which the
// smallest of them is at least one, or a larger one where the largest would run to six digits.
func scaleFor(unit string, values ...float64) scale {
	steps, ok := prefixes[unit]
	if !ok {
		return scale{1, unit}
	}
	least, most := math.Inf(1), 0.0
	for _, v := range values {
		if a := math.Abs(v); a > 0 && finite(v) {
			least, most = min(least, a), max(most, a)
		}
	}
	if most == 0 {
		return steps[max(0, slices.IndexFunc(steps, func(s scale) bool { return s.per == 1 }))]
	}
	if i := slices.IndexFunc(steps, func(s scale) bool { return least >= s.per }); i >= 0 {
		return larger(steps[:i+1], most)
	}
	return larger(steps, most)
}

// larger is the last of the steps, or the nearest before it in which the largest value has fewer than six digits.
func larger(steps []scale, most float64) scale {
	for i := len(steps) - 1; i > 0; i-- {
		if most/steps[i].per < 1e5 {
			return steps[i]
		}
	}
	return steps[0]
}

// scaleOf is the scale that fits estimates, by their values.
func scaleOf(unit string, es ...verdict.Estimate) scale {
	var values []float64
	for _, e := range es {
		if !e.Missing {
			values = append(values, e.Value)
		}
	}
	return scaleFor(unit, values...)
}

// figure is the estimate as a table shows it, without its unit: "12.3 ±0.4", "12.3 [11.1–12.8]", "≥ 30", "~ 1.02", "–".
func (s scale) figure(e verdict.Estimate) string {
	text := s.value(e)
	if iv := s.interval(e); iv != "" {
		text += " " + iv
	}
	return text
}

// value is the estimate without its interval.
func (s scale) value(e verdict.Estimate) string {
	if e.Missing || math.IsNaN(e.Value) {
		return "–"
	}
	text := number(e.Value / s.per)
	if v, lo, hi, ok := s.bounds(e); ok {
		text = fixed(v, places(v, lo, hi))
	}
	switch {
	case e.Censored && e.Below:
		text = "≈ " + text
	case e.Censored:
		text = "≥ " + text
	case e.Below:
		text = "≤ " + text
	}
	if e.Tilde {
		text = "~ " + text
	}
	return text
}

// interval is the 95 % interval: ±half where it is symmetric to the eye, [lo–hi] where it is not, "" where there is none.
func (s scale) interval(e verdict.Estimate) string {
	v, lo, hi, ok := s.bounds(e)
	if !ok {
		return ""
	}
	n := places(v, lo, hi)
	below, above := v-lo, hi-v
	half := (below + above) / 2
	switch {
	case math.Abs(above-below) > 0.2*half:
		return "[" + fixed(lo, n) + "–" + fixed(hi, n) + "]"
	case half == 0 || half >= 0.5*math.Pow10(-n):
		return "±" + fixed(half, n)
	}
	return "±" + strconv.FormatFloat(half, 'g', 1, 64)
}

// bounds are the value and the ends of its interval in the scale's unit; ok is false where there is no interval.
func (s scale) bounds(e verdict.Estimate) (v, lo, hi float64, ok bool) {
	if e.Missing || e.Lo == nil || e.Hi == nil || !finite(e.Value) || !finite(*e.Lo) || !finite(*e.Hi) {
		return 0, 0, 0, false
	}
	return e.Value / s.per, *e.Lo / s.per, *e.Hi / s.per, true
}

// spell is the estimate with its unit, for a sentence: "12.3 ±0.4 ms".
func (s scale) spell(e verdict.Estimate) string {
	return withUnit(s.figure(e), s.unit)
}

// withUnit appends a unit as one writes it: "5×" and "61 %", "12 ms", "400/s".
func withUnit(figure, unit string) string {
	switch {
	case unit == "" || figure == "–":
		return figure
	case unit == "×" || strings.HasPrefix(unit, "/"):
		return figure + unit
	default:
		return figure + " " + unit
	}
}

// number is v to three significant figures; whole and larger numbers keep every digit before the point.
func number(v float64) string {
	a := math.Abs(v)
	switch {
	case math.IsNaN(v):
		return "–"
	case math.IsInf(v, 1):
		return "∞"
	case math.IsInf(v, -1):
		return "−∞"
	case a == 0:
		return "0"
	case a < 1e-3 || a >= 1e9:
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	return fixed(v, places(v))
}

// exact is a number that a person wrote, such as a bound, with the digits that it was written with.
func exact(v float64) string {
	if a := math.Abs(v); a != 0 && (a < 1e-4 || a >= 1e9) {
		return strconv.FormatFloat(v, 'g', 6, 64)
	}
	digits := strconv.FormatFloat(v, 'f', 6, 64) // what is beyond is the noise of the change of unit
	return group(strings.TrimSuffix(strings.TrimRight(digits, "0"), "."))
}

// places is how many digits after the point make three significant figures of the first number; none where all of
// the numbers are whole.
func places(vs ...float64) int {
	fraction := func(v float64) bool { return math.Abs(v-math.Round(v)) > 1e-9*math.Abs(v) }
	if !slices.ContainsFunc(vs, fraction) {
		return 0
	}
	most := 0.0
	for _, v := range vs {
		if most = math.Abs(v); most > 0 {
			break // a zero has the digits of what it is shown with
		}
	}
	return max(0, 2-int(math.Floor(math.Log10(most))))
}

// fixed is v with so many digits after the point, grouped.
func fixed(v float64, places int) string { return group(strconv.FormatFloat(v, 'f', places, 64)) }

// group puts a comma between thousands and a true minus before negative numbers.
func group(digits string) string {
	sign := ""
	if rest, ok := strings.CutPrefix(digits, "-"); ok {
		sign, digits = "−", rest
	}
	whole, frac, dot := strings.Cut(digits, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if dot {
		whole += "." + frac
	}
	return sign + whole
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// effectUnit is the unit of a check's Effect: a ratio is "×", everything else is in the check's own unit.
func effectUnit(c verdict.Check) string {
	if c.Check.Versus != nil && c.By == bench.Ratio {
		return "×"
	}
	return unitOf(c.Unit, c.Check.Of)
}

// unitOf is the unit that was declared, or else that of the metric, as a figure shows it.
func unitOf(declared string, q bench.Query) string {
	switch unit := orElse(declared, measure.UnitOf(q)); unit {
	case measure.RatioUnit:
		return "×"
	case measure.PerSecond:
		return "/s"
	case measure.Spans, measure.InRequests: // the figure's name says what it counts
		return ""
	default:
		return unit
	}
}

// bound is what the check asserts of its effect: "≤ 1.5×", "≈ 10 ms within 5 %".
func bound(c verdict.Check) string {
	s := checkScale(c)
	text := c.Rel.Sign() + " " + withUnit(exact(c.Bound/s.per), s.unit)
	if c.Rel == bench.Equal {
		text += " within " + exact(100*c.Band) + " %"
	}
	return text
}

// checkScale is the one scale in which a check's effect and its bound are shown.
func checkScale(c verdict.Check) scale {
	return scaleOf(effectUnit(c), c.Effect, verdict.Estimate{Value: c.Bound})
}
