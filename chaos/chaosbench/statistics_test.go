package main

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestAMedianHasItsRange(t *testing.T) {
	for _, tc := range []struct {
		values []float64
		want   string
	}{
		{nil, "–"}, {[]float64{2}, "2.0"}, {[]float64{3, 1, 2}, "2.0 (1.0–3.0)"}, {[]float64{4, 1, 2, 3}, "2.5 (1.0–4.0)"},
	} {
		if got := middleOf(tc.values).in("%.1f"); got != tc.want {
			t.Errorf("%v: %s, want %s", tc.values, got, tc.want)
		}
	}
}

func TestRatiosAreOfTheSameRound(t *testing.T) {
	got := ratios([]float64{2, 9, 5}, []float64{1, 3, 0})
	if len(got) != 2 || got[0] != 2 || got[1] != 3 {
		t.Errorf("got %v", got)
	}
}

func TestAQuantileIsOneOfTheTimes(t *testing.T) {
	var all []time.Duration
	for i := range 100 {
		all = append(all, time.Duration(i+1))
	}
	for q, want := range map[float64]time.Duration{0: 1, 0.5: 50, 0.99: 99, 1: 100} {
		if got := quantile(all, q); got != want {
			t.Errorf("%v: %d, want %d", q, got, want)
		}
	}
	if quantile(nil, 0.5) != 0 {
		t.Error("nothing has a median")
	}
}

func TestTheRateIsInTheLastLineOfRedisBenchmark(t *testing.T) {
	const out = `"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"
"GET","64738.89","0.402","0.104","0.391","0.511","0.799","4.791"
`
	rps, p50, err := parseCSV([]byte(out))
	if err != nil || rps != 64738.89 || p50 != 0.391 {
		t.Errorf("%v, %v, %v", rps, p50, err)
	}
	if _, _, err := parseCSV([]byte("Could not connect")); err == nil {
		t.Error("an error was taken for a result")
	}
}

func TestStealIsAShareOfAllTimes(t *testing.T) {
	before, err := parseTimes([]byte("cpu  10 0 10 70 0 0 0 10 0 0\n"))
	if err != nil {
		t.Fatal(err)
	}
	after, err := parseTimes([]byte("cpu  20 0 20 130 0 0 0 30 0 0\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := after.stealSince(before); math.Abs(got-0.2) > 1e-9 {
		t.Errorf("%v", got)
	}
}

func TestADocumentSaysWhatWasMetAndWhatWasNot(t *testing.T) {
	d := &document{Sections: []section{{
		Name: "x", Title: "X", Text: "Words.", Tables: []table{{Head: []string{"a", "b"}, Rows: [][]string{{"1", "2"}}}},
		Bounds: []bound{{"fast", "3", true}, {"slow", "4", false}},
	}}}
	text, err := d.render()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| fast | 3 | yes |", "| slow | 4 | **no** |", "| a | b |\n| --- | ---: |\n| 1 | 2 |"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
}
