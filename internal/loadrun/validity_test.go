package loadrun

import (
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"shakedown/bench"
	"shakedown/bench/load"
)

// good is a load that may be believed: 10 s of 1000 requests a second that took 10 ms each.
func good(t *testing.T) fare {
	t.Helper()
	const n = 10_000
	d := &load.Distributions{
		Ledger:   bench.Ledger{Scheduled: n, OK: n},
		Response: times(t, 10*time.Millisecond, n), Service: times(t, 10*time.Millisecond, n),
		Lag: times(t, 20*time.Microsecond, n), Wait: times(t, 0, n),
	}
	return fare{
		stats: load.Stats{
			Ledger: bench.Ledger{Scheduled: n + 100, OK: n + 100}, WallS: 10, CPUS: 1, IdleS: 15, StealS: 0.01, GCPauseMS: 0.2,
			InFlightMean: 10, InFlightMax: 20, Dist: d,
		},
		window: 10 * time.Second, timeout: 2 * time.Second, loops: 1, cores: 2, machine: 2, scheduled: n,
	}
}

func times(t *testing.T, each time.Duration, n int64) *hdrhistogram.Histogram {
	t.Helper()
	h := load.NewHistogram()
	if err := h.RecordValues(int64(each), n); err != nil {
		t.Fatal(err)
	}
	return h
}

func TestALoadThatIsWhatItShouldBeIsValid(t *testing.T) {
	if reasons := good(t).void(); reasons != nil {
		t.Errorf("void: %q", reasons)
	}
}

func TestALoadIsVoidForAReason(t *testing.T) {
	for _, tc := range []struct {
		name  string
		spoil func(*fare)
		want  string // nothing: it stays valid
	}{
		{"nothing measured", func(f *fare) { f.stats.Dist.Ledger = bench.Ledger{} }, "nothing was measured"},
		{"no distributions", func(f *fare) { f.stats.Dist = nil }, "nothing was measured"},
		{"the ledger", func(f *fare) { f.stats.Ledger.OK-- }, "ledger does not balance: 10100 arrivals were scheduled and 10099 ended"},
		{"the ledger of the window", func(f *fare) { f.stats.Dist.Ledger.OK-- }, "ledger does not balance"},
		{"fewer arrivals than the schedule has", func(f *fare) { f.scheduled++ }, "10000 arrivals were due and the schedule has 10001"},
		{"unsent", func(f *fare) { f.stats.Dist.Ledger.OK, f.stats.Dist.Ledger.Unsent = 9980, 20 }, "20 of 10000 arrivals were never sent (0.20 %), bound ≤ 0.1 %"},
		{"a few unsent", func(f *fare) { f.stats.Dist.Ledger.OK, f.stats.Dist.Ledger.Unsent = 9995, 5 }, ""},
		{"late", func(f *fare) { f.stats.Dist.Lag = times(t, 11*time.Millisecond, 10_000) }, "send lag p99 11ms, bound ≤ 10ms"},
		{"late once", func(f *fare) { _ = f.stats.Dist.Lag.RecordValue(int64(time.Second)) }, "largest send lag 1s, bound ≤ 250ms"},
		{"a loop at its end", func(f *fare) { f.stats.CPUS = 9.3 }, "the generator used 93 % of the processor time it can have, bound < 90 %"},
		{"two loops that are not", func(f *fare) { f.stats.CPUS, f.loops = 9.3, 2 }, ""},
		{"two loops on one core", func(f *fare) { f.stats.CPUS, f.loops, f.cores = 9.3, 2, 1 }, "93 % of the processor time"},
		{"a blocking client has all cores", func(f *fare) { f.stats.CPUS, f.loops = 9.3, 0 }, ""},
		{"no account", func(f *fare) { f.stats.WallS = 0 }, "left no account"},
		{"a busy machine and a small lag", func(f *fare) {
			f.stats.IdleS, f.stats.Dist.Lag = 0.1, times(t, 3*time.Millisecond, 10_000)
		}, "the machine was idle for 0.5 % of the time (bound ≥ 3 %) and send lag p99 was 3ms (bound then ≤ 2ms)"},
		{"a busy machine and no lag", func(f *fare) { f.stats.IdleS = 0.1 }, ""},
		{"steal", func(f *fare) { f.stats.StealS = 2 }, "the hypervisor took 10.0 % of the processors, bound ≤ 5 %"},
		{"a pause", func(f *fare) { f.stats.GCPauseMS = 12 }, "the generator's collector paused it for 12ms, bound ≤ 10ms"},
		{"more in flight than there can be", func(f *fare) { f.stats.InFlightMean, f.stats.InFlightMax = 30, 31 }, "Little's law does not hold: 30.0 requests in flight on average, 10.0"},
		{"loops that leave the ticker no core", func(f *fare) {
			f.stats.InFlightMean, f.stats.InFlightMax, f.cores, f.stats.CPUS = 2, 20, 1, 6
		}, ""},
		{"a loop that mostly sleeps leaves it the core", func(f *fare) {
			f.stats.InFlightMean, f.stats.InFlightMax, f.cores = 2, 20, 1
		}, "Little's law does not hold: 2.0"},
		{"answers that nobody has noticed yet", func(f *fare) { f.stats.InFlightMean = 13 }, ""},
		{"answers that waited for the arrivals that were held back", func(f *fare) { f.stats.InFlightMean, f.gather = 17, 5*time.Millisecond }, ""},
		{"answers that were told at once", func(f *fare) { f.stats.InFlightMean = 17 }, "Little's law does not hold: 17.0"},
		{"a mean that was sampled when few were looked at", func(f *fare) { f.stats.InFlightMean, f.stats.InFlightMax = 20, 900 }, ""},
		{"fewer in flight than there must be", func(f *fare) { f.stats.InFlightMean = 2 }, "Little's law does not hold: 2.0"},
		{"requests that were turned away are in no histogram", func(f *fare) {
			f.stats.Dist.Ledger.OK, f.stats.Dist.Ledger.Failed = 9900, 100
			f.stats.Dist.Service, f.stats.InFlightMean = times(t, 10*time.Millisecond, 9900), 29
		}, ""},
	} {
		f := good(t)
		tc.spoil(&f)
		reasons := f.void()
		switch {
		case tc.want == "" && reasons != nil:
			t.Errorf("%s: void: %q", tc.name, reasons)
		case tc.want != "" && (len(reasons) != 1 || !strings.Contains(reasons[0], tc.want)):
			t.Errorf("%s: %q, want only %q", tc.name, reasons, tc.want)
		}
	}
}

func TestWhatOnlyAnOpenLoopPromisesBindsNoClosedOne(t *testing.T) {
	f := good(t)
	f.closed, f.scheduled = true, -1
	f.stats.Dist.Ledger.OK, f.stats.Dist.Ledger.Unsent = 9000, 1000
	if reasons := f.void(); reasons != nil {
		t.Errorf("void: %q", reasons)
	}
}

func TestAnAbortedLoadIsNoShorterThanItWasToBe(t *testing.T) {
	f := good(t)
	f.aborted, f.scheduled, f.stats.InFlightMean = true, -1, 4
	if reasons := f.void(); reasons != nil {
		t.Errorf("void: %q", reasons)
	}
}
