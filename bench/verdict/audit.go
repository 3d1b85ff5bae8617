package verdict

import (
	"cmp"
	"fmt"
	"strings"

	"shakedown/bench"
	"shakedown/bench/record"
)

// auditLine says what the audit of a trial found wrong, or nothing where all is as it should be.
func auditLine(t record.Trial) string {
	var wrong []string
	for _, what := range []struct{ name, words string }{
		{bench.AuditLost, "lost"},
		{bench.AuditChanged, "changed"},
		{bench.AuditDoubled, "doubled"},
		{bench.AuditPhantom, "refused and yet there"},
		{bench.AuditViolations, "in violation of what must hold"},
	} {
		n := t.Audit.Numbers[what.name]
		if n == 0 {
			continue
		}
		text := number(n) + " " + what.words
		if span := t.Audit.Numbers[bench.AuditLostS]; what.name == bench.AuditLost && span > 0 {
			text += fmt.Sprintf(" (those of %s s)", number(span))
		}
		wrong = append(wrong, text)
	}
	if len(wrong) == 0 {
		return ""
	}
	what := cmp.Or(t.Audit.What, "acknowledged writes")
	return fmt.Sprintf("trial %d (%s, repeat %d): of %d %s %s", t.Index, place(t.Variant, t.Level), t.Repeat+1, t.Audit.Of, what, strings.Join(wrong, ", "))
}

// ruleOfThree says what it leaves open that something never happened in n repeats: with 95 % confidence it happens in fewer than 3 of n
// (J. Hanley, A. Lippman-Hand, "If nothing goes wrong, is everything all right?", JAMA 249(13), 1983). What is counted is repeats, not
// operations: a crash loses many at once, or none.
func ruleOfThree(c bench.Check, v bench.Verdict, e Estimate) string {
	if !c.Never || v != bench.Holds || e.Repeats <= 3 {
		return ""
	}
	return fmt.Sprintf(", in none of %d repeats: with 95 %% confidence in fewer than %s %% of them", e.Repeats, number(300/float64(e.Repeats)))
}
