package report

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"shakedown/bench"
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

// scaleFor picks the unit in which the largest of the values is at least one, so that a column shares one unit.
func scaleFor(unit string, values ...float64) scale {
	steps, ok := prefixes[unit]
	if !ok {
		return scale{1, unit}
	}
	var most float64
	for _, v := range values {
		if finite(v) {
			most = max(most, math.Abs(v))
		}
	}
	if most == 0 {
		return steps[max(0, slices.IndexFunc(steps, func(s scale) bool { return s.per == 1 }))]
	}
	if i := slices.IndexFunc(steps, func(s scale) bool { return most >= s.per }); i >= 0 {
		return steps[i]
	}
	return steps[len(steps)-1]
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
	if e.Censored {
		text = "≥ " + text
	}
	if e.Tilde {
		text = "~ " + text
	}
	return text
}

// interval is the 95 % interval: ±half where it is symmetric to the eye, [lo–hi] where it is not, "" where there is none.
func (s scale) interval(e verdict.Estimate) string {
	if e.Missing || e.Lo == nil || e.Hi == nil || !finite(e.Value) || !finite(*e.Lo) || !finite(*e.Hi) {
		return ""
	}
	v, lo, hi := e.Value/s.per, *e.Lo/s.per, *e.Hi/s.per
	below, above := v-lo, hi-v
	half := (below + above) / 2
	if math.Abs(above-below) > 0.2*half {
		return "[" + number(lo) + "–" + number(hi) + "]"
	}
	if places := decimals(v); half == 0 || half >= 0.5*math.Pow10(-places) {
		return "±" + group(strconv.FormatFloat(half, 'f', places, 64))
	}
	return "±" + strconv.FormatFloat(half, 'g', 1, 64)
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

// number is v to three significant figures; larger numbers keep every digit before the point.
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
	case a == math.Trunc(a):
		return group(strconv.FormatFloat(v, 'f', 0, 64))
	}
	return group(strconv.FormatFloat(v, 'f', decimals(v), 64))
}

// decimals is how many digits after the point make three significant figures of v.
func decimals(v float64) int {
	a := math.Abs(v)
	if a == 0 || (a == math.Trunc(a) && a >= 100) {
		return 0
	}
	return max(0, 2-int(math.Floor(math.Log10(a))))
}

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
	if c.Versus != nil && c.By == bench.Ratio {
		return "×"
	}
	return c.Unit
}

// bound is what the check asserts of its effect: "≤ 1.5×", "≈ 10 ms within 5 %".
func bound(c verdict.Check) string {
	unit := effectUnit(c)
	s := scaleFor(unit, c.Bound)
	text := c.Rel.Sign() + " " + withUnit(number(c.Bound/s.per), s.unit)
	if c.Rel == bench.Equal {
		text += " within " + number(100*c.Band) + " %"
	}
	return text
}

// sides is what the check compares, in words: "p99 response_ms of plain in fault ÷ p99 response_ms of plain in baseline".
func sides(c verdict.Check) string {
	text := side(c.Of)
	switch {
	case c.Versus == nil:
		return text
	case c.By == bench.Difference:
		return text + " − " + side(*c.Versus)
	}
	return text + " ÷ " + side(*c.Versus)
}

// side is a query in words: "goodput of plain in fault".
func side(q bench.Query) string {
	words := q.Metric
	if q.Stat != "" {
		words = q.Stat + " " + words
	}
	if q.Name != "" {
		words += " (" + q.Name + ")"
	}
	for _, part := range []struct{ word, value string }{
		{"of", q.Variant}, {"at", q.Level}, {"for", q.Op}, {"in", q.Phase},
	} {
		if part.value != "" {
			words += " " + part.word + " " + part.value
		}
	}
	if q.Tail > 0 {
		words += " (last " + number(100*q.Tail) + " %)"
	}
	return words
}
