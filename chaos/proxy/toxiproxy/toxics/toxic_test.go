package toxics

import (
	"math"
	"reflect"
	"testing"

	"shakedown/chaos"
	"shakedown/internal/units"
)

func TestEveryToxicIsAnEffect(t *testing.T) {
	const ms = units.Millisecond
	for _, tc := range []struct {
		toxic Toxic
		want  chaos.Effect
		acts  bool
	}{
		{&NoopToxic{}, chaos.Effect{}, false},
		{&LatencyToxic{}, chaos.Effect{}, false},
		{&LatencyToxic{Latency: 50, Jitter: 5}, chaos.Effect{Delay: 50 * ms, Jitter: 5 * ms}, true},
		{&LatencyToxic{Jitter: 5}, chaos.Effect{Jitter: 5 * ms}, true},
		{&LatencyToxic{Latency: -50, Jitter: -5}, chaos.Effect{}, false},
		{&LatencyToxic{Latency: math.MaxInt64}, chaos.Effect{Delay: 3_600_000_000 * ms}, true},
		{&BandwidthToxic{}, chaos.Effect{Hold: true}, true},
		{&BandwidthToxic{Rate: -1}, chaos.Effect{Hold: true}, true},
		{&BandwidthToxic{Rate: 30}, chaos.Effect{BytesPerSecond: 30_000}, true},
		{&BandwidthToxic{Rate: math.MaxInt64}, chaos.Effect{BytesPerSecond: math.MaxInt64 / 1000 * 1000}, true},
		{&SlowCloseToxic{}, chaos.Effect{}, false},
		{&SlowCloseToxic{Delay: 7}, chaos.Effect{SlowClose: 7 * ms}, true},
		{&TimeoutToxic{}, chaos.Effect{Hold: true}, true},
		{&TimeoutToxic{Timeout: 9}, chaos.Effect{Hold: true, Close: true, After: 9 * ms}, true},
		{&ResetToxic{}, chaos.Effect{Hold: true, Reset: true}, true},
		{&ResetToxic{Timeout: 9}, chaos.Effect{Hold: true, Reset: true, After: 9 * ms}, true},
		{&SlicerToxic{}, chaos.Effect{SliceSpread: -1}, false},
		{&SlicerToxic{AverageSize: 64, SizeVariation: 32, Delay: 10}, chaos.Effect{SliceBytes: 64, SliceSpread: 32, SliceDelay: 10 * units.Microsecond}, true},
		{&SlicerToxic{AverageSize: 1, SizeVariation: 32}, chaos.Effect{SliceBytes: 1}, true},
		{&LimitDataToxic{}, chaos.Effect{Hold: true, Close: true}, true},
		{&LimitDataToxic{Bytes: 100}, chaos.Effect{LimitBytes: 100}, true},
	} {
		if got, acts := tc.toxic.effect(); acts != tc.acts || !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%+v is %+v, %v; want %+v, %v", tc.toxic, got, acts, tc.want, tc.acts)
		}
	}
}

func TestToxicityIsAShareOfConnections(t *testing.T) {
	for toxicity, want := range map[float32]struct {
		share float64
		acts  bool
	}{-1: {0, false}, 0: {0, false}, 0.25: {0.25, true}, 1: {0, true}, 7: {0, true}} {
		w := &ToxicWrapper{Toxic: &TimeoutToxic{}, Stream: "UpStream", Toxicity: toxicity}
		e, acts := w.Effect(1)
		if acts != want.acts || acts && (e.Share != want.share || e.Direction != chaos.Upstream) {
			t.Errorf("toxicity %v: %+v, %v", toxicity, e, acts)
		}
		if _, parts := w.Parting(1); parts != want.acts {
			t.Errorf("toxicity %v: parts %v", toxicity, parts)
		}
	}
}

func TestAToxicDrawsTheSameConnectionsWhenItsAttributesChange(t *testing.T) {
	seed := func(w ToxicWrapper) uint64 { e, _ := w.Effect(7); return e.Seed }
	a := ToxicWrapper{Toxic: &LatencyToxic{Latency: 1}, Name: "a", Stream: "upstream", Toxicity: 0.5}
	b, other := a, a
	b.Toxic, b.Toxicity = &LatencyToxic{Latency: 2}, 0.6
	other.Name = "b"
	if seed(a) != seed(b) {
		t.Error("it draws anew")
	}
	if seed(a) == seed(other) {
		t.Error("two toxics draw the same connections")
	}
}

func TestTheListOfTypesIsToxiproxys(t *testing.T) {
	for _, name := range []string{"noop", "latency", "bandwidth", "slow_close", "timeout", "reset_peer", "slicer", "limit_data"} {
		if New(name) == nil {
			t.Errorf("no %s", name)
		}
	}
	if New("none") != nil || len(types) != 8 {
		t.Errorf("%d types", len(types))
	}
}
