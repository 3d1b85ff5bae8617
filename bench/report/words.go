package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"shakedown/bench"
	"shakedown/bench/record"
	"shakedown/bench/verdict"
)

// findingMarks and verdictMarks are the signs beside a finding and a verdict, by their values.
var (
	findingMarks = map[bench.Finding]string{
		bench.Undecided: "?", bench.Confirmed: "✔", bench.Refuted: "✘", bench.DependsOn: "~",
	}
	verdictMarks = map[bench.Verdict]string{bench.Unknown: "?", bench.Holds: "✔", bench.Fails: "✘"}
)

// outcome is the finding with what was expected: "refuted, as expected", "confirmed, but refuted was expected".
func outcome(c verdict.Claim) string {
	switch {
	case c.Expect == bench.Undecided:
		return c.Finding.String() + ", nothing was expected"
	case c.AsExpected:
		return c.Finding.String() + ", as expected"
	case c.Finding == bench.Undecided:
		return "undecided; " + c.Expect.String() + " was expected"
	default:
		return c.Finding.String() + ", but " + c.Expect.String() + " was expected"
	}
}

// headline is the run's state in a few words; it is empty for a complete run that may be judged.
func headline(r verdict.Result) string {
	text := ""
	switch r.Status {
	case record.Aborted:
		text = "aborted: " + orElse(r.Run.Error, "stopped before all trials were run")
	case record.Truncated:
		text = "truncated: the run was killed before all trials were run"
	case record.Running:
		text = "still running"
	case record.Complete:
		if r.Void && decided(r) {
			return "void in part: what rests on void trials is undecided"
		}
		if r.Void {
			return "void: no verdict may be drawn"
		}
	}
	if text != "" && r.Void {
		text += "; no verdict may be drawn"
	}
	return text
}

// decided says whether any claim could be decided.
func decided(r verdict.Result) bool {
	return slices.ContainsFunc(r.Claims, func(c verdict.Claim) bool { return c.Finding != bench.Undecided })
}

// summary counts claims by finding: "2 confirmed, 1 undecided".
func summary(r verdict.Result) string {
	var parts []string
	for _, f := range []bench.Finding{bench.Confirmed, bench.Refuted, bench.DependsOn, bench.Undecided} {
		n := 0
		for _, c := range r.Claims {
			if c.Finding == f {
				n++
			}
		}
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, f))
		}
	}
	return orElse(strings.Join(parts, ", "), "no claim is decided by this experiment")
}

// trialsLine says how many trials there are, and how many of them count.
func trialsLine(r verdict.Result) string {
	void := 0
	for _, t := range r.Trials {
		if len(t.Void) > 0 {
			void++
		}
	}
	text := plural(len(r.Trials), "trial")
	if r.Run.Planned > len(r.Trials) {
		text = fmt.Sprintf("%d of %d trials", len(r.Trials), r.Run.Planned)
	}
	if void > 0 {
		text += fmt.Sprintf(", %d void", void)
	}
	return text
}

// loadLine says which load model the trials ran under, as every report must.
func loadLine(e bench.Experiment) string {
	if e.Probes() {
		return "a probe, no load"
	}
	var open, closed bool
	look := func(phases []bench.Phase, byLevel *bench.Closed) {
		for _, p := range phases {
			switch {
			case byLevel != nil || p.Closed != nil:
				closed = true
			case p.Rate != (bench.Rate{}):
				open = true
			}
		}
	}
	if len(e.Levels) == 0 {
		look(e.Phases, nil)
	}
	for _, l := range e.Levels {
		phases := e.Phases
		if l.Phases != nil {
			phases = l.Phases
		}
		look(phases, l.Closed)
	}
	switch {
	case open && closed:
		return "open and closed loop"
	case closed:
		return "closed loop"
	case open:
		return "open loop"
	}
	return "no load"
}

// hostLine is the machine in one line.
func hostLine(h record.Host) string {
	var parts []string
	if h.CPU != "" {
		parts = append(parts, h.CPU)
	}
	if h.Cores > 0 {
		parts = append(parts, plural(h.Cores, "core"))
	}
	if h.MemoryGiB > 0 {
		parts = append(parts, number(h.MemoryGiB)+" GiB")
	}
	if os := strings.TrimSpace(h.OS + " " + h.Kernel); os != "" {
		parts = append(parts, os)
	}
	return strings.Join(parts, ", ")
}

// versionLine names the versions that made the run.
func versionLine(r record.Run) string {
	parts := []string{strings.TrimSpace("shakedown " + r.Version)}
	if r.Commit != "" {
		parts[0] += " (" + r.Commit + ")"
	}
	if r.Host.GoVersion != "" {
		parts = append(parts, r.Host.GoVersion)
	}
	for _, e := range r.Engines {
		parts = append(parts, strings.TrimSpace(e.Name+" "+e.Version))
	}
	return strings.Join(parts, " · ")
}

// trialName says which trial it is: "trial 3 (plain at 2 ms, repeat 1)".
func trialName(t verdict.Trial) string {
	who := t.Variant
	if t.Level != "" {
		who += " at " + t.Level
	}
	return fmt.Sprintf("trial %d (%s, repeat %d)", t.Index, who, t.Repeat+1)
}

// voidHeading says what voidReasons are the reasons of.
func voidHeading(r verdict.Result) string {
	if r.Void {
		return "Why it is void"
	}
	return "Trials that do not count"
}

// voidReasons is everything that makes the run or one of its trials void, in full.
func voidReasons(r verdict.Result) []string {
	reasons := append([]string(nil), r.Reasons...)
	for _, t := range r.Trials {
		if len(t.Void) > 0 {
			reasons = append(reasons, trialName(t)+": "+strings.Join(t.Void, "; "))
		}
	}
	return reasons
}

// uncertainty says what stands behind the figures: the intervals, or why there are none.
func uncertainty(r verdict.Result) string {
	for _, c := range r.Cells {
		for _, e := range c.Values {
			if e.Lo != nil && e.Hi != nil {
				return "Means over repeats, with 95 % confidence intervals."
			}
		}
	}
	return "No intervals: they need three valid repeats."
}

// level is a heading for the rows of one level; it is empty where the experiment has no factor.
func level(e bench.Experiment, name string) string {
	if name == "" {
		return ""
	}
	return strings.TrimSpace(orElse(e.Factor, "level") + ": " + name)
}

// control is the name of the variant without the pattern.
func control(e bench.Experiment) string {
	if len(e.Variants) == 0 {
		return ""
	}
	return e.Variants[0].Name
}

// shell is the command as a POSIX shell reads it.
func shell(args []string) string {
	quoted := make([]string, len(args))
	for i, a := range args {
		quoted[i] = a
		if a == "" || strings.ContainsFunc(a, func(r rune) bool { return !plain(r) }) {
			quoted[i] = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}

// plain says whether a shell takes r as it is, anywhere in a word.
func plain(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_=/.,:@%+", r)
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// took is how long the run lasted, to the second; "" where it did not finish.
func took(r record.Run) string {
	if r.Finished.IsZero() || r.Finished.Before(r.Started) {
		return ""
	}
	return r.Finished.Sub(r.Started).Round(time.Second).String()
}

// checkMark is the sign beside a check: that of its verdict, or ~ where the figures cannot be told from the bound.
func checkMark(c verdict.Check) string {
	if c.Verdict == bench.Unknown && c.Effect.Tilde {
		return "~"
	}
	return verdictMarks[c.Verdict]
}

// checkReason is the reason for the check's verdict, which states its figures; without one, the effect alone.
func checkReason(c verdict.Check) string {
	text := c.Reason
	if text == "" {
		text = checkScale(c).spell(c.Effect)
	}
	if c.Control != nil && *c.Control == bench.Fails {
		text += "; on the control it fails, as it must"
	}
	return text
}

// says says whether the claim's reason already holds the check's, so that a reader need not read it twice.
func says(c verdict.Claim, k verdict.Check) bool {
	return k.Reason != "" && strings.Contains(c.Reason, k.Reason)
}

// sweepLine is the answer to a sweep in one line: "4 connections (pool-4); cores × 2 + 1 predicts 5".
func sweepLine(s verdict.Sweep) string {
	text := "none of those that ran is enough"
	if s.Found != "" {
		text = withUnit(exact(s.X), s.Unit) + " (" + s.Found + ")"
	}
	if s.Predicted != nil {
		text += "; " + orElse(s.Formula, "the rule of thumb") + " predicts " + number(*s.Predicted)
	}
	return text
}

func decimal(n uint64) string { return strconv.FormatUint(n, 10) }
