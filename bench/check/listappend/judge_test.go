package listappend

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"shakedown/bench"
)

// parse reads a history: "ax1 ry12; rx!" are two transactions, of which the first appended 1 to x and read 1 and 2 of y. One that ends with
// ! aborted, one that ends with ? may have.
func parse(text string) History {
	var h History
	for part := range strings.SplitSeq(text, ";") {
		t := Txn{Outcome: bench.OK}
		part = strings.TrimSpace(part)
		switch {
		case strings.HasSuffix(part, "!"):
			t.Outcome = bench.Failed
		case strings.HasSuffix(part, "?"):
			t.Outcome = bench.Unsure
		}
		for op := range strings.FieldsSeq(strings.TrimRight(part, "!?")) {
			key := int64(op[1])
			if op[0] == 'a' {
				t.Ops = append(t.Ops, Append(key, int64(op[2]-'0')))
				continue
			}
			var list []int64
			for _, c := range op[2:] {
				list = append(list, int64(c-'0'))
			}
			t.Ops = append(t.Ops, Read(key, list...))
		}
		h = append(h, t)
	}
	return h
}

func judge(t *testing.T, h History) *Judgement {
	t.Helper()
	j, err := Judge(t.Context(), h, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func found(j *Judgement) []Anomaly {
	var as []Anomaly
	for _, a := range Anomalies() {
		if j.Found(a) {
			as = append(as, a)
		}
	}
	return as
}

// The histories are those of Adya's thesis and of Elle's paper and published tests, where they have one.
var known = map[string]struct {
	history string
	has     []Anomaly
}{
	"nothing":                              {"rx ry", nil},
	"one after the other":                  {"ax1; rx1 ax2; rx12", nil},
	"Adya, figure 3: serializable":         {"az1 ax1 ay1; rx1 ay2; ry12 az3; rz13", nil},
	"own appends":                          {"ax1 rx1 ax2 rx12; rx12", nil},
	"read before an append nobody read":    {"rx ax1; ry", nil},
	"two that append and nobody read":      {"ax1; ax2; rx", nil},
	"a value that was appended later":      {"rx1; ax1 ry2; ay2", nil},
	"G0, dirty write":                      {"ax1 ay1; ax2 ay2; rx12 ry21", []Anomaly{G0}},
	"G1a, dirty read":                      {"ax1!; rx1", []Anomaly{G1a}},
	"G1a, behind another":                  {"ax1!; rx1 ax2; rx12", []Anomaly{G1a}},
	"G1b, intermediate read":               {"ax1 ax2; rx1; rx12", []Anomaly{G1b, GSingle}},
	"G1b, of another's last but one":       {"ax1 ax2; rx1", []Anomaly{G1b, GSingle}},
	"G1c, circular information flow":       {"ax1 ry1; ax2 ay1; rx12", []Anomaly{G1c}},
	"G1c, two who read each other":         {"ax1 ry1; ay1 rx1", []Anomaly{G1c}},
	"G-single, read skew":                  {"ax1 ay1; ax2 ay2; rx1 ry12; rx12", []Anomaly{GSingle}},
	"G-single, of what nobody read":        {"ax1 ay1; rx ry1", []Anomaly{GSingle}},
	"lost update, which was seen":          {"rx ax1; rx ax2; rx12", []Anomaly{GSingle}},
	"lost update, which nobody saw":        {"rx ax1; rx ax2", []Anomaly{G2Item}},
	"G-nonadjacent, long fork":             {"ax1; ay1; rx1 ry; rx ry1", []Anomaly{GNonadjacent}},
	"G2-item, write skew":                  {"rx ay1; ry ax1; rx1 ry1", []Anomaly{G2Item}},
	"G2-item, write skew that nobody read": {"rx ay1; ry ax1", []Anomaly{G2Item}},
	"G2-item, three around":                {"rx ay1; ry az1; rz ax1", []Anomaly{G2Item}},
	"G2-item, the read-only anomaly": { // A. Fekete, E. O'Neil, P. O'Neil, SIGMOD Record 33(3), 2004
		"rx ry ax1; ry ay2; rx ry2; rx1 ry2", []Anomaly{G2Item},
	},
	"an unsure append that was seen":      {"ax1?; rx1; rx1 ry; ay1 rx", []Anomaly{G2Item}},
	"an unsure transaction's reads":       {"ax2 ry?; ax1 ay1; rx12 ry1", nil},
	"an unsure append that nobody saw":    {"ax1?; rx", nil},
	"internal, a stale read":              {"ax1; ax2; rx12 ax3 rx12; rx123", []Anomaly{Internal}},
	"internal, its own append is missing": {"ax6 rx", []Anomaly{Internal}},
	"internal, another's came behind it":  {"ax1 rx12; ax2", []Anomaly{Internal}},
	"a read that is not repeated":         {"ax1; ax2; rx1 rx12", []Anomaly{GSingle}},
	"a read that goes back":               {"ax1; ax2; rx12 rx1", []Anomaly{GSingle}},
	"another's append before its own":     {"rx ax2 rx12; ax1", []Anomaly{GSingle}},
	"internal, it read its own future":    {"rx1 ax1", []Anomaly{Internal}},
	"garbage":                             {"rx7", []Anomaly{Garbage}},
	"garbage, a value twice":              {"ax1; rx11", []Anomaly{Garbage}},
	"incompatible orders":                 {"ax1; ax2; ax3; rx12; rx132", []Anomaly{Incompatible}},
	"G0 beside write skew":                {"ax1 ay1; ax2 ay2; rx12 ry21; rz au1; ru az1", []Anomaly{G0, G2Item}},
}

func TestKnownHistories(t *testing.T) {
	for name, c := range known {
		j := judge(t, parse(c.history))
		got := found(j)
		if slices.Contains(c.has, GSingle) && !slices.Contains(got, GSingle) || !subset(c.has, got) || len(c.has) == 0 && len(got) > 0 {
			t.Errorf("%s: %s has %v, want %v\n%v", name, c.history, got, c.has, j.Findings)
		}
		if len(c.has) > 0 && weakest(got) != weakest(c.has) {
			t.Errorf("%s: the level that it breaks is that of %v, want that of %v", name, got, c.has)
		}
	}
}

func subset(a, b []Anomaly) bool {
	return !slices.ContainsFunc(a, func(x Anomaly) bool { return !slices.Contains(b, x) })
}

// weakest is the weakest level that forbids one of the anomalies.
func weakest(as []Anomaly) Level {
	for _, l := range Levels() {
		if slices.ContainsFunc(as, l.Forbids) {
			return l
		}
	}
	return ""
}

func TestAnExplanationCanBeFollowed(t *testing.T) {
	j := judge(t, parse("ax1 ay1; ax2 ay2; rx1 ry12; rx12"))
	want := `G-single
  T1: a(120,2) a(121,2), ok
  T2: r(120)=[1] r(121)=[1 2], ok
  here T1 comes before T2, which read 2 in list 121 that T1 appended
  then T2 comes before T1, for it read list 120 without 2, which T1 appended: a contradiction`
	if len(j.Findings) != 1 || !equalUpToRotation(j.Findings[0].String(), want) {
		t.Errorf("%v\nwant\n%s", j.Findings, want)
	}
}

// equalUpToRotation: a cycle may be told from any of its transactions.
func equalUpToRotation(a, b string) bool {
	norm := func(s string) []string {
		s = strings.NewReplacer("  here ", "  ", "  then ", "  ", ": a contradiction", "").Replace(s)
		lines := strings.Split(s, "\n")
		slices.Sort(lines)
		return lines
	}
	return slices.Equal(norm(a), norm(b))
}

func TestVerdictsOfLevels(t *testing.T) {
	skew := judge(t, parse(known["G2-item, write skew"].history))
	for l, want := range map[Level]bench.Verdict{
		ReadUncommitted: bench.Holds, ReadCommitted: bench.Holds, Snapshot: bench.Holds, Serializable: bench.Fails,
	} {
		if got := skew.Of(l); got != want {
			t.Errorf("write skew: %s %v, want %v", l, got, want)
		}
	}
	if got := judge(t, nil).Of(Serializable); got != bench.Unknown {
		t.Errorf("nothing committed: %v", got)
	}
}

func TestTwoAppendsOfTheSameValueCannotBeJudged(t *testing.T) {
	var bad *BadHistoryError
	if _, err := Judge(t.Context(), parse("ax1; ax1"), Options{}); !errors.As(err, &bad) || !strings.Contains(err.Error(), "T0 and T1 both append 1") {
		t.Errorf("%v", err)
	}
}

func TestWithoutTimeNothingIsPassed(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	j, err := Judge(ctx, parse("ax1; rx1"), Options{})
	if err != nil || j.Of(Serializable) != bench.Unknown || j.Of(ReadUncommitted) != bench.Unknown {
		t.Errorf("%+v, %v", j, err)
	}
	j, err = Judge(ctx, parse("ax1!; rx1"), Options{}) // what is found without looking for cycles counts
	if err != nil || j.Of(ReadCommitted) != bench.Fails {
		t.Errorf("%+v, %v", j, err)
	}
}
