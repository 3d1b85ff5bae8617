package main

import (
	"testing"
	"time"
)

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
