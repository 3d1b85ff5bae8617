package verdict

import (
	"testing"

	"shakedown/bench"
)

func TestABoundAndAnEstimate(t *testing.T) {
	at := func(v float64) Estimate { return Estimate{Value: v, Repeats: 1, N: 1000} }
	in := func(lo, hi float64) Estimate {
		return Estimate{Value: (lo + hi) / 2, Lo: &lo, Hi: &hi, Repeats: 5, N: 1000}
	}
	share := func(rel bench.Rel, bound float64) bench.Check {
		return bench.Check{Rel: rel, Bound: bound, Of: bench.Query{Metric: "goodput"}}
	}
	latency := func(rel bench.Rel, bound, band float64) bench.Check {
		return bench.Check{Rel: rel, Bound: bound, Band: band, Of: bench.Query{Metric: "response_ms", Stat: "p50"}}
	}
	for _, test := range []struct {
		name  string
		check bench.Check
		e     Estimate
		want  bench.Verdict
	}{
		{"10 % below", latency(bench.AtMost, 100, 0), at(91), bench.Unknown},
		{"more than 10 % below", latency(bench.AtMost, 100, 0), at(89), bench.Holds},
		{"more than 10 % above", latency(bench.AtMost, 100, 0), at(111), bench.Fails},
		{"on the bound", latency(bench.AtMost, 1, 0), at(1), bench.Holds},
		{"zero is exact", latency(bench.AtMost, 0, 0), at(0), bench.Holds},
		{"above zero is not zero", latency(bench.AtMost, 0, 0), at(0.001), bench.Fails},
		{"a share within 0.02", share(bench.AtLeast, 0.5), at(0.515), bench.Unknown},
		{"a share beyond 0.02", share(bench.AtLeast, 0.5), at(0.53), bench.Holds},
		{"a full share over a bound of 0.99", share(bench.AtLeast, 0.99), at(1), bench.Holds},
		{"a share close to 0.99", share(bench.AtLeast, 0.99), at(0.994), bench.Unknown},
		{"equal, inside the band", latency(bench.Equal, 100, 0.2), at(101), bench.Holds},
		{"equal, near the edge", latency(bench.Equal, 100, 0.2), at(115), bench.Unknown},
		{"equal, outside", latency(bench.Equal, 100, 0.2), at(140), bench.Fails},
		{"an interval inside", latency(bench.AtMost, 100, 0), in(90, 99), bench.Holds},
		{"an interval that touches", latency(bench.AtMost, 100, 0), in(90, 100), bench.Holds},
		{"an interval across", latency(bench.AtMost, 100, 0), in(90, 101), bench.Unknown},
		{"an interval outside", latency(bench.AtMost, 100, 0), in(101, 102), bench.Fails},
		{"an interval wider than the band", latency(bench.Equal, 100, 0.2), in(70, 130), bench.Unknown},
		{"at least, against at most", latency(bench.AtMost, 10, 0), Estimate{Value: 10, Censored: true}, bench.Fails},
		{"at least, below the bound", latency(bench.AtLeast, 10, 0), Estimate{Value: 9, Censored: true}, bench.Unknown},
		{"at most, below the bound", latency(bench.AtMost, 10, 0), Estimate{Value: 9, Below: true}, bench.Holds},
		{"at most, against at least", latency(bench.AtLeast, 10, 0), Estimate{Value: 9, Below: true}, bench.Fails},
		{"at most, above the bound", latency(bench.AtMost, 10, 0), Estimate{Value: 11, Below: true}, bench.Unknown},
	} {
		if got, why := against(test.check, test.e, margin(test.check, &judged{})); got != test.want {
			t.Errorf("%s: %v (%s), want %v", test.name, got, why, test.want)
		} else if (why == "") == (got == bench.Unknown) {
			t.Errorf("%s: %v with the reason %q", test.name, got, why)
		}
	}
}

func TestComparisonsOfBounds(t *testing.T) {
	is, least, none := datum{v: 2}, datum{v: 8, side: atLeast}, datum{why: "no data"}
	for _, test := range []struct {
		name       string
		of, versus datum
		by         bench.Against
		want       datum
	}{
		{"a ratio", datum{v: 6}, is, bench.Ratio, datum{v: 3}},
		{"a bound over a number", least, is, bench.Ratio, datum{v: 4, side: atLeast}},
		{"a number over a bound", is, least, bench.Ratio, datum{v: 0.25, side: atMost}},
		{"a number less a bound", is, least, bench.Difference, datum{v: -6, side: atMost}},
		{"a bound less a number", least, is, bench.Difference, datum{v: 6, side: atLeast}},
		{"something over nothing", is, datum{}, bench.Ratio, datum{v: 2, side: atLeast, beyond: true}},
	} {
		if got := compare(test.of, test.versus, test.by); got != test.want {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
	for name, pair := range map[string][2]datum{
		"two bounds": {least, least}, "nothing over nothing": {{}, {}}, "no data": {none, is}, "no other data": {is, none},
		"over at least nothing": {is, {side: atLeast}}, "no finite number": {{v: 1e300}, {v: 1e-300}},
	} {
		if got := compare(pair[0], pair[1], bench.Ratio); got.known() {
			t.Errorf("%s: %+v, want a reason", name, got)
		}
	}
}

func TestFindings(t *testing.T) {
	type c struct {
		when string
		v    bench.Verdict
	}
	for _, test := range []struct {
		name   string
		checks []c
		want   bench.Finding
	}{
		{"all hold", []c{{"", bench.Holds}, {"near", bench.Holds}}, bench.Confirmed},
		{"one fails", []c{{"", bench.Holds}, {"", bench.Fails}}, bench.Refuted},
		{"one is unknown", []c{{"", bench.Holds}, {"", bench.Unknown}}, bench.Undecided},
		{"a failure refutes in spite of unknowns", []c{{"", bench.Fails}, {"near", bench.Unknown}}, bench.Refuted},
		{"one condition holds and one fails", []c{{"near", bench.Holds}, {"far", bench.Fails}}, bench.DependsOn},
		{"the same with an unknown", []c{{"near", bench.Holds}, {"far", bench.Fails}, {"mid", bench.Unknown}}, bench.Undecided},
		{"every condition fails", []c{{"near", bench.Fails}, {"far", bench.Fails}}, bench.Refuted},
		{"the only condition fails", []c{{"", bench.Holds}, {"far", bench.Fails}}, bench.Refuted},
		{"a condition half holds", []c{{"far", bench.Holds}, {"far", bench.Fails}}, bench.Refuted},
		{"nothing was checked", nil, bench.Undecided},
	} {
		var checks []Check
		for _, c := range test.checks {
			checks = append(checks, Check{Check: bench.Check{When: c.when}, Verdict: c.v, Reason: "because"})
		}
		got, deciding := finding(checks)
		if got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
		if len(checks) > 0 && because(deciding) == "" {
			t.Errorf("%s: no reason", test.name)
		}
	}
}

func TestWhatMustNeverHappenFailsWithTheFirstWitness(t *testing.T) {
	check := bench.Check{Rel: bench.AtMost, Bound: 0, Never: true}
	for _, tt := range []struct {
		name string
		data []datum
		want bench.Verdict
	}{
		{"never in any repeat", []datum{{v: 0, n: 1}, {v: 0, n: 1}}, bench.Holds},
		{"once in many", []datum{{v: 0, n: 1}, {v: 0, n: 1}, {v: 1, n: 1}, {v: 0, n: 1}}, bench.Fails},
		{"unknown, and a witness", []datum{{why: "void"}, {v: 2, n: 1}}, bench.Fails},
		{"unknown in all", []datum{{why: "void"}}, bench.Unknown},
		{"known as a bound only", []datum{{v: 0, n: 1, side: atMost}}, bench.Unknown},
	} {
		if got := never(check, tt.data); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestARuleOfThreeSaysWhatIsLeftOpen(t *testing.T) {
	check := bench.Check{Never: true}
	if text := ruleOfThree(check, bench.Holds, Estimate{Repeats: 10}); text != ", in none of 10 repeats: with 95 % confidence in fewer than 30 % of them" {
		t.Errorf("it says %q", text)
	}
	for _, text := range []string{
		ruleOfThree(check, bench.Holds, Estimate{Repeats: 3}), ruleOfThree(check, bench.Fails, Estimate{Repeats: 10}),
		ruleOfThree(bench.Check{}, bench.Holds, Estimate{Repeats: 10}),
	} {
		if text != "" {
			t.Errorf("it says %q where it has nothing to say", text)
		}
	}
}
