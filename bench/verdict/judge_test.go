package verdict_test

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"shakedown/bench"
	"shakedown/bench/internal/synth"
	"shakedown/bench/record"
	"shakedown/bench/verdict"
)

// goodput is the check that most tests turn: goodput of the pattern in the fault.
func goodput(rel bench.Rel, bound float64) bench.Check {
	return bench.Check{
		Claim: "synthetic/pattern#1", Text: "it keeps answering", Rel: rel, Bound: bound,
		Of: bench.Query{Variant: "pattern", Phase: "fault", Metric: "goodput"},
	}
}

func versusControl(c bench.Check) bench.Check {
	versus := c.Of
	versus.Variant = "control"
	c.Versus = &versus
	return c
}

func controlFails(c bench.Check) bench.Check {
	c.ControlFails = true
	return c
}

// recorded is a run in which the two variants keep the given shares of goodput in the fault, one for each repeat.
func recorded(checks []bench.Check, control, pattern []float64) *synth.Recording {
	e := synth.Outage()
	e.Checks = checks
	r := synth.New(e, []bench.Claim{{ID: "synthetic/pattern#1", Text: "It keeps answering.", Expect: bench.Confirmed}}, 7)
	for i := range pattern {
		r.Add("control", "", i, map[string]synth.Behaviour{"fault": synth.Share(control[i])})
		r.Add("pattern", "", i, map[string]synth.Behaviour{"fault": synth.Share(pattern[i])})
	}
	return r
}

func judge(t *testing.T, r *synth.Recording) verdict.Result {
	t.Helper()
	result, err := verdict.Judge(r.Run, r.Load, len(r.Trials))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := json.Marshal(result); err != nil {
		t.Fatalf("the result cannot be written: %v", err)
	}
	return result
}

func TestVerdictsOfRecordingsWithKnownTruth(t *testing.T) {
	for _, test := range []struct {
		name             string
		check            bench.Check
		control, pattern []float64
		want             bench.Verdict
		reason           string
	}{
		{"far above the bound", goodput(bench.AtLeast, 0.9), []float64{0, 0, 0}, []float64{0.98, 0.99, 0.97}, bench.Holds, "bound ≥ 0.9"},
		{"far below the bound", goodput(bench.AtLeast, 0.9), []float64{0, 0, 0}, []float64{0.5, 0.52, 0.48}, bench.Fails, "CI"},
		{"an interval that holds the bound", goodput(bench.AtLeast, 0.5), []float64{0, 0, 0}, []float64{0.3, 0.5, 0.7}, bench.Unknown, "the interval holds the bound"},
		{"one repeat, clear", goodput(bench.AtLeast, 0.5), []float64{0}, []float64{0.8}, bench.Holds, "goodput in fault, pattern"},
		{"one repeat, at 0.01 from the bound", goodput(bench.AtLeast, 0.81), []float64{0}, []float64{0.8}, bench.Unknown, "too close"},
		{"a ratio far above the bound", versusControl(goodput(bench.AtLeast, 2)), []float64{0.1, 0.12, 0.11}, []float64{0.9, 0.92, 0.91}, bench.Holds, "× control's"},
		{"a ratio below the bound", versusControl(goodput(bench.AtLeast, 2)), []float64{0.9, 0.9, 0.9}, []float64{0.9, 0.9, 0.9}, bench.Fails, "× control's"},
		{"something over nothing exceeds every bound", versusControl(goodput(bench.AtLeast, 1000)), []float64{0, 0, 0}, []float64{0.9, 0.9, 0.9}, bench.Holds, "at least"},
		{"something over nothing is not at most", versusControl(goodput(bench.AtMost, 1000)), []float64{0}, []float64{0.9}, bench.Fails, "at least"},
		{"nothing over nothing", versusControl(goodput(bench.AtLeast, 2)), []float64{0, 0, 0}, []float64{0, 0, 0}, bench.Unknown, "0 ÷ 0"},
		{"the control fails too", controlFails(goodput(bench.AtLeast, 0.9)), []float64{0.1, 0.1, 0.1}, []float64{1, 1, 1}, bench.Holds, ""},
		{"the control passes too", controlFails(goodput(bench.AtLeast, 0.9)), []float64{1, 1, 1}, []float64{1, 1, 1}, bench.Unknown, "the control passes too, so this proves nothing"},
		{"the control cannot tell", controlFails(goodput(bench.AtLeast, 0.9)), []float64{0.8, 0.9, 1}, []float64{1, 1, 1}, bench.Unknown, "whether the control fails is unknown"},
		{"a failure needs no control", controlFails(goodput(bench.AtLeast, 0.9)), []float64{1, 1, 1}, []float64{0, 0, 0}, bench.Fails, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := judge(t, recorded([]bench.Check{test.check}, test.control, test.pattern)).Claims[0].Checks[0]
			if c.Verdict != test.want {
				t.Errorf("verdict %v, want %v: %s", c.Verdict, test.want, c.Reason)
			}
			if !strings.Contains(c.Reason, test.reason) {
				t.Errorf("the reason does not say %q: %s", test.reason, c.Reason)
			}
		})
	}
}

func TestADifferenceIsPairedByRepeat(t *testing.T) {
	// The repeats differ by far more than the variants do, and by the same in both.
	c := versusControl(goodput(bench.AtLeast, 0.05))
	c.By = bench.Difference
	got := judge(t, recorded([]bench.Check{c}, []float64{0.1, 0.5, 0.8}, []float64{0.3, 0.7, 1})).Claims[0].Checks[0]
	if got.Verdict != bench.Holds || !strings.Contains(got.Reason, "more than control's") {
		t.Errorf("%v: %s", got.Verdict, got.Reason)
	}
}

func TestACheckWithoutEnoughDataIsUnknown(t *testing.T) {
	base := goodput(bench.AtLeast, 0.5)
	for name, change := range map[string]func(*bench.Check){
		"needs 100000":        func(c *bench.Check) { c.MinOps = 100_000 },
		"there is no metric":  func(c *bench.Check) { c.Of.Metric = "goodness" },
		"there is no phase":   func(c *bench.Check) { c.Of.Phase = "later" },
		"there is no variant": func(c *bench.Check) { c.Of.Variant = "other" },
		"names no variant":    func(c *bench.Check) { c.Of.Variant = "" },
		"no span was recorded": func(c *bench.Check) {
			c.Of.Metric, c.Of.Name, c.Of.Stat, c.Rel = "span", "rebuild", "count", bench.AtMost
		},
		"no series matches":      func(c *bench.Check) { c.Of.Metric, c.Of.Name, c.Of.Stat, c.Rel = "series", "up", "max", bench.AtMost },
		"no attempts at \"db\"":  func(c *bench.Check) { c.Of.Metric, c.Of.Name, c.Rel = "amplification", "db", bench.AtMost },
		"no arrival was answere": func(c *bench.Check) { c.Of.Metric, c.Of.Name, c.Rel = "flag", "hit", bench.AtMost },
	} {
		t.Run(name, func(t *testing.T) {
			c := base
			change(&c)
			r := judge(t, recorded([]bench.Check{c}, []float64{0, 0, 0}, []float64{0, 0, 0}))
			got := r.Claims[0].Checks[0]
			if got.Verdict != bench.Unknown || !strings.Contains(got.Reason, name) {
				t.Errorf("%v: %s", got.Verdict, got.Reason)
			}
			if r.Claims[0].Finding != bench.Undecided || r.AsExpected {
				t.Errorf("finding %v, as expected %v", r.Claims[0].Finding, r.AsExpected)
			}
		})
	}
}

func TestAQuickRunSaysWhatItLeftOut(t *testing.T) {
	for name, change := range map[string]func(*bench.Query){
		"other":          func(q *bench.Query) { q.Variant = "other" },
		"pattern at far": func(q *bench.Query) { q.Level = "far" },
	} {
		c := goodput(bench.AtLeast, 0.5)
		change(&c.Of)
		r := recorded([]bench.Check{c}, []float64{0}, []float64{0})
		r.Run.Quick = true
		got := judge(t, r).Claims[0].Checks[0]
		if want := name + " is not part of this run, which is a quick one"; got.Verdict != bench.Unknown || !strings.Contains(got.Reason, want) {
			t.Errorf("%s: %v: %s", name, got.Verdict, got.Reason)
		}
	}
}

func TestARecoveryThatTheRecordingDidNotSee(t *testing.T) {
	// The recovery phase lasts 6 s, and the control never comes back.
	check := func(rel bench.Rel, bound float64) bench.Check {
		c := goodput(rel, bound)
		c.Of = bench.Query{Variant: "control", Phase: "fault", Metric: "recover_s", Name: "baseline"}
		return c
	}
	ratio := check(bench.AtMost, 0.5)
	ratio.Of.Variant = "pattern"
	ratio = versusControl(ratio)
	for _, test := range []struct {
		name  string
		check bench.Check
		want  bench.Verdict
	}{
		{"at least 5 s", check(bench.AtLeast, 5), bench.Holds},
		{"at least 6 s", check(bench.AtLeast, 6), bench.Holds},
		{"at most 5 s", check(bench.AtMost, 5), bench.Fails},
		{"at most 6 s", check(bench.AtMost, 6), bench.Fails},
		{"at least 10 s", check(bench.AtLeast, 10), bench.Unknown},
		{"at most 10 s", check(bench.AtMost, 10), bench.Unknown},
		{"the pattern's ÷ the control's at most half", ratio, bench.Holds},
	} {
		for _, repeats := range []int{1, 3} {
			e := synth.Outage()
			e.Checks = []bench.Check{test.check}
			r := synth.New(e, nil, 1)
			for i := range repeats {
				down := synth.Share(0)
				r.Add("control", "", i, map[string]synth.Behaviour{"fault": down, "recovery": down})
				r.Add("pattern", "", i, map[string]synth.Behaviour{"fault": down})
			}
			if c := judge(t, r).Claims[0].Checks[0]; c.Verdict != test.want {
				t.Errorf("%s, %d repeats: %v, want %v: %s", test.name, repeats, c.Verdict, test.want, c.Reason)
			}
		}
	}
}

func TestVoidTrialsAreLeftOut(t *testing.T) {
	r := recorded([]bench.Check{goodput(bench.AtLeast, 0.9)}, []float64{0, 0, 0}, []float64{1, 1, 0})
	r.Trials[5].Trial.Unhealthy = []string{"redis"} // the pattern's last repeat, in which all failed
	got := judge(t, r)
	c := got.Claims[0].Checks[0]
	if c.Verdict != bench.Holds || c.Effect.Repeats != 2 || got.Void {
		t.Errorf("%v from %d repeats, void %v: %s", c.Verdict, c.Effect.Repeats, got.Void, c.Reason)
	}
	if len(got.Trials[5].Void) == 0 || got.Cells[1].Void != 1 || got.Cells[1].Valid != 2 {
		t.Errorf("the void trial is not on record: %+v, %+v", got.Trials[5], got.Cells[1])
	}
}

func TestARunIsVoid(t *testing.T) {
	check := []bench.Check{goodput(bench.AtLeast, 0.9)}
	whole := func() *synth.Recording { return recorded(check, []float64{0, 0, 0}, []float64{1, 1, 1}) }
	for name, test := range map[string]struct {
		change func(*synth.Recording)
		reason string
	}{
		"when every trial that a check needs is void": {func(r *synth.Recording) {
			for _, i := range []int{1, 3, 5} {
				r.Trials[i].Trial.Gen.StealS = 100
			}
		}, "no trial of pattern is valid"},
		"when trials are missing":   {func(r *synth.Recording) { r.Trials, r.Run.Status = r.Trials[:4], record.Truncated }, "4 of 6 trials"},
		"when its last was aborted": {func(r *synth.Recording) { r.Trials[5].Trial.Status, r.Run.Status = record.Aborted, record.Aborted }, "5 of 6 trials"},
		"when nothing was run":      {func(r *synth.Recording) { r.Trials = nil }, "no trial was run"},
	} {
		t.Run(name, func(t *testing.T) {
			r := whole()
			if got := judge(t, r); got.Void || !got.AsExpected {
				t.Fatalf("the whole run is void: %v", got.Reasons)
			}
			test.change(r)
			got := judge(t, r)
			if !got.Void || got.AsExpected || !strings.Contains(strings.Join(got.Reasons, "\n"), test.reason) {
				t.Errorf("void %v, as expected %v: %q", got.Void, got.AsExpected, got.Reasons)
			}
		})
	}
}

func TestTheOrderOfTrialsDoesNotMatter(t *testing.T) {
	checks := []bench.Check{versusControl(goodput(bench.AtLeast, 2)), goodput(bench.AtLeast, 0.5)}
	r := recorded(checks, []float64{0.1, 0.2, 0.15, 0.12, 0.3}, []float64{0.5, 0.6, 0.4, 0.7, 0.55})
	want := judge(t, r)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 5 {
		rng.Shuffle(len(r.Trials), func(i, k int) { r.Trials[i], r.Trials[k] = r.Trials[k], r.Trials[i] })
		if got := judge(t, r); !reflect.DeepEqual(got, want) {
			t.Fatal("a shuffled run comes to something else")
		}
	}
}

func TestTheNumbersOfRepeatsDoNotMatter(t *testing.T) {
	checks := []bench.Check{versusControl(goodput(bench.AtLeast, 2))}
	r := recorded(checks, []float64{0.1, 0.2, 0.15, 0.12, 0.3}, []float64{0.5, 0.6, 0.4, 0.7, 0.55})
	want := judge(t, r).Claims[0].Checks[0]
	for _, d := range r.Trials {
		d.Trial.Repeat = (d.Trial.Repeat + 2) % 5
	}
	got := judge(t, r).Claims[0].Checks[0]
	if got.Effect.Value != want.Effect.Value || *got.Effect.Lo != *want.Effect.Lo || *got.Effect.Hi != *want.Effect.Hi {
		t.Errorf("renumbered repeats give %+v, want %+v", got.Effect, want.Effect)
	}
	if slices.Equal(got.Effect.Values, want.Effect.Values) {
		t.Error("the values do not follow the repeats, so the test tests nothing")
	}
}

func TestLevelsAreJudgedApart(t *testing.T) {
	e := synth.Outage()
	e.Factor, e.Levels = "round trip", []bench.Level{{Name: "near"}, {Name: "far"}}
	near, far := goodput(bench.AtLeast, 0.9), goodput(bench.AtLeast, 0.9)
	near.Of.Level, near.When = "near", "the dependency is near"
	far.Of.Level, far.When = "far", "the dependency is far"
	e.Checks = []bench.Check{near, far}
	r := synth.New(e, []bench.Claim{{ID: "synthetic/pattern#1", Expect: bench.DependsOn}}, 3)
	for i := range 3 {
		r.Add("pattern", "near", i, nil)
		r.Add("pattern", "far", i, map[string]synth.Behaviour{"fault": synth.Share(0.1)})
	}
	got := judge(t, r)
	if c := got.Claims[0]; c.Finding != bench.DependsOn || !c.AsExpected || !strings.Contains(c.Reason, "when the dependency is far: it keeps answering: fails at 0.1") {
		t.Errorf("%v: %s", c.Finding, c.Reason)
	}
	if len(got.Cells) != 2 || got.Cells[0].Level != "near" || got.Cells[0].Values[0].Value != 1 {
		t.Errorf("cells: %+v", got.Cells)
	}
}

func TestASweepFindsTheSmallestThatIsEnough(t *testing.T) {
	e := synth.Outage()
	e.Variants = []bench.Variant{{Name: "none"}, {Name: "20", X: 20}, {Name: "5", X: 5}, {Name: "10", X: 10}}
	e.Sweeps = []bench.Sweep{{
		Title: "smallest pool", Of: bench.Query{Phase: "fault", Metric: "goodput"}, Rel: bench.AtLeast, Bound: 0.9,
		Formula: &bench.Formula{Name: "cores × 2 + 1", PerCore: 2, Plus: 1},
	}}
	r := synth.New(e, nil, 1)
	for variant, share := range map[string]float64{"none": 1, "5": 0.4, "10": 0.95, "20": 1} {
		r.Add(variant, "", 0, map[string]synth.Behaviour{"fault": synth.Share(share)})
	}
	s := judge(t, r).Sweeps[0]
	if s.Found != "10" || s.X != 10 || *s.Predicted != 5 || len(s.Points) != 3 || s.Points[0].Variant != "5" {
		t.Errorf("%+v", s)
	}
	r.Trials, r.Run.Planned = nil, 0
	r.Add("5", "", 0, map[string]synth.Behaviour{"fault": synth.Share(0.4)})
	if s := judge(t, r).Sweeps[0]; s.Found != "" || len(s.Points) != 1 {
		t.Errorf("nothing is enough: %+v", s)
	}
}

func TestATrialThatCannotBeLoadedIsAnError(t *testing.T) {
	broken := errors.New("broken")
	_, err := verdict.Judge(record.Run{ID: "x"}, func(int) (record.Data, error) { return record.Data{}, broken }, 1)
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "trial 0") {
		t.Errorf("got %v", err)
	}
}

func TestResultsAreAlwaysWritable(t *testing.T) {
	// Recordings without a shape of any kind: whatever they hold, the result has neither NaN nor Inf.
	rng := rand.New(rand.NewPCG(5, 6))
	checks := []bench.Check{
		versusControl(goodput(bench.Equal, 0)), versusControl(goodput(bench.AtMost, 1)), controlFails(goodput(bench.AtLeast, 0)),
	}
	recovery := goodput(bench.AtMost, 1)
	recovery.Of.Metric, recovery.Of.Name = "recover_s", "baseline"
	checks = append(checks, versusControl(recovery))
	for range 15 {
		n := 1 + rng.IntN(4)
		shares := func() []float64 {
			var xs []float64
			for range n {
				xs = append(xs, float64(rng.IntN(3))/2)
			}
			return xs
		}
		r := recorded(checks, shares(), shares())
		for _, d := range r.Trials {
			if rng.IntN(3) == 0 {
				d.Samples = d.Samples[:rng.IntN(1+len(d.Samples))]
				synth.Settle(d)
			}
			if rng.IntN(4) == 0 {
				d.Trial.Phases[1].End = d.Trial.Phases[1].Start + time.Duration(rng.IntN(3))
			}
		}
		judge(t, r)
	}
}
