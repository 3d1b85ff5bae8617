package bench

import (
	"math"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"

	"shakedown/internal/units"
)

func workload(ops ...Op) Workload {
	return Workload{Ops: ops, SLO: units.Second, Timeout: units.Second}
}

func stream(t *testing.T, w Workload, seed uint64) *Stream {
	t.Helper()
	s, err := NewStream(w, seed)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTheSameSeedDrawsTheSameRequestsInAnyOrder(t *testing.T) {
	w := workload(
		Op{Name: "read", Weight: 3, Path: "/item/{key}", Keys: Keys{Dist: "zipf", N: 1000, S: 0.9}},
		Op{Name: "write", Path: "/item/{key}", Method: "POST", Keys: Keys{Dist: "uniform", N: 10}},
	)
	forwards, again := stream(t, w, 7), stream(t, w, 7)
	const n = 2000
	var got [n]Request
	var wg sync.WaitGroup
	for worker := range 4 { // concurrently and backwards
		wg.Go(func() {
			for i := n - 1 - worker; i >= 0; i -= 4 {
				got[i] = again.Next(uint64(i))
			}
		})
	}
	wg.Wait()
	differ := 0
	for i := range n {
		if want := forwards.Next(uint64(i)); !reflect.DeepEqual(got[i], want) {
			t.Fatalf("arrival %d: got %+v, want %+v", i, got[i], want)
		}
		if !reflect.DeepEqual(stream(t, w, 8).Next(uint64(i)), got[i]) {
			differ++
		}
	}
	if differ < n/2 {
		t.Errorf("another seed differs in only %d of %d requests", differ, n)
	}
}

func TestOperationsAreDrawnByWeight(t *testing.T) {
	s := stream(t, workload(Op{Name: "a", Weight: 3, Path: "/a"}, Op{Name: "b", Path: "/b"}), 1)
	const n = 40_000
	a := 0
	for i := range uint64(n) {
		if s.Next(i).Op == 0 {
			a++
		}
	}
	if share := float64(a) / n; math.Abs(share-0.75) > 0.01 {
		t.Errorf("share of an operation with 3 of 4 weights: %.3f", share)
	}
}

// The exact probabilities of Zipf's law are 1/(k^s · H), whatever s, also below and at 1.
func TestZipfDrawsByItsLaw(t *testing.T) {
	for _, exponent := range []float64{0.5, 0.99, 1, 1.2, 3} {
		const keys, n = 50, 200_000
		s := stream(t, workload(Op{Name: "z", Path: "/{key}", Keys: Keys{Dist: "zipf", From: 100, N: keys, S: exponent}}), 3)
		var counts [keys]int
		for i := range uint64(n) {
			counts[s.Next(i).Key-100]++
		}
		var h float64
		for k := 1; k <= keys; k++ {
			h += math.Pow(float64(k), -exponent)
		}
		chi := 0.0
		for k, got := range counts {
			want := n * math.Pow(float64(k+1), -exponent) / h
			chi += (float64(got) - want) * (float64(got) - want) / want
		}
		if chi > 90 { // 49 degrees of freedom: beyond 90 once in about 3000 times, and the seed is fixed
			t.Errorf("s = %v: χ² = %.0f with 49 degrees of freedom", exponent, chi)
		}
	}
}

func TestSequentialAndFixedKeys(t *testing.T) {
	s := stream(t, workload(Op{Name: "s", Path: "/x/{key}/y", Keys: Keys{Dist: "sequential", From: 5, N: 3}}), 1)
	for i, want := range []string{"/x/5/y", "/x/6/y", "/x/7/y", "/x/5/y"} {
		if got := s.Next(uint64(i)); got.Path != want || got.Method != http.MethodGet {
			t.Errorf("arrival %d: %s %s, want GET %s", i, got.Method, got.Path, want)
		}
	}
	if got := stream(t, workload(Op{Name: "f", Path: "/{key}", Keys: Keys{From: 9}}), 1).Next(4).Path; got != "/9" {
		t.Errorf("fixed key: %s", got)
	}
}

func TestAWorkloadSaysWhatIsWrongAndWhere(t *testing.T) {
	good := Op{Name: "a", Path: "/a"}
	for _, tc := range []struct {
		name string
		w    Workload
		want string
	}{
		{"no operation", workload(), "workload.ops"},
		{"no slo", Workload{Ops: []Op{good}, Timeout: 1}, "workload.slo"},
		{"no timeout", Workload{Ops: []Op{good}, SLO: 1}, "workload.timeout"},
		{"no name", workload(Op{Path: "/a"}), "needs a name"},
		{"relative path", workload(Op{Name: "a", Path: "a"}), "must start with /"},
		{"negative weight", workload(Op{Name: "a", Path: "/a", Weight: -1}), "weight"},
		{"no keys", workload(Op{Name: "a", Path: "/a", Keys: Keys{Dist: "uniform"}}), "n > 0"},
		{"flat zipf", workload(Op{Name: "a", Path: "/a", Keys: Keys{Dist: "zipf", N: 9}}), "s in (0, 10]"},
		{"unknown distribution", workload(Op{Name: "a", Path: "/a", Keys: Keys{Dist: "normal", N: 9}}), "unknown dist"},
	} {
		err := tc.w.Validate()
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want an error with %q", tc.name, err, tc.want)
		}
	}
}

func BenchmarkNext(b *testing.B) {
	s, err := NewStream(workload(Op{Name: "z", Path: "/item/{key}", Keys: Keys{Dist: "zipf", N: 1_000_000, S: 0.99}}), 1)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := range uint64(b.N) {
		s.Next(i)
	}
}
