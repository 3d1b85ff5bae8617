package check_test

import (
	"strings"
	"testing"
	"time"

	"shakedown/bench"
	"shakedown/bench/check"
	"shakedown/bench/internal/synth"
	"shakedown/bench/record"
	"shakedown/chaos"
)

// trial is a recording of one valid trial.
func trial() (record.Run, *record.Data) {
	r := synth.New(synth.Outage(), nil, 1)
	d := r.Add("pattern", "", 0, map[string]synth.Behaviour{"fault": synth.Share(0.2)})
	return r.Run, d
}

// late delays the sending of every nth judged request, and everything that follows from it.
func late(d *record.Data, nth int, by time.Duration) {
	for i := range d.Samples {
		if d.Samples[i].Due >= time.Second && i%nth == 0 {
			d.Samples[i].Sent += by
			d.Samples[i].Done += by
		}
	}
	synth.Settle(d)
}

// slow makes every answer take longer.
func slow(d *record.Data, by time.Duration) {
	for i := range d.Samples {
		d.Samples[i].Done += by
	}
	synth.Settle(d)
}

// Each rule is shown a trial that it must make void, and a near miss that must stay valid.
func TestEachRule(t *testing.T) {
	type change func(*record.Run, *record.Data)
	for _, test := range []struct {
		name       string
		void, miss change
		reason     string
	}{
		{
			"a killed trial", func(_ *record.Run, d *record.Data) { d.Truncated = true },
			func(_ *record.Run, d *record.Data) { d.Trial.Findings = []string{"service-0 died"} }, "killed before its end",
		},
		{
			"an aborted trial",
			func(_ *record.Run, d *record.Data) { d.Trial.Status, d.Trial.Error = record.Aborted, "interrupted" },
			func(r *record.Run, _ *record.Data) { r.Status = record.Aborted }, "aborted: interrupted",
		},
		{
			"a ledger that does not balance", func(_ *record.Run, d *record.Data) { d.Trial.Ledger.Scheduled++ },
			func(_ *record.Run, d *record.Data) {
				d.Samples[0].Outcome = bench.Unsure
				synth.Settle(d)
			}, "does not balance",
		},
		{
			"a lost sample", func(_ *record.Run, d *record.Data) { d.Samples = d.Samples[:len(d.Samples)-1] },
			func(_ *record.Run, d *record.Data) {
				d.Samples = d.Samples[:len(d.Samples)-1]
				synth.Settle(d)
			}, "samples",
		},
		{
			"a sample that says otherwise", func(_ *record.Run, d *record.Data) { d.Samples[0].Outcome = bench.Refused },
			func(_ *record.Run, d *record.Data) { d.Samples[0].Flags = bench.Hit }, "disagree on outcomes",
		},
		{
			"a phase that did not run",
			func(r *record.Run, _ *record.Data) {
				r.Experiment.Phases = append(r.Experiment.Phases, bench.Phase{Name: "later"})
			},
			func(_ *record.Run, d *record.Data) {
				d.Trial.Phases = append(d.Trial.Phases, record.PhaseSpan{Name: "later", Start: 15 * time.Second, End: 16 * time.Second})
			}, "phase later was not run",
		},
		{
			"send lag", func(_ *record.Run, d *record.Data) { late(d, 50, 11*time.Millisecond) },
			func(_ *record.Run, d *record.Data) { late(d, 150, 11*time.Millisecond) }, "send lag p99 11.05ms, bound ≤ 10ms",
		},
		{
			"one stall", func(_ *record.Run, d *record.Data) { late(d, 2000, 260*time.Millisecond) },
			func(_ *record.Run, d *record.Data) { late(d, 2000, 240*time.Millisecond) }, "largest send lag",
		},
		{
			"unsent arrivals", func(_ *record.Run, d *record.Data) { drop(d, 5) },
			func(_ *record.Run, d *record.Data) { drop(d, 2) }, "never sent",
		},
		{
			"fewer arrivals than scheduled", func(_ *record.Run, d *record.Data) { keep(d, 0.8) },
			func(_ *record.Run, d *record.Data) { keep(d, 0.97) }, "phase baseline:",
		},
		{
			"steal", func(_ *record.Run, d *record.Data) { d.Trial.Gen.StealS = 0.06 * 2 * d.Trial.Gen.WallS },
			func(_ *record.Run, d *record.Data) { d.Trial.Gen.StealS = 0.04 * 2 * d.Trial.Gen.WallS }, "hypervisor took 6.0 %",
		},
		{
			"a saturated machine and lag",
			func(_ *record.Run, d *record.Data) {
				late(d, 50, 3*time.Millisecond)
				d.Trial.Gen.IdleS = 0
			},
			func(_ *record.Run, d *record.Data) { d.Trial.Gen.IdleS = 0 }, "idle for 0.0 %",
		},
		{
			"a saturated machine and a lag that matters beside slow answers",
			func(_ *record.Run, d *record.Data) {
				slow(d, 200*time.Millisecond)
				late(d, 50, 6*time.Millisecond)
				d.Trial.Gen.IdleS = 0
			},
			func(_ *record.Run, d *record.Data) {
				slow(d, 200*time.Millisecond)
				late(d, 50, 3*time.Millisecond)
				d.Trial.Gen.IdleS = 0
			}, "send lag p99 was 6.05ms (bound then ≤ 4",
		},
		{
			"no account of the generator", func(_ *record.Run, d *record.Data) { d.Trial.Gen = record.Generator{} },
			func(_ *record.Run, d *record.Data) { d.Trial.Gen.CPUS = 0 }, "no account",
		},
		{
			"a long pause", func(_ *record.Run, d *record.Data) { d.Trial.Gen.GCPauseMS = 11 },
			func(_ *record.Run, d *record.Data) { d.Trial.Gen.GCPauseMS = 9 }, "paused it for 11ms",
		},
		{
			"Little's law", func(_ *record.Run, d *record.Data) { moreInFlight(d, 2) },
			func(_ *record.Run, d *record.Data) { d.InFlight = d.InFlight[:len(d.InFlight)-10] }, "Little's law does not hold",
		},
		{
			"nothing to check Little's law by", func(_ *record.Run, d *record.Data) { d.InFlight = nil },
			func(_ *record.Run, d *record.Data) { d.InFlight = d.InFlight[len(d.InFlight)/2:] }, "cannot be checked",
		},
		{
			"a fault that did not land", func(_ *record.Run, d *record.Data) { d.Trial.Phases[2].Faults[0].Landed.Seen = false },
			func(_ *record.Run, d *record.Data) { d.Trial.Phases[2].Faults[0].Landed.Got = 1 }, "not seen to land",
		},
		{
			"a fault that met no traffic", func(_ *record.Run, d *record.Data) { d.Trial.Phases[2].Faults[0].Effect.Seen = false },
			func(_ *record.Run, d *record.Data) { d.Trial.Phases[2].Faults[0].Healed += time.Millisecond }, "not seen to act",
		},
		{
			"a fault that was never injected", func(_ *record.Run, d *record.Data) { d.Trial.Phases[2].Faults = nil },
			func(r *record.Run, d *record.Data) {
				r.Experiment.Phases[2].Faults, d.Trial.Phases[2].Faults = nil, nil
			},
			"has 1 faults and 0 were injected",
		},
		{
			"a network that was never there", func(r *record.Run, _ *record.Data) { r.Experiment.Network = chaos.Faults{synth.Fault{}} },
			func(r *record.Run, d *record.Data) {
				r.Experiment.Network, d.Trial.Network = chaos.Faults{synth.Fault{}}, d.Trial.Phases[2].Faults
			}, "network is to have 1 faults and 0",
		},
		{
			"a network that was not seen",
			func(_ *record.Run, d *record.Data) { d.Trial.Network = []record.FaultSpan{{Fault: "latency"}} },
			func(r *record.Run, d *record.Data) {
				r.Experiment.Network, d.Trial.Network = chaos.Faults{synth.Fault{}}, d.Trial.Phases[2].Faults
			}, "latency on the network was not seen to land",
		},
		{
			"a sick engine", func(_ *record.Run, d *record.Data) { d.Trial.Unhealthy = []string{"redis"} },
			func(_ *record.Run, d *record.Data) { d.Trial.Unhealthy = []string{} }, "engine redis",
		},
		{
			"hardly any arrivals", func(r *record.Run, d *record.Data) { only(r, d, check.MinArrivals-1) },
			func(r *record.Run, d *record.Data) { only(r, d, check.MinArrivals) }, "bound ≥ 50",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			run, d := trial()
			test.void(&run, d)
			if reasons := strings.Join(check.Validity(run, *d), "\n"); !strings.Contains(reasons, test.reason) {
				t.Errorf("it is not void for %q, but %q", test.reason, reasons)
			}
			run, d = trial()
			test.miss(&run, d)
			if reasons := check.Validity(run, *d); len(reasons) > 0 {
				t.Errorf("the near miss is void: %q", reasons)
			}
		})
	}
}

// drop makes n judged arrivals unsent.
func drop(d *record.Data, n int) {
	for i := range d.Samples {
		if s := &d.Samples[i]; s.Due >= time.Second && n > 0 {
			s.Outcome, s.Sent, s.Done = bench.Unsent, 0, 0
			n--
		}
	}
	synth.Settle(d)
}

// keep leaves out all but a fraction of the arrivals.
func keep(d *record.Data, fraction float64) {
	var kept []bench.Sample
	for i, s := range d.Samples {
		if int(float64(i+1)*fraction) > int(float64(i)*fraction) {
			kept = append(kept, s)
		}
	}
	d.Samples = kept
	synth.Settle(d)
}

func moreInFlight(d *record.Data, n int64) {
	for i := range d.InFlight {
		d.InFlight[i].N += n
	}
}

// only leaves the first n judged arrivals, and a closed loop, of which no number of arrivals is expected.
func only(r *record.Run, d *record.Data, n int) {
	for i := range r.Experiment.Phases {
		r.Experiment.Phases[i].Closed = &bench.Closed{Users: 1}
	}
	var kept []bench.Sample
	for _, s := range d.Samples {
		if s.Due >= time.Second && len(kept) < n {
			kept = append(kept, s)
		}
	}
	d.Samples, d.Trial.Closed = kept, true
	synth.Settle(d)
}

func TestEveryArrivalProcessIsHeldToItsOwnNumber(t *testing.T) {
	for _, a := range []bench.Arrival{bench.Poisson, bench.Constant, bench.Ramp, bench.Step, bench.Spike} {
		e := synth.Outage()
		e.Phases[1].Arrival, e.Phases[1].Peak = a, bench.PerSecond(600)
		r := synth.New(e, nil, 2)
		d := r.Add("pattern", "", 0, nil)
		if reasons := check.Validity(r.Run, *d); len(reasons) > 0 {
			t.Errorf("%v: a whole trial is void: %q", a, reasons)
		}
		keep(d, 0.8)
		if reasons := check.Validity(r.Run, *d); len(reasons) == 0 {
			t.Errorf("%v: a fifth of the arrivals is missing and nothing notices", a)
		}
	}
}

func TestAClosedLoopHasNoScheduleToMiss(t *testing.T) {
	e := synth.Outage()
	e.Levels = []bench.Level{{Name: "closed", Closed: &bench.Closed{Users: 4}}}
	r := synth.New(e, nil, 2)
	d := r.Add("pattern", "closed", 0, nil)
	if reasons := check.Validity(r.Run, *d); len(reasons) > 0 {
		t.Errorf("void: %q", reasons)
	}
}

func TestAnOverloadedServiceIsNoReasonToBeVoid(t *testing.T) {
	r := synth.New(synth.Outage(), nil, 2)
	d := r.Add("pattern", "", 0, map[string]synth.Behaviour{"fault": {}, "recovery": {Refused: 0.5}}) // the rest times out
	if reasons := check.Validity(r.Run, *d); len(reasons) > 0 {
		t.Errorf("void: %q", reasons)
	}
}

func TestTheWarmupIsNotHeldAgainstATrial(t *testing.T) {
	run, d := trial()
	for i := range d.Samples {
		if d.Samples[i].Due < time.Second {
			d.Samples[i].Sent += 300 * time.Millisecond
			d.Samples[i].Done += 300 * time.Millisecond
		}
	}
	synth.Settle(d)
	if reasons := check.Validity(run, *d); len(reasons) > 0 {
		t.Errorf("void: %q", reasons)
	}
}
