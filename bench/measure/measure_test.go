package measure_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"shakedown/bench"
	"shakedown/bench/internal/synth"
	"shakedown/bench/measure"
	"shakedown/bench/record"
)

const second = time.Second

// hand is a trial of three phases of 10 s, a to c, with the samples, spans and series given.
func hand(change func(*record.Data)) *measure.Trial {
	e := synth.Outage()
	e.Workload.Ops = append(e.Workload.Ops, bench.Op{Name: "put", Path: "/put", SLO: 1e9})
	d := record.Data{Trial: record.Trial{Phases: []record.PhaseSpan{
		{Name: "a", Start: 0, End: 10 * second},
		{Name: "b", Start: 10 * second, End: 20 * second, Judged: true},
		{Name: "c", Start: 20 * second, End: 30 * second, Judged: true},
	}}}
	change(&d)
	return measure.New(record.Run{Experiment: e}, d)
}

// arrival is one that was due at the given moment and answered after the given time.
func arrival(due, took time.Duration, o bench.Outcome) bench.Sample {
	return bench.Sample{Due: due, Sent: due + time.Millisecond, Done: due + took, Outcome: o}
}

func ask(t *testing.T, tr *measure.Trial, q bench.Query, want float64, n int) {
	t.Helper()
	v := tr.Value(q)
	if !v.OK || math.Abs(v.V-want) > 1e-9 || v.N != n {
		t.Errorf("%+v: got %+v, want %v from %d", q, v, want, n)
	}
}

func refuse(t *testing.T, tr *measure.Trial, q bench.Query, why string) {
	t.Helper()
	if v := tr.Value(q); v.OK || !strings.Contains(v.Why, why) {
		t.Errorf("%+v: got %+v, want none because of %q", q, v, why)
	}
}

func TestSharesAreOfScheduledArrivals(t *testing.T) {
	tr := hand(func(d *record.Data) {
		put := arrival(25*second, 500*time.Millisecond, bench.OK) // within its own SLO of 1 s
		put.Op = 1
		hit := arrival(14*second, 10*time.Millisecond, bench.OK)
		hit.Flags = bench.Hit | bench.Stale
		d.Samples = []bench.Sample{
			put,
			hit,
			arrival(11*second, 50*time.Millisecond, bench.OK),
			arrival(12*second, 150*time.Millisecond, bench.OK), // past the SLO of 100 ms
			arrival(13*second, 60*time.Millisecond, bench.Degraded),
			arrival(15*second, time.Millisecond, bench.Refused),
			arrival(16*second, time.Millisecond, bench.Failed),
			arrival(17*second, second, bench.Unsure),
			{Due: 18 * second, Outcome: bench.Unsent},
			arrival(20*second, time.Millisecond, bench.Failed), // due when b ends: in c
		}
	})
	for metric, n := range map[string]float64{
		"goodput": 2, "useful": 3, "ok": 3, "degraded": 1, "refused": 1, "failed": 1, "unsure": 1, "unsent": 1,
	} {
		ask(t, tr, bench.Query{Phase: "b", Metric: metric}, n/8, 8)
	}
	ask(t, tr, bench.Query{Metric: "goodput"}, 0.3, 10)
	ask(t, tr, bench.Query{Metric: "goodput", Op: "put"}, 1, 1)
	ask(t, tr, bench.Query{Phase: "b", Tail: 0.5, Metric: "failed"}, 0.25, 4)
	ask(t, tr, bench.Query{Phase: "b", Metric: "flag", Name: "hit"}, 0.25, 4)
	ask(t, tr, bench.Query{Phase: "b", Metric: "offered_per_s"}, 0.8, 8)
	ask(t, tr, bench.Query{Phase: "b", Metric: "throughput_per_s"}, 0.3, 8)
	ask(t, tr, bench.Query{Phase: "b", Metric: "goodput_per_s"}, 0.2, 8)
	ask(t, tr, bench.Query{Phase: "b", Metric: "share_of_baseline", Name: "c"}, 0.5, 2)
	refuse(t, tr, bench.Query{Phase: "a", Metric: "goodput"}, "no arrival was due")
	refuse(t, tr, bench.Query{Phase: "z", Metric: "goodput"}, "not run")
	refuse(t, tr, bench.Query{Phase: "b", Metric: "share_of_baseline", Name: "a"}, "no arrival was due")
}

func TestCompletionsCountInTheWindowInWhichTheyCame(t *testing.T) {
	tr := hand(func(d *record.Data) {
		late := arrival(15*second, 10*second, bench.OK) // due in b, answered in c
		d.Samples = []bench.Sample{arrival(11*second, second, bench.OK), late, arrival(12*second, second, bench.Failed)}
	})
	ask(t, tr, bench.Query{Phase: "b", Metric: "throughput_per_s"}, 0.2, 3)
	ask(t, tr, bench.Query{Phase: "b", Metric: "completed_per_s"}, 0.1, 1)
	ask(t, tr, bench.Query{Phase: "c", Metric: "completed_per_s"}, 0.1, 1)
	refuse(t, tr, bench.Query{Phase: "a", Metric: "completed_per_s"}, "no answer came")
}

func TestTimesRunFromDueAndKeepWhatTimedOut(t *testing.T) {
	tr := hand(func(d *record.Data) {
		for i := range 99 {
			s := arrival(10*second+time.Duration(i)*time.Millisecond, time.Duration(i+1)*time.Millisecond+time.Millisecond, bench.OK)
			s.Value = 5000
			d.Samples = append(d.Samples, s)
		}
		d.Samples = append(d.Samples, arrival(15*second, 2*second, bench.Unsure), bench.Sample{Due: 16 * second, Outcome: bench.Unsent})
	})
	for stat, want := range map[string]float64{"p50": 51, "p90": 91, "p95": 96, "p99": 100, "p99_9": 2000, "max": 2000} {
		ask(t, tr, bench.Query{Phase: "b", Metric: "response_ms", Stat: stat}, want, 100)
	}
	ask(t, tr, bench.Query{Phase: "b", Metric: "response_ms", Stat: "mean"}, (99*51+2000)/100.0, 100)
	ask(t, tr, bench.Query{Phase: "b", Metric: "answer_ms", Stat: "max"}, 100, 99)
	ask(t, tr, bench.Query{Phase: "b", Metric: "service_ms", Stat: "p50"}, 50, 100)
	ask(t, tr, bench.Query{Phase: "b", Metric: "send_lag_ms", Stat: "max"}, 1, 100)
	ask(t, tr, bench.Query{Phase: "b", Metric: "age_ms", Stat: "mean"}, 5, 99)
}

func TestInFlightIsTheTickersOwnCount(t *testing.T) {
	tr := hand(func(d *record.Data) {
		d.InFlight = []record.InFlight{{At: 5 * second, N: 99}, {At: 11 * second, N: 2}, {At: 12 * second, N: 6}, {At: 13 * second, N: 4}}
	})
	for stat, want := range map[string]float64{"mean": 4, "max": 6, "last": 4} {
		ask(t, tr, bench.Query{Phase: "b", Metric: "in_flight", Stat: stat}, want, 3)
	}
	refuse(t, tr, bench.Query{Phase: "c", Metric: "in_flight", Stat: "max"}, "not recorded")
}

func points(at ...float64) []record.Point {
	var ps []record.Point
	for i := 0; i < len(at); i += 2 {
		ps = append(ps, record.Point{At: time.Duration(at[i] * float64(second)), V: at[i+1]})
	}
	return ps
}

func TestCountersAreInterpolatedAndSurviveRestarts(t *testing.T) {
	const name = "shakedown_dependency_attempts_total"
	tr := hand(func(d *record.Data) {
		for i := range 20 {
			d.Samples = append(d.Samples, arrival(10*second+time.Duration(i), time.Millisecond, bench.OK))
		}
		db := func(instance string) map[string]string {
			return map[string]string{"dependency": "db", "instance": instance}
		}
		d.Series = []record.Series{
			// 40 per 4 s: 10 per second. The window from 10 s to 20 s takes 2/4 of the first rise and all of the others.
			{Name: name, Type: "counter", Labels: db("0"), Points: points(0, 0, 8, 80, 12, 120, 16, 160, 20, 200)},
			// Restarted between 12 s and 16 s: 5 after the restart, then 7 more.
			{Name: name, Type: "counter", Labels: db("1"), Points: points(0, 100, 8, 100, 12, 100, 16, 5, 20, 12)},
			// First used after 12 s: it began at zero.
			{Name: name, Type: "counter", Labels: map[string]string{"dependency": "cache"}, Points: points(16, 8, 20, 8)},
			{Name: "up", Type: "gauge", Labels: map[string]string{}, Points: points(11, 1)},
			{Name: "odd", Type: "gauge", Labels: map[string]string{}, Points: points(11, math.NaN(), 12, math.Inf(1), 13, 3)},
		}
	})
	ask(t, tr, bench.Query{Phase: "b", Metric: "amplification", Name: "db"}, (100+12)/20.0, 20)
	ask(t, tr, bench.Query{Phase: "b", Metric: "amplification", Name: "cache"}, 8/20.0, 20)
	ask(t, tr, bench.Query{Phase: "b", Metric: "series", Name: name + `{instance="1"}`, Stat: "increase"}, 12, 2)
	ask(t, tr, bench.Query{Phase: "b", Metric: "series", Name: name + `{instance="0"}`, Stat: "rate"}, 10, 2)
	ask(t, tr, bench.Query{Phase: "b", Metric: "series", Name: "odd", Stat: "max"}, 3, 1)
	refuse(t, tr, bench.Query{Phase: "b", Metric: "amplification", Name: "queue"}, "no attempts")
	refuse(t, tr, bench.Query{Phase: "b", Metric: "series", Name: "up", Stat: "increase"}, "is a gauge")
	refuse(t, tr, bench.Query{Phase: "c", Metric: "series", Name: "up", Stat: "max"}, "not scraped in the window")
}

func TestTheIncreaseOverAdjacentWindowsAddsUp(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		var ps []record.Point
		var want, v float64
		for at := time.Duration(0); at <= 30*second; at += time.Duration(1+rng.Int64N(int64(2*second))) + time.Millisecond {
			rise := float64(rng.IntN(10))
			if rng.IntN(8) == 0 {
				v, rise = 0, 0 // a restart
			}
			v += rise
			ps = append(ps, record.Point{At: at, V: v})
		}
		for i := 1; i < len(ps); i++ {
			if want += ps[i].V - ps[i-1].V; ps[i].V < ps[i-1].V {
				want += ps[i-1].V
			}
		}
		tr := hand(func(d *record.Data) { d.Series = []record.Series{{Name: "n", Type: "counter", Points: ps}} })
		var got float64
		for _, phase := range []string{"a", "b", "c"} {
			got += tr.Value(bench.Query{Phase: phase, Metric: "series", Name: "n", Stat: "increase"}).V
		}
		if math.Abs(got-want) > 1e-6 {
			t.Fatalf("the windows add up to %v, the counter rose by %v: %v", got, want, ps)
		}
	}
}

func TestGaugesAreSummedAtEachMoment(t *testing.T) {
	tr := hand(func(d *record.Data) {
		d.Series = []record.Series{
			{Name: "g", Type: "gauge", Labels: map[string]string{"i": "0"}, Points: points(10, 1, 11, 2, 12, 3, 13, 3, 14, 3, 19, 3)},
			{Name: "g", Type: "gauge", Labels: map[string]string{"i": "1"}, Points: points(10, 10, 11, 20, 12, 0)}, // then it died
		}
	})
	q := bench.Query{Phase: "b", Metric: "series", Name: "g"}
	for stat, want := range map[string]float64{"max": 22, "min": 3, "last": 3, "mean": (11 + 22 + 3 + 3 + 3 + 3) / 6.0} {
		q.Stat = stat
		ask(t, tr, q, want, 6)
	}
	q.Name, q.Stat = `g{i="1"}`, "max"
	ask(t, tr, q, 20, 3)
}

func TestSpansAndTheirBursts(t *testing.T) {
	at := func(key int64, from, to time.Duration) bench.Span {
		return bench.Span{Kind: "rebuild", Key: key, Start: 11*second + from*time.Millisecond, End: 11*second + to*time.Millisecond, Value: float64(key)}
	}
	tr := hand(func(d *record.Data) {
		d.Spans = []bench.Span{
			at(1, 0, 100), at(1, 50, 150), at(1, 140, 200), // one burst, through the one in the middle
			at(1, 200, 210),                // begins when the burst ends: another
			at(2, 60, 70), at(2, 260, 270), // another key: two more
			{Kind: "other", Start: 25 * second, End: 26 * second},
		}
	})
	for stat, want := range map[string]float64{
		"count": 6, "rate": 0.6, "mean_ms": (100 + 100 + 60 + 10 + 10 + 10) / 6.0, "p50_ms": 10, "p99_ms": 100, "value_mean": 8 / 6.0,
		"value_max": 2, "concurrent_max": 3, "burst_mean": 1.5, "burst_max": 3, "burst_p50": 1, "peak_100ms": 3,
	} {
		ask(t, tr, bench.Query{Phase: "b", Metric: "span", Name: "rebuild", Stat: stat}, want, 6)
	}
	// No span is an answer only where other spans show that the services were recording.
	ask(t, tr, bench.Query{Phase: "c", Metric: "span", Name: "rebuild", Stat: "count"}, 0, 1)
	refuse(t, tr, bench.Query{Phase: "c", Metric: "span", Name: "rebuild", Stat: "mean_ms"}, "no span of kind")
	refuse(t, hand(func(*record.Data) {}), bench.Query{Phase: "c", Metric: "span", Name: "rebuild", Stat: "count"}, "no span was recorded")
}

func TestRecoveryAndDetection(t *testing.T) {
	// 100 arrivals per second from 0 s to 30 s; b holds the fault. bad says which of them fail.
	trial := func(bad func(at float64) bool) *measure.Trial {
		return hand(func(d *record.Data) {
			d.Trial.Phases[1].Faults = []record.FaultSpan{{Injected: 11 * second, Healed: 19 * second}}
			for at := time.Duration(0); at < 30*second; at += 10 * time.Millisecond {
				o := bench.OK
				if bad(at.Seconds()) {
					o = bench.Failed
				}
				d.Samples = append(d.Samples, arrival(at, 2*time.Millisecond, o))
			}
		})
	}
	recovery := bench.Query{Phase: "b", Metric: "recover_s", Name: "a"}
	detect := bench.Query{Phase: "b", Metric: "detect_s", Name: "a"}
	value := func(name string, tr *measure.Trial, q bench.Query, want float64, censored bool) {
		t.Helper()
		if v := tr.Value(q); !v.OK || v.V != want || v.Censored != censored {
			t.Errorf("%s: %s is %+v, want %v (censored: %v)", name, q.Metric, v, want, censored)
		}
	}
	during := trial(func(at float64) bool { return at >= 13 && at < 19 })
	value("back at once", during, recovery, 0, false)
	value("felt after 2 s", during, detect, 2, false)
	value("back after 4 s", trial(func(at float64) bool { return at >= 11 && at < 23 }), recovery, 4, false)
	value("a lucky second half is no recovery",
		trial(func(at float64) bool { return at >= 11 && at < 25 && (at < 20 || at >= 20.5) }), recovery, 6, false)
	value("never back", trial(func(at float64) bool { return at >= 11 }), recovery, 11, true)
	fine := trial(func(float64) bool { return false })
	value("never down", fine, recovery, 0, false)
	refuse(t, fine, detect, "never dropped")
	dead := trial(func(float64) bool { return true })
	refuse(t, dead, recovery, "had no goodput")
	refuse(t, dead, detect, "had no goodput")
}

func TestValuesDoNotDependOnTheOrderOfTheRecording(t *testing.T) {
	r := synth.New(synth.Outage(), nil, 9)
	d := r.Add("pattern", "", 0, map[string]synth.Behaviour{"fault": synth.Share(0.4)})
	want := measure.New(r.Run, *d)
	mixed := *d
	mixed.Samples, mixed.InFlight = slices.Clone(d.Samples), slices.Clone(d.InFlight)
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(mixed.Samples), func(i, j int) {
		mixed.Samples[i], mixed.Samples[j] = mixed.Samples[j], mixed.Samples[i]
	})
	slices.Reverse(mixed.InFlight)
	got := measure.New(r.Run, mixed)
	for _, doc := range measure.Metrics() {
		q := bench.Query{Phase: "fault", Metric: doc.Name}
		if len(doc.Stats) > 0 {
			q.Stat = doc.Stats[0]
		}
		if doc.Named != "" {
			q.Name = map[string]string{"baseline phase": "baseline", "flag": "hit"}[doc.Named]
		}
		if a, b := want.Value(q), got.Value(q); a != b {
			t.Errorf("%s: %+v became %+v", doc.Name, a, b)
		}
	}
}

func TestAnAuditAnswersByName(t *testing.T) {
	ask := func(a *bench.Audit, name string) measure.Value {
		trial := record.Trial{Audit: a, Phases: []record.PhaseSpan{{Name: "load", End: time.Second, Judged: true}}}
		return measure.New(record.Run{}, record.Data{Trial: trial}).Value(bench.Query{Metric: "audit", Name: name})
	}
	whole := &bench.Audit{Of: 40, Numbers: map[string]float64{bench.AuditLost: 3}}
	if v := ask(whole, bench.AuditLost); !v.OK || v.V != 3 || v.N != 40 {
		t.Errorf("lost: %+v", v)
	}
	for why, v := range map[string]measure.Value{
		"the trial was not audited":             ask(nil, bench.AuditLost),
		`the audit did not count "stolen"`:      ask(whole, "stolen"),
		"nothing was there to be accounted for": ask(&bench.Audit{Numbers: whole.Numbers}, bench.AuditLost),
	} {
		if v.OK || !strings.Contains(v.Why, why) {
			t.Errorf("%s: %+v", why, v)
		}
	}
}
