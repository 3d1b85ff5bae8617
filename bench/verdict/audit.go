package verdict

import (
	"fmt"
	"strings"

	"shakedown/bench"
	"shakedown/bench/record"
)

// shownExamples is how many examples of an audit are shown in a line.
const shownExamples = 3

// auditLine says what the audit of a trial found wrong, with examples, or nothing where all is as it was acknowledged.
func auditLine(t record.Trial) string {
	var wrong []string
	for _, what := range []struct{ name, words string }{
		{bench.AuditLost, "lost"}, {bench.AuditChanged, "changed"}, {bench.AuditDoubled, "doubled"}, {bench.AuditPhantom, "refused and yet there"},
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
	line := fmt.Sprintf("trial %d (%s, repeat %d): of %d acknowledged writes %s", t.Index, place(t.Variant, t.Level), t.Repeat+1, t.Audit.Of, strings.Join(wrong, ", "))
	if examples := t.Audit.Examples; len(examples) > 0 {
		line += "; " + strings.Join(examples[:min(shownExamples, len(examples))], "; ")
	}
	return line
}

// ruleOfThree says what no loss in n trials leaves open: with 95 % confidence, fewer than 3 in n of such trials have one (J. Hanley,
// A. Lippman-Hand, "If nothing goes wrong, is everything all right?", JAMA 249(13), 1983). A fault is one trial, however many writes it
// meets: they are lost together.
func ruleOfThree(q bench.Query, e Estimate) string {
	if q.Metric != "audit" || e.Value != 0 || e.Missing || e.Repeats <= 3 {
		return ""
	}
	return fmt.Sprintf(" (none in %d faults: with 95 %% confidence it happens in fewer than %s %% of them)", e.Repeats, number(300/float64(e.Repeats)))
}
