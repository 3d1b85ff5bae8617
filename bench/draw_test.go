package bench

import (
	"math/rand/v2"
	"testing"
)

func TestRandDrawsWhatTheStandardLibraryDraws(t *testing.T) {
	for seq := range uint64(1000) {
		var r Rand
		r.Seed(7, seq)
		std := rand.New(rand.NewPCG(7, seq))
		for i, n := range []int64{1, 2, 3, 10, 1 << 20, 1_000_000, 1<<62 + 1, 1<<63 - 1} {
			if got, want := r.Int64N(n), std.Int64N(n); got != want {
				t.Fatalf("arrival %d, draw %d: %d of %d, want %d", seq, i, got, n, want)
			}
			if got, want := r.Float64(), std.Float64(); got != want {
				t.Fatalf("arrival %d, draw %d: %v, want %v", seq, i, got, want)
			}
		}
	}
}

func TestPickingAllocatesNothing(t *testing.T) {
	s := stream(t, Workload{
		Ops: []Op{{Name: "a", Path: "/", Keys: Keys{Dist: "zipf", N: 1000, S: 0.99}}, {Name: "b", Path: "/", Keys: Keys{Dist: "uniform", N: 77}}},
		SLO: 1, Timeout: 1,
	}, 1)
	var seq uint64
	if n := testing.AllocsPerRun(1000, func() { s.Pick(seq); seq++ }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
