//go:build !race

package load

import (
	"runtime"
	"testing"
	"time"

	"shakedown/bench"
	"shakedown/bench/load/wire"
)

// The race detector allocates.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	backends(t, func(t *testing.T, b wire.Backend) {
		addr := nullServer(t)
		allocs := func(length time.Duration) (uint64, int64) {
			p, _ := wirePlan(t, at0(addr, b), Phase{End: length, Closed: &bench.Closed{Users: 8}})
			p.Sink = nil
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			s, err := Run(t.Context(), p)
			runtime.ReadMemStats(&after)
			if err != nil || s.Ledger.OK != s.Ledger.Scheduled {
				t.Fatal(err, s.Ledger)
			}
			return after.Mallocs - before.Mallocs, s.Ledger.OK
		}
		short, few := allocs(50 * time.Millisecond)
		long, many := allocs(550 * time.Millisecond)
		if per := (float64(long) - float64(short)) / float64(many-few); per > 0.01 {
			t.Errorf("%.3f allocations a request (%d and %d, of %d and %d requests)", per, short, long, few, many)
		}
	})
}
