package report_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"shakedown/bench"
	"shakedown/bench/record"
	"shakedown/bench/report"
	"shakedown/bench/verdict"
	"shakedown/chaos"
	"shakedown/internal/units"
)

// fixtures are the results that every format is tested on.
func fixtures() map[string]report.Input {
	return map[string]report.Input{
		"levels":  levels(),
		"single":  single(),
		"void":    void(),
		"aborted": aborted(),
		"calm":    calm(),
		"empty":   {},
	}
}

func ptr[T any](v T) *T { return &v }

// est is an estimate over three repeats, with its interval.
func est(v, lo, hi float64) verdict.Estimate {
	return verdict.Estimate{Value: v, Lo: ptr(lo), Hi: ptr(hi), Repeats: 3, Values: []float64{lo + (v-lo)/3, v, hi - (hi-v)/3}, N: 800}
}

// lone is an estimate from one repeat.
func lone(v float64) verdict.Estimate {
	return verdict.Estimate{Value: v, Repeats: 1, Values: []float64{v}, N: 800}
}

// experiment has a control and two patterns, an outage, and the round trip as its factor where asked for.
func experiment(withLevels bool) bench.Experiment {
	rate := bench.PerSecond(200)
	e := bench.Experiment{
		Name:     "resilience/retry/storm",
		Question: "Does a retry turn a short outage into a long one?",
		Note:     "Look at the recovery: the fault is gone, and the load is what it was before.",
		Variants: []bench.Variant{
			{Name: "plain", About: "one attempt"},
			{Name: "retry", About: "three attempts, 10 ms apart"},
			{Name: "retry+budget", About: "at most a tenth of the calls retried"},
		},
		Workload: bench.Workload{
			Ops: []bench.Op{{Name: "get", Path: "/get"}}, SLO: 100 * units.Millisecond, Timeout: units.Second,
		},
		Columns: []bench.Column{
			{Title: "goodput in the fault", Of: bench.Query{Phase: "fault", Metric: "goodput"}},
			{Title: "p99 response time", Of: bench.Query{Phase: "fault", Metric: "response_ms", Stat: "p99"}},
			{Title: "amplification", Of: bench.Query{Phase: "fault", Metric: "amplification", Name: "backend"}},
		},
		Phases: []bench.Phase{
			{Name: "warmup", For: 2 * units.Second, Rate: rate},
			{Name: "baseline", For: 6 * units.Second, Rate: rate, Judged: true},
			{
				Name: "fault", For: 6 * units.Second, Rate: rate, Judged: true,
				Faults: chaos.Faults{&chaos.Blackhole{Link: "service→backend"}},
			},
			{Name: "recovery", For: 10 * units.Second, Rate: rate, Judged: true},
		},
	}
	if withLevels {
		e.Factor = "round trip"
		e.Levels = []bench.Level{{Name: "0 ms"}, {Name: "10 ms"}}
	}
	return e
}

// A recording is a run in memory.
type recording struct {
	run    record.Run
	trials []record.Data
}

func (r recording) load(i int) (record.Data, error) { return r.trials[i], nil }

// recorded is a run of the experiment in which retries hurt: one repeat, every variant at every level.
func recorded(e bench.Experiment) recording {
	started := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	rec := recording{run: record.Run{
		SchemaVersion: record.SchemaVersion, ID: "20260102-030405-storm", Status: record.Complete, Started: started,
		Finished: started.Add(84 * time.Second), Version: "0.1.0", Commit: "ac0bee3", Seed: 42, Repeats: 3, Claims: []bench.Claim{confirmed().Claim, refuted().Claim, dependent().Claim, undecided().Claim},
		Command: []string{"shakedown", "run", e.Name, "--seed", "42", "--repeats", "3", "-p", "backoff=10ms x'2"},
		Pattern: "resilience/retry", Experiment: e, Engines: []record.Engine{{Name: "postgres", Version: "15.8"}},
		Host: record.Host{OS: "Debian 12", Kernel: "6.18", Arch: "amd64", CPU: "Some CPU", Cores: 2, MemoryGiB: 7.75, GoVersion: "go1.26"},
	}}
	for _, l := range e.LevelList() {
		for i, v := range e.Variants {
			rec.trials = append(rec.trials, trial(len(rec.trials), i, v.Name, l.Name))
		}
	}
	rec.run.Planned = len(rec.trials)
	return rec
}

// trial is the recording of the nth variant: 200 arrivals a second, of which fewer are good while the backend is away.
func trial(index, nth int, variant, level string) record.Data {
	sec := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
	d := record.Data{Trial: record.Trial{
		Index: index, Variant: variant, Level: level, Status: record.Complete,
		Gen: record.Generator{WallS: 22, CPUS: 6.6, StealS: 0.1, IdleS: 26, GCPauseMS: 0.21, MaxRSSMB: 64},
		Phases: []record.PhaseSpan{
			{Name: "warmup", End: sec(2), RateS: 200},
			{Name: "baseline", Start: sec(2), End: sec(8), RateS: 200, Judged: true},
			{Name: "fault", Start: sec(8), End: sec(14), RateS: 200, Judged: true, Faults: []record.FaultSpan{{
				Fault: "blackhole on service→backend", Kind: "blackhole", Injected: sec(8.02), Healed: sec(14.01),
				Landed: chaos.Evidence{What: "probe on service-0→backend lost", Seen: true},
				Effect: chaos.Evidence{What: "chunks held", Want: 1, Got: 311, Unit: "chunks", Seen: true},
			}}},
			{Name: "recovery", Start: sec(14), End: sec(24), RateS: 200, Judged: true},
		},
	}}
	rng := rand.New(rand.NewPCG(7, uint64(index)))
	for n := range 24 * 200 {
		due := sec(float64(n) / 200)
		s := bench.Sample{Seq: uint64(n), Due: due, Sent: due + sec(50e-6+100e-6*rng.Float64()), Outcome: bench.OK}
		took := 2e-3 * (0.5 + rng.Float64())
		if due > sec(8) && due < sec(14) {
			took = 20e-3 * float64(nth+1) * (0.1 + 2*rng.Float64())
			if u := rng.Float64(); u > []float64{0.6, 0.25, 0.5}[nth] {
				s.Outcome = []bench.Outcome{bench.Failed, bench.Unsure}[n%2]
				took += float64(n%2) * 0.9
			}
		} else if due > sec(14) {
			took *= 2 + 10*float64(nth%2)
		}
		s.Done = s.Sent + sec(took)
		d.Samples = append(d.Samples, s)
		d.Trial.Ledger.Scheduled++
		d.Trial.Ledger.Add(s.Outcome)
		if n%10 == 0 {
			d.InFlight = append(d.InFlight, record.InFlight{At: due, N: int64(200 * took)})
		}
	}
	d.Series = series(nth)
	d.Events = []record.Event{
		{At: 0, Kind: "phase", Name: "warmup"},
		{At: sec(8.02), Kind: "fault_injected", Name: "blackhole on service→backend", Detail: "the probe was lost"},
		{At: sec(14.01), Kind: "fault_healed", Name: "blackhole on service→backend"},
	}
	return d
}

// series are the counters of attempts and the gauges of a pool, scraped four times a second.
func series(nth int) []record.Series {
	pool := func(state string) record.Series {
		return record.Series{Name: "shakedown_pool_" + state, Type: "gauge", Labels: map[string]string{"pool": "postgres"}}
	}
	all := []record.Series{
		{
			Name: "shakedown_dependency_attempts_total", Type: "counter",
			Labels: map[string]string{"dependency": "backend", "outcome": "ok"},
		},
		pool("in_use"), pool("idle"), pool("waiting"),
	}
	for n := range 97 {
		at := time.Duration(n) * 250 * time.Millisecond
		hot := max(0, min(at.Seconds(), 14)-8)
		busy := float64(3 + n%3)
		if hot > 0 && hot < 6 {
			busy = 10
		}
		for i, v := range []float64{200*at.Seconds() + 400*float64(nth%2)*hot, busy, 10 - busy, max(0, busy-7)} {
			all[i].Points = append(all[i].Points, record.Point{At: at, V: v})
		}
	}
	return all
}

func resultOf(rec recording) verdict.Result {
	r := verdict.Result{SchemaVersion: verdict.SchemaVersion, Run: rec.run, Status: record.Complete, AsExpected: true}
	for _, d := range rec.trials {
		t := d.Trial
		r.Trials = append(r.Trials, verdict.Trial{
			Index: t.Index, Variant: t.Variant, Level: t.Level, Repeat: t.Repeat, Status: t.Status, Ledger: t.Ledger,
		})
	}
	return r
}

// levels is a complete run with every finding, at two levels, with intervals of every shape.
func levels() report.Input {
	rec := recorded(experiment(true))
	r := resultOf(rec)
	r.AsExpected = false
	for i, l := range []string{"0 ms", "10 ms"} {
		f := float64(i)
		r.Cells = append(r.Cells,
			verdict.Cell{Variant: "plain", Level: l, Valid: 3, Values: []verdict.Estimate{est(0.551, 0.533, 0.569), est(38.2+20*f, 37.8+20*f, 38.6+20*f), lone(1)}},
			verdict.Cell{Variant: "retry", Level: l, Valid: 3, Values: []verdict.Estimate{est(0.25, 0.18, 0.38), est(1240, 1100, 1380), est(3, 2.97, 3.03)}},
			verdict.Cell{Variant: "retry+budget", Level: l, Valid: 2, Void: 1, Values: []verdict.Estimate{{Missing: true}, {Value: 1000, Censored: true, Repeats: 2, Values: []float64{990, 1000}}, est(1.1, 1.09, 1.11)}},
		)
	}
	r.Claims = []verdict.Claim{confirmed(), refuted(), dependent(), undecided()}
	const smallest = "smallest budget that keeps 90 % of the goodput"
	r.Run.Experiment.Sweeps = []bench.Sweep{{Title: smallest, Unit: "%", Of: bench.Query{Phase: "fault", Metric: "goodput"}}}
	r.Sweeps = []verdict.Sweep{
		{
			Title: smallest, Unit: "%", Level: "0 ms", Found: "retry+budget", X: 10, Formula: "5 per core", Predicted: ptr(10.0),
			Points: []verdict.SweepPoint{
				{Variant: "retry", X: 5, Value: est(0.7, 0.6, 0.8)}, {Variant: "retry+budget", X: 10, Value: est(0.95, 0.93, 0.97), Enough: true},
			},
		},
		{Title: smallest, Unit: "%", Level: "10 ms", Points: []verdict.SweepPoint{{Variant: "retry", X: 5, Value: lone(0.5)}}},
	}
	r.Findings = []string{"service-0 of trial 4 (retry at 10 ms) died: signal: killed"}
	r.Trials[5].Void = []string{"schedule lag p99 was 14 ms, over its bound of 5 ms | the generator was starved"}
	return report.Input{Result: r, Load: rec.load}
}

func query(variant, phase, metric, stat string) bench.Query {
	q := bench.Query{Variant: variant, Phase: phase, Metric: metric, Stat: stat}
	if metric == "amplification" {
		q.Name = "backend"
	}
	return q
}

func confirmed() verdict.Claim {
	return verdict.Claim{
		Claim: bench.Claim{
			ID: "resilience/retry#1", Text: "Three immediate attempts at every call triple the load on a dependency that is down, when it can bear it least.",
			Source: "M. Brooker, “Exponential Backoff And Jitter”, 2015", Expect: bench.Confirmed,
		},
		Finding: bench.Confirmed, AsExpected: true,
		Reason: "amplification of retry is 3.00× that of plain (2.97–3.03), at least 2.5× was claimed",
		Checks: []verdict.Check{{
			Check: bench.Check{
				Claim: "resilience/retry#1", Text: "retry asks at least 2.5 times as often", Of: query("retry", "fault", "amplification", ""),
				Versus: ptr(query("plain", "fault", "amplification", "")), Rel: bench.AtLeast, Bound: 2.5, ControlFails: true,
			},
			Verdict: bench.Holds, Reason: "attempts at backend per arrival in fault, retry: 3 × plain's (CI 2.97–3.03), bound ≥ 2.5", Effect: est(3, 2.97, 3.03), Of: est(3, 2.97, 3.03),
			Versus: ptr(lone(1)), Control: ptr(bench.Fails),
		}},
	}
}

func refuted() verdict.Claim {
	return verdict.Claim{
		Claim: bench.Claim{
			ID: "resilience/retry#2", Text: "Retries raise goodput while a dependency fails | <b>always</b>.", Expect: bench.Refuted,
		},
		Finding: bench.Refuted, AsExpected: true, Reason: "goodput in fault, retry: 0.45 × plain's (CI 0.33–0.69), bound ≥ 1",
		Checks: []verdict.Check{
			{
				Check: bench.Check{
					Text: "goodput of retry is above that of plain", Of: query("retry", "fault", "goodput", ""),
					Versus: ptr(query("plain", "fault", "goodput", "")), Rel: bench.AtLeast, Bound: 1,
				},
				Verdict: bench.Fails, Reason: "goodput in fault, retry: 0.45 × plain's (CI 0.33–0.69), bound ≥ 1", Effect: est(0.45, 0.33, 0.69),
				Of: est(0.25, 0.18, 0.38), Versus: ptr(est(0.551, 0.533, 0.569)),
			},
			{
				Check: bench.Check{
					Text: "its tail stays under a second", Of: query("retry", "fault", "response_ms", "p99"), Rel: bench.AtMost, Bound: 1000,
				},
				Verdict: bench.Fails, Effect: est(1240, 1100, 1380), Of: est(1240, 1100, 1380),
			},
		},
	}
}

func dependent() verdict.Claim {
	check := func(level string, v bench.Verdict, e verdict.Estimate) verdict.Check {
		q := query("retry+budget", "recovery", "response_ms", "p99")
		q.Level = level
		return verdict.Check{
			Check: bench.Check{
				Text: "the budgeted retry answers within 20 ms", When: "round trip " + level, Of: q, Rel: bench.Equal, Bound: 20, Band: 0.2,
			},
			Verdict: v, Effect: e, Of: e,
		}
	}
	return verdict.Claim{
		Claim: bench.Claim{
			ID: "resilience/retry#3", Text: "A retry budget costs nothing once the dependency is back.", Expect: bench.Confirmed,
			On: "the round trip",
		},
		Finding: bench.DependsOn, Reason: "holds at 0 ms (19.6 ms) and fails at 10 ms (41.0 ms)",
		Checks: []verdict.Check{
			check("0 ms", bench.Holds, est(19.6, 18.9, 20.4)), check("10 ms", bench.Fails, est(41, 39.2, 44.9)),
		},
	}
}

func undecided() verdict.Claim {
	tilde := est(1.02, 0.93, 1.14)
	tilde.Tilde = true
	return verdict.Claim{
		Claim:   bench.Claim{ID: "resilience/retry#4", Text: "Jitter makes no difference to a single caller.", Expect: bench.Confirmed},
		Finding: bench.Undecided, Reason: "the interval 0.93–1.14 holds the bound",
		Checks: []verdict.Check{
			{
				Check: bench.Check{
					Text: "p99 with jitter is no worse", Of: query("retry", "baseline", "response_ms", "p99"),
					Versus: ptr(query("plain", "baseline", "response_ms", "p99")), Rel: bench.AtMost, Bound: 1,
				},
				Verdict: bench.Unknown, Reason: "cannot be told from the bound", Effect: tilde, Of: lone(4.1), Versus: ptr(lone(4)),
			},
			{
				Check:   bench.Check{Text: "no call waits for its turn", Of: query("retry", "", "unsent", ""), Rel: bench.AtMost},
				Verdict: bench.Unknown, Reason: "12 arrivals, 100 are needed", Effect: verdict.Estimate{Missing: true}, Of: verdict.Estimate{Missing: true},
			},
		},
	}
}

// single is a run of one repeat without a factor: there are no intervals, and the one claim is as expected.
func single() report.Input {
	rec := recorded(experiment(false))
	rec.run.Repeats, rec.run.Quick = 1, true
	r := resultOf(rec)
	for i, v := range []string{"plain", "retry", "retry+budget"} {
		f := float64(i)
		r.Cells = append(r.Cells, verdict.Cell{Variant: v, Valid: 1, Values: []verdict.Estimate{lone(0.55 - f/10), lone(0.7 + f/10), lone(1 + f)}})
	}
	c := confirmed()
	c.Checks[0].Effect, c.Checks[0].Of, c.Checks[0].Reason = lone(math.Inf(1)), lone(3), ""
	r.Claims = []verdict.Claim{c}
	return report.Input{Result: r, Load: rec.load}
}

// calm is a run without faults, whose services were not scraped.
func calm() report.Input {
	in := single()
	load := in.Load
	in.Load = func(i int) (record.Data, error) {
		d, err := load(i)
		d.Trial.Phases = slices.Clone(d.Trial.Phases)
		for i := range d.Trial.Phases {
			d.Trial.Phases[i].Faults = nil
		}
		d.Series = nil
		return d, err
	}
	return in
}

// void is a run that may not be judged, and one of its recordings cannot be read.
func void() report.Input {
	in := single()
	r := &in.Result
	r.Void, r.AsExpected = true, false
	r.Reasons = []string{"a fault could not be seen to land: blackhole on service→backend"}
	r.Trials[1].Void = []string{"Little's law does not hold: 12.1 in flight, 31.0 expected"}
	r.Trials[1].Ledger.OK--
	r.Claims[0].Finding, r.Claims[0].AsExpected, r.Claims[0].Reason = bench.Undecided, false, "the run is void"
	load := in.Load
	in.Load = func(i int) (record.Data, error) {
		if i == 2 {
			return record.Data{}, errGone
		}
		return load(i)
	}
	return in
}

// aborted is a run that was stopped in its first trial; its recordings are not at hand.
func aborted() report.Input {
	in := single()
	r := &in.Result
	r.Status, r.Run.Status, r.Run.Error, r.Run.Planned = record.Aborted, record.Aborted, "interrupted by the user", 9
	r.Trials, r.Cells, r.AsExpected = r.Trials[:1], r.Cells[:1], false
	r.Trials[0].Status = record.Aborted
	r.Claims[0].Finding, r.Claims[0].AsExpected, r.Claims[0].Checks = bench.Undecided, false, nil
	r.Claims[0].Reason = "no repeat is complete"
	r.Void, r.Reasons = true, []string{"the run is aborted: 0 of 9 trials are complete"}
	return report.Input{Result: *r}
}

var errGone = errors.New("samples: unexpected end of file")
