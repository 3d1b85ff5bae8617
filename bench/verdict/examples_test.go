package verdict_test

import (
	"reflect"
	"testing"

	"shakedown/bench"
	"shakedown/bench/record"
	"shakedown/bench/verdict"
)

func TestExamplesOfTheSameAreShownOnceWithAllTheirPlaces(t *testing.T) {
	run := record.Run{Status: record.Complete, Planned: 4, Experiment: bench.Experiment{
		Name: "db/isolation/matrix", Probe: "p", Variants: []bench.Variant{{Name: "rc"}, {Name: "rr"}},
		Checks: []bench.Check{
			{Claim: "db/isolation#4", Text: "none at rr", Of: bench.Query{Metric: "audit", Name: "n", Variant: "rr"}, ControlFails: true},
		},
	}, Claims: []bench.Claim{{ID: "db/isolation#4", Expect: bench.Confirmed}}}
	trial := func(index, repeat int, variant string, n float64, examples ...string) record.Data {
		return record.Data{Trial: record.Trial{Index: index, Repeat: repeat, Variant: variant, Status: record.Complete, Audit: &bench.Audit{
			Numbers: map[string]float64{"n": n, bench.AuditViolations: n}, Of: 9, What: "cases", Examples: examples,
		}}}
	}
	trials := []record.Data{ // in the order in which they ran
		trial(0, 0, "rr", 0, "two"), trial(1, 0, "rc", 2, "one", "two"), trial(2, 1, "rc", 2, "one", "three\nlines"), trial(3, 1, "rr", 0),
	}
	r, err := verdict.Judge(run, func(i int) (record.Data, error) { return trials[i], nil }, len(trials))
	if err != nil {
		t.Fatal(err)
	}
	rc0, rc1, rr0 := verdict.Sighting{Trial: 1, Variant: "rc"}, verdict.Sighting{Trial: 2, Variant: "rc", Repeat: 1}, verdict.Sighting{Variant: "rr"}
	want := []verdict.Example{
		{Text: "one", Seen: []verdict.Sighting{rc0, rc1}},
		{Text: "two", Seen: []verdict.Sighting{rc0, rr0}},
		{Text: "three\nlines", Seen: []verdict.Sighting{rc1}},
	}
	if !reflect.DeepEqual(r.Examples, want) {
		t.Errorf("%+v, want %+v", r.Examples, want)
	}
	if r.Void || r.Claims[0].Finding != bench.Confirmed {
		t.Errorf("void %t (%q), finding %s: %s", r.Void, r.Reasons, r.Claims[0].Finding, r.Claims[0].Reason)
	}
	if len(r.Audits) != 2 || r.Audits[0] != "trial 1 (rc, repeat 1): of 9 cases 2 in violation of what must hold" {
		t.Errorf("%q", r.Audits)
	}
}
