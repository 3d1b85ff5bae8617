package proxy

import (
	"math"
	"slices"
	"testing"
	"time"

	"shakedown/chaos"
	"shakedown/internal/units"
)

// laneOf is the upstream lane under some effects.
func laneOf(effects ...chaos.Effect) *lane {
	all := map[string]effect{}
	for i, e := range effects {
		all[string(rune('a'+i))] = effect{Effect: e}
	}
	return &compile(all).plan(1).lanes[up]
}

// draws are the delays of the first n chunks of a stream.
func draws(l *lane, key uint64, n int) (all []time.Duration) {
	for i := range n {
		d, _ := l.lag(key, uint64(i), 1)
		all = append(all, d)
	}
	return all
}

func TestDelaysFollowTheirLaw(t *testing.T) {
	const n = 20_000
	const ms = units.Millisecond
	for name, tc := range map[string]struct {
		e                    chaos.Effect
		least, most          time.Duration
		mean, p50, deviation float64 // in ms; 0 is not looked at
	}{
		"constant": {chaos.Effect{Delay: 5 * ms}, 5e6, 5e6, 5, 5, 0},
		"uniform":  {chaos.Effect{Delay: 5 * ms, Jitter: 2 * ms}, 3e6, 7e6, 5, 5, 2 / math.Sqrt(3)},
		"clamped":  {chaos.Effect{Delay: ms, Jitter: 2 * ms}, 0, 3e6, 0, 1, 0},
		"normal":   {chaos.Effect{Delay: 50 * ms, Jitter: 5 * ms, Law: chaos.Normal}, 0, math.MaxInt64, 50, 50, 5},
		// Lomax with tail 3: median scale·(2^⅓ − 1), and scale is twice the mean.
		"pareto": {chaos.Effect{Delay: 10 * ms, Jitter: 4 * ms, Law: chaos.Pareto}, 10e6, math.MaxInt64, 14, 10 + 8*(math.Cbrt(2)-1), 0},
		"trace":  {chaos.Effect{Trace: []units.Duration{ms, 3 * ms}, Law: chaos.Traced}, 1e6, 3e6, 2, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			all := draws(laneOf(tc.e), 77, n)
			slices.Sort(all)
			if all[0] < tc.least || all[n-1] > tc.most {
				t.Errorf("from %s to %s, outside %s to %s", all[0], all[n-1], tc.least, tc.most)
			}
			mean, square := 0.0, 0.0
			for _, d := range all {
				mean += d.Seconds() * 1e3 / n
				square += d.Seconds() * d.Seconds() * 1e6 / n
			}
			near(t, "mean", mean, tc.mean)
			near(t, "median", all[n/2].Seconds()*1e3, tc.p50)
			near(t, "standard deviation", math.Sqrt(square-mean*mean), tc.deviation)
		})
	}
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if want != 0 && math.Abs(got-want) > 0.04*want {
		t.Errorf("%s is %.3f, not %.3f", what, got, want)
	}
}

func TestATraceTakesTurnsFromAPlaceOfEachStream(t *testing.T) {
	trace := []units.Duration{1, 2, 3, 4, 5}
	l := laneOf(chaos.Effect{Law: chaos.Traced, Trace: trace})
	starts := map[time.Duration]bool{}
	for key := range uint64(50) {
		all := draws(l, key, 10)
		starts[all[0]] = true
		for i, d := range all[1:] {
			if want := all[i]%5 + 1; d != want {
				t.Fatalf("after %d comes %d", all[i], d)
			}
		}
	}
	if len(starts) != len(trace) {
		t.Errorf("50 streams start at %d of %d places", len(starts), len(trace))
	}
}

func TestDecisionsArePureInSeedStreamAndChunk(t *testing.T) {
	effect := func(seed uint64) *lane { return laneOf(chaos.Effect{Delay: 1e6, Jitter: 1e6, Seed: seed}) }
	k1, k2 := streamKey(connKey("a→b", 0), up), streamKey(connKey("a→b", 0), down)
	base := draws(effect(1), k1, 1000)
	if !slices.Equal(base, draws(effect(1), k1, 1000)) {
		t.Error("the same seed and stream do not replay")
	}
	for name, other := range map[string][]time.Duration{
		"seed": draws(effect(2), k1, 1000), "direction": draws(effect(1), k2, 1000),
		"connection": draws(effect(1), streamKey(connKey("a→b", 1), up), 1000), "link": draws(effect(1), streamKey(connKey("a→c", 0), up), 1000),
	} {
		same := 0
		for i := range base {
			if base[i] == other[i] {
				same++
			}
		}
		if same > 5 {
			t.Errorf("another %s draws the same %d times", name, same)
		}
	}
}

func TestSegmentsAreLostAsOftenAsAsked(t *testing.T) {
	l := laneOf(chaos.Effect{Loss: 0.1})
	const chunks, segments = 5000, 4
	lost, late := 0, 0
	for i := range uint64(chunks) {
		d, n := l.lag(9, i, segments*segmentBytes)
		lost += n
		if d > 0 {
			late++
		}
		if (d > 0) != (n > 0) || d%rto != 0 {
			t.Fatalf("%d segments lost make the chunk %s late", n, d)
		}
	}
	// Each segment is sent 1/(1-p) times on average, and a chunk is late with 1 - (1-p)^4.
	if want := 0.1 / 0.9 * chunks * segments; math.Abs(float64(lost)-want) > 0.1*want {
		t.Errorf("%d segments were lost, not about %.0f", lost, want)
	}
	if want := (1 - math.Pow(0.9, segments)) * chunks; math.Abs(float64(late)-want) > 0.1*want {
		t.Errorf("%d chunks were late, not about %.0f", late, want)
	}
}

func TestEffectsAddUp(t *testing.T) {
	p := compile(map[string]effect{
		"a": {Effect: chaos.Effect{Delay: 1, BytesPerSecond: 300}},
		"b": {Effect: chaos.Effect{Delay: 2, Direction: chaos.Upstream, BytesPerSecond: 200, LimitBytes: 9}},
		"c": {Effect: chaos.Effect{Direction: chaos.Downstream, Hold: true, SlowClose: 5}},
		"d": {Effect: chaos.Effect{Reset: true, ConnectDelay: 3}}, "e": {Effect: chaos.Effect{ConnectDelay: 4, SliceBytes: 10}},
	}).plan(1)
	u, d := p.lanes[up], p.lanes[down]
	if len(p.cuts) != 1 || p.connectDelay != 7 || u.delay != 3 || d.delay != 1 || u.hold || !d.hold || u.limit != 9 || d.limit != 0 ||
		d.slowClose != 5 || u.sliced.SliceBytes != 10 {
		t.Errorf("got %+v", p)
	}
	if len(u.limits) != 1 || u.limits[0].rate != 200 || d.limits[0].rate != 300 {
		t.Errorf("limits %+v and %+v", u.limits, d.limits)
	}
	if none := compile(nil).plan(1); !none.lanes[up].passes || !none.lanes[down].passes || none.halfOpen {
		t.Errorf("no effects: %+v", none)
	}
}

func TestTheRoomOfALaneIsWhatItsDelayKeeps(t *testing.T) {
	for _, tc := range []struct {
		e    chaos.Effect
		want int
	}{
		{chaos.Effect{}, queueBytes},
		{chaos.Effect{Delay: 50 * units.Millisecond}, 214748364}, // at 4 GiB/s
		{chaos.Effect{Delay: units.Second}, greatestBound},
		{chaos.Effect{BytesPerSecond: 1000}, leastBound},
		{chaos.Effect{BytesPerSecond: 4 << 20}, 1 << 20}, // a quarter of a second
	} {
		if got := laneOf(tc.e).bound; got != tc.want {
			t.Errorf("%+v: %d bytes, want %d", tc.e, got, tc.want)
		}
	}
}
