package verdict

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"shakedown/bench"
	"shakedown/bench/measure"
)

// number writes three significant digits, and large numbers in full.
func number(v float64) string {
	if a := math.Abs(v); a >= 100 && a < 1e15 {
		return strconv.FormatFloat(math.Round(v), 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

// place is a variant and a level in words.
func place(variant, level string) string {
	if level == "" {
		return variant
	}
	return variant + " at " + level
}

// unitOf is the unit of the check's effect as it is printed: none for ratios and shares.
func unitOf(c bench.Check) string {
	unit := c.Unit
	switch {
	case unit != "":
	case c.Versus != nil && c.By != bench.Difference:
		return ""
	default:
		unit = measure.UnitOf(c.Of)
	}
	if unit == measure.Share || unit == measure.RatioUnit {
		return ""
	}
	return " " + unit
}

// figures is the check's effect against its bound, as one line: "goodput in the last half of recovery, budget: 0.02 ×
// control's (CI 0.01–0.03), bound ≥ 0.9".
func figures(c bench.Check, j judged) string {
	of := measure.Describe(j.ofQuery)
	if where := place(j.ofQuery.Variant, j.ofQuery.Level); where != "" {
		of += ", " + where
	}
	if j.effect.Missing {
		return of + ": no value"
	}
	unit := unitOf(c)
	text := of + ": " + size(j.effect) + unit
	if c.Versus != nil {
		if c.By == bench.Difference {
			text += " more than " + other(j.ofQuery, j.versusQuery)
		} else {
			text += " × " + other(j.ofQuery, j.versusQuery)
		}
	}
	if j.effect.Lo != nil && j.effect.Hi != nil && !j.effect.Censored && !j.effect.Below {
		text += fmt.Sprintf(" (CI %s–%s)", number(*j.effect.Lo), number(*j.effect.Hi))
	}
	text += ruleOfThree(c, j.verdict, j.effect)
	return text + ", bound " + c.Rel.Sign() + " " + number(c.Bound) + unit
}

func size(e Estimate) string {
	switch {
	case e.Censored && e.Below:
		return "about " + number(e.Value)
	case e.Censored:
		return "at least " + number(e.Value)
	case e.Below:
		return "at most " + number(e.Value)
	}
	return number(e.Value)
}

// other names the other side of a comparison by what sets it apart: "control's", or the whole query where more than
// the variant and the level differ.
func other(of, versus bench.Query) string {
	same := versus
	same.Variant, same.Level = of.Variant, of.Level
	switch {
	case same != of:
		return measure.Describe(versus) + ", " + place(versus.Variant, versus.Level)
	case versus.Level == of.Level:
		return versus.Variant + "'s"
	case versus.Variant == of.Variant:
		return "that at " + versus.Level
	}
	return versus.Variant + "'s at " + versus.Level
}

// brief is a check in its own words, and how it came out: "budget: the load stays within 10 %: holds at 1.03 × (bound ≤ 1.15 ×)".
func brief(c Check) string {
	text := c.Text
	if text == "" {
		text = measure.Describe(c.Check.Of)
	}
	if c.Verdict == bench.Unknown || c.Effect.Missing {
		return text + ": unknown; " + c.Reason
	}
	unit, e, bound := unitOf(c.Check), c.Effect, c.Bound
	switch {
	case unit == " B" && math.Abs(bound) >= mebi:
		unit, bound, e = " MiB", bound/mebi, e.over(mebi)
	case unit == "" && c.Check.Versus != nil && c.By != bench.Difference:
		unit = " ×"
	}
	text += fmt.Sprintf(": %s at %s%s", c.Verdict, size(e), unit)
	if c.Effect.Lo != nil && c.Effect.Hi != nil && !c.Effect.Censored && !c.Effect.Below && *c.Effect.Lo < *c.Effect.Hi {
		text += fmt.Sprintf(", CI %s–%s", number(*e.Lo), number(*e.Hi))
	}
	return text + ruleOfThree(c.Check, c.Verdict, c.Effect) + fmt.Sprintf(" (bound %s %s%s)", c.Rel.Sign(), number(bound), unit)
}

const mebi = 1 << 20

// over is the estimate in a larger unit.
func (e Estimate) over(unit float64) Estimate {
	e.Value /= unit
	if e.Lo != nil && e.Hi != nil {
		lo, hi := *e.Lo/unit, *e.Hi/unit
		e.Lo, e.Hi = &lo, &hi
	}
	return e
}

// reason is the line of a check: its figures, and why it could not tell where it could not.
func reason(c bench.Check, j judged) string {
	parts := []string{figures(c, j)}
	if j.why != "" {
		parts = append(parts, j.why)
	}
	return strings.Join(parts, "; ")
}
