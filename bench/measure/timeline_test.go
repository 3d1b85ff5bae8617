package measure_test

import (
	"math"
	"testing"
	"time"

	"shakedown/bench"
	"shakedown/bench/internal/synth"
	"shakedown/bench/measure"
	"shakedown/bench/record"
)

func TestATimelineCountsEveryArrivalOnce(t *testing.T) {
	r := synth.New(synth.Outage(), nil, 4)
	d := r.Add("pattern", "", 0, map[string]synth.Behaviour{"fault": synth.Share(0.3)})
	tr := measure.New(r.Run, *d)
	for _, width := range []time.Duration{700 * time.Millisecond, time.Second, time.Hour} {
		var offered, outcomes float64
		var sent int
		end := time.Duration(0)
		for _, b := range tr.Timeline(width) {
			if b.Start != end {
				t.Fatalf("a gap between %v and %v", end, b.Start)
			}
			end = b.End
			seconds := (b.End - b.Start).Seconds()
			offered += b.Offered * seconds
			for _, o := range b.Outcomes {
				outcomes += o * seconds
			}
			sent += b.Sent
			if b.Goodput > b.Useful || b.Useful > b.Offered || b.P50 > b.P90 || b.P90 > b.P99 || b.P99 > b.Max || b.Ticks == 0 {
				t.Errorf("%+v", b)
			}
		}
		n := float64(len(d.Samples))
		if math.Abs(offered-n) > 1e-6 || math.Abs(outcomes-n) > 1e-6 || sent != len(d.Samples) || end != 15*time.Second {
			t.Errorf("width %v: %v offered, %v ended, %v sent of %v, until %v", width, offered, outcomes, sent, n, end)
		}
	}
	if got := tr.Timeline(0); got != nil {
		t.Errorf("no width gives %v", got)
	}
}

func TestACurveRisesToTheMaximum(t *testing.T) {
	r := synth.New(synth.Outage(), nil, 4)
	tr := measure.New(r.Run, *r.Add("pattern", "", 0, nil))
	curve := tr.Curve("get", "baseline")
	last := measure.QuantilePoint{}
	for _, p := range curve {
		if p.Quantile <= last.Quantile || p.MS < last.MS {
			t.Fatalf("%+v after %+v", p, last)
		}
		last = p
	}
	longest := tr.Value(bench.Query{Phase: "baseline", Metric: "response_ms", Stat: "max"})
	if last.Quantile != 1 || last.MS != longest.V || len(curve) < 30 {
		t.Errorf("%d points, the last %+v, want a maximum of %v", len(curve), last, longest.V)
	}
	for _, p := range curve {
		if math.Abs(p.Quantile-0.99) < 1e-9 && p.MS != tr.Value(bench.Query{Phase: "baseline", Metric: "response_ms", Stat: "p99"}).V {
			t.Errorf("the curve and the metric differ at p99: %+v", p)
		}
	}
	if got := tr.Curve("put", "baseline"); got != nil {
		t.Errorf("an operation without arrivals has the curve %v", got)
	}
}

func TestAttemptsAndPoolsAreSummedOverInstances(t *testing.T) {
	r := synth.New(synth.Outage(), nil, 4)
	d := r.Add("pattern", "", 0, nil)
	for _, instance := range []string{"0", "1"} {
		synth.Scrape(d, "counter", "shakedown_dependency_attempts_total",
			map[string]string{"dependency": "db", "instance": instance}, time.Second, func(at time.Duration) float64 { return 30 * at.Seconds() })
		for name, v := range map[string]float64{"shakedown_pool_in_use": 3, "shakedown_pool_idle": 2, "shakedown_pool_waiting": 1} {
			synth.Scrape(d, "gauge", name, map[string]string{"pool": "main", "instance": instance}, time.Second,
				func(time.Duration) float64 { return v })
		}
	}
	tr := measure.New(r.Run, *d)
	flat := func(what string, points []record.Point, want float64) {
		t.Helper()
		if len(points) < 15 {
			t.Errorf("%s: %d points", what, len(points))
		}
		for _, p := range points {
			if math.Abs(p.V-want) > 1e-9 {
				t.Fatalf("%s: %+v, want %v", what, p, want)
			}
		}
	}
	flat("attempts per second", tr.Attempts()["db"], 60)
	pools := tr.Pool()
	flat("in use", pools["main/in_use"], 6)
	flat("idle", pools["main/idle"], 4)
	flat("waiting", pools["main/waiting"], 2)
}
