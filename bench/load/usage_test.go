package load

import (
	"math"
	"runtime/metrics"
	"testing"
)

func TestProcStat(t *testing.T) {
	idle, steal, err := parseStat([]byte("cpu  100 2 300 4000 50 6 7 80 0 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n"))
	if err != nil || idle != 40.5 || steal != 0.8 {
		t.Errorf("idle %v, steal %v, %v; want 40.5 and 0.8", idle, steal, err)
	}
	for _, bad := range []string{"", "intr 5", "cpu 1 2 3", "cpu 1 2 3 4 x 6 7 8"} {
		if _, _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestLongestPauseIsThatOfTheWindow(t *testing.T) {
	edges := []float64{math.Inf(-1), 0, 1, 2, 3, math.Inf(1)}
	h := func(counts ...uint64) *metrics.Float64Histogram {
		return &metrics.Float64Histogram{Counts: counts, Buckets: edges}
	}
	for _, c := range []struct {
		a, b *metrics.Float64Histogram
		want float64
	}{
		{nil, nil, 0},
		{h(0, 5, 0, 9, 0), h(0, 5, 0, 9, 0), 0},
		{h(0, 5, 0, 9, 0), h(0, 6, 1, 9, 0), 2},
		{h(0, 5, 0, 9, 0), h(0, 5, 0, 9, 1), 3},
	} {
		if got := longestPause(c.a, c.b); got != c.want {
			t.Errorf("got %v, want %v", got, c.want)
		}
	}
}

func TestTheResidentSetIsReadAgain(t *testing.T) {
	var r resident
	before, err := r.MB()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 64<<20)
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
	after, err := r.MB()
	if err != nil || before <= 0 || after < before+60 {
		t.Errorf("%v MB, and %v MB with %d MB more in use; %v", before, after, len(b)>>20, err)
	}
	if err := r.close(); err != nil {
		t.Error(err)
	}
}

func TestUsageGrows(t *testing.T) {
	a, err := readUsage()
	if err != nil {
		t.Fatal(err)
	}
	b, err := readUsage()
	if err != nil {
		t.Fatal(err)
	}
	if b.cpuS < a.cpuS || b.idleS < a.idleS || a.pauses == nil || len(a.pauses.Counts) == 0 {
		t.Errorf("%+v then %+v", a, b)
	}
}
