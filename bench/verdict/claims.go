package verdict

import (
	"fmt"
	"strings"

	"shakedown/bench"
)

// claims judges the claims that the experiment's checks name, in the pattern's order. A claim that a check names and
// the pattern does not make comes last, with nothing but its id.
func (j *judge) claims() []Claim {
	checks := map[string][]Check{}
	var named []bench.Claim
	for _, c := range j.run.Experiment.Checks {
		if checks[c.Claim] == nil {
			named = append(named, bench.Claim{ID: c.Claim})
		}
		checks[c.Claim] = append(checks[c.Claim], j.check(c))
	}
	var out []Claim
	for _, c := range append(append([]bench.Claim{}, j.run.Claims...), named...) {
		if its := checks[c.ID]; its != nil {
			out = append(out, claim(c, its))
			delete(checks, c.ID)
		}
	}
	return out
}

func claim(c bench.Claim, checks []Check) Claim {
	f, deciding := finding(checks)
	return Claim{
		Claim: c, Finding: f, Checks: checks, Reason: because(deciding),
		// Undecided is also the expectation of a claim of which nothing is expected.
		AsExpected: c.Expect == bench.Undecided || c.Expect == f,
	}
}

// finding is what the checks come to together, and those of them that decide it:
//
//   - a check without a condition fails: refuted, whatever else is unknown;
//   - any check is unknown: undecided;
//   - every check holds: confirmed;
//   - under one condition every check holds and under another one fails: it depends;
//   - a check fails under every condition: refuted.
func finding(checks []Check) (bench.Finding, []Check) {
	var fails, unknown, holds []Check
	holdsUnder := map[string]bool{}
	for _, c := range checks {
		if _, seen := holdsUnder[c.When]; !seen {
			holdsUnder[c.When] = true
		}
		switch c.Verdict {
		case bench.Holds:
			holds = append(holds, c)
		case bench.Fails:
			fails = append(fails, c)
			holdsUnder[c.When] = false
		default:
			unknown = append(unknown, c)
		}
	}
	if _, unconditional := holdsUnder[""]; unconditional && !holdsUnder[""] {
		return bench.Refuted, withoutCondition(fails)
	}
	switch {
	case len(unknown) > 0 || len(checks) == 0:
		return bench.Undecided, unknown
	case len(fails) == 0:
		return bench.Confirmed, holds
	}
	for _, c := range holds {
		if c.When != "" && holdsUnder[c.When] {
			return bench.DependsOn, []Check{c, fails[0]}
		}
	}
	return bench.Refuted, fails
}

func withoutCondition(checks []Check) []Check {
	var some []Check
	for _, c := range checks {
		if c.When == "" {
			some = append(some, c)
		}
	}
	return some
}

// because is the reason of a claim: what the checks that decide it say, or the first two where there are many.
func because(deciding []Check) string {
	const most = 2
	var lines []string
	for _, c := range deciding[:min(len(deciding), most)] {
		line := brief(c)
		if c.When != "" {
			line = "when " + c.When + ": " + line
		}
		lines = append(lines, line)
	}
	if more := len(deciding) - most; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(lines, "; ")
}
