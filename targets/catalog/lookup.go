package catalog

import (
	"fmt"
	"slices"
	"strings"

	"shakedown/bench"
)

// Pattern is the pattern with the given name; the error of an unknown one names the nearest.
func Pattern(name string) (bench.Pattern, error) {
	var names []string
	for _, p := range Patterns() {
		if p.Name == name {
			return p, nil
		}
		names = append(names, p.Name)
	}
	return bench.Pattern{}, fmt.Errorf("there is no pattern %q%s; `shakedown list` shows them all", name, didYouMean(name, names))
}

// Experiment is the experiment with the given full name, such as "cache/aside/stampede", and its pattern.
func Experiment(name string) (bench.Pattern, bench.Experiment, error) {
	var names []string
	for _, p := range Patterns() {
		for _, e := range p.Experiments {
			if e.Name == name {
				return p, e, nil
			}
			names = append(names, e.Name)
		}
	}
	return bench.Pattern{}, bench.Experiment{}, fmt.Errorf("there is no experiment %q%s; `shakedown list` shows them all", name, didYouMean(name, names))
}

// PatternOf is the pattern that an experiment of the given full name belongs to.
func PatternOf(experiment string) (bench.Pattern, error) {
	i := strings.LastIndex(experiment, "/")
	if i < 0 {
		return bench.Pattern{}, fmt.Errorf("experiment name %q must read family/pattern/question", experiment)
	}
	return Pattern(experiment[:i])
}

// Claims are the claims that the checks of an experiment decide, whichever pattern they belong to, in catalog order.
func Claims(e bench.Experiment) ([]bench.Claim, error) {
	cited := map[string]bool{}
	for _, c := range e.Checks {
		cited[c.Claim] = true
	}
	var claims []bench.Claim
	for _, p := range Patterns() {
		for _, c := range p.Claims {
			if cited[c.ID] {
				claims = append(claims, c)
				delete(cited, c.ID)
			}
		}
	}
	for id := range cited {
		return nil, fmt.Errorf("%s cites claim %s, which no pattern makes", e.Name, id)
	}
	return claims, nil
}

// ClaimIDs are the ids of the claims that an experiment decides, in the order of its checks.
func ClaimIDs(e bench.Experiment) []string {
	var ids []string
	for _, c := range e.Checks {
		if !slices.Contains(ids, c.Claim) {
			ids = append(ids, c.Claim)
		}
	}
	return ids
}

// didYouMean is ", did you mean …?" for the name that is few enough edits away, or nothing.
func didYouMean(name string, names []string) string {
	best, least := "", len(name)/2+1
	for _, n := range names {
		if d := distance(name, n); d < least {
			best, least = n, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(", did you mean %s?", best)
}

// distance is the Levenshtein distance: how many letters to insert, remove or replace.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
