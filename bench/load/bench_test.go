package load

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"testing"
	"time"

	"shakedown/bench"
	"shakedown/internal/clock"
)

// BenchmarkLag is how late the generator sends, against a generator that paces by time.Sleep and starts a goroutine an
// arrival. The answers cost nothing: it is the pacing that is measured.
func BenchmarkLag(b *testing.B) {
	report := func(b *testing.B, lags []time.Duration) {
		slices.Sort(lags)
		b.ReportMetric(float64(quantile(lags, 0.50))/1e3, "p50-µs")
		b.ReportMetric(float64(quantile(lags, 0.99))/1e3, "p99-µs")
		b.ReportMetric(float64(quantile(lags, 0.999))/1e3, "p99.9-µs")
	}
	const length = 2 * time.Second
	for _, rate := range []int{100, 1000, 10_000} {
		name := strconv.Itoa(rate)
		b.Run("pacer/"+name, func(b *testing.B) {
			var lags []time.Duration
			for b.Loop() {
				p, m := plan(b, clientFunc(answers), open(rate, 0, length))
				if _, err := Run(b.Context(), p); err != nil {
					b.Fatal(err)
				}
				for _, s := range m.samples {
					lags = append(lags, s.Lag())
				}
			}
			report(b, lags)
		})
		b.Run("time.Sleep/"+name, func(b *testing.B) {
			var lags []time.Duration
			for b.Loop() {
				lags = append(lags, sleeper(rate, length)...)
			}
			report(b, lags)
		})
	}
}

func sleeper(rate int, length time.Duration) []time.Duration {
	arrivals := &every{gap: time.Second / time.Duration(rate), until: length}
	lags := make(chan time.Duration, int(length.Seconds()*float64(rate))+1)
	zero, n := clock.Now(), 0
	for due, ok := arrivals.Next(); ok; due, ok = arrivals.Next() {
		for now := clock.Now() - zero; now < due; now = clock.Now() - zero {
			time.Sleep(due - now)
		}
		n++
		go func() { lags <- clock.Now() - zero - due }()
	}
	all := make([]time.Duration, 0, n)
	for range n {
		all = append(all, <-lags)
	}
	return all
}

// BenchmarkRequest is the cost of one request: of the generator alone, and with net/http and a server in this process.
func BenchmarkRequest(b *testing.B) {
	run := func(b *testing.B, c Client) {
		n := time.Duration(b.N)
		p, _ := plan(b, &bounded{c, make(chan struct{}, 64)}, Phase{End: n, Arrivals: &every{gap: 1, until: n}}) // all due at once
		p.MaxInFlight = b.N + 1
		b.ReportAllocs()
		b.ResetTimer()
		if _, err := Run(b.Context(), p); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("generator", func(b *testing.B) { run(b, clientFunc(answers)) })
	b.Run("http", func(b *testing.B) {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
		defer s.Close()
		c := client(b, s.URL)
		run(b, c)
	})
}

// bounded lets so many requests through at a time, so that a benchmark measures requests and not connections.
type bounded struct {
	Client
	slots chan struct{}
}

func (c *bounded) Do(ctx context.Context, seq uint64, r bench.Request, timeout time.Duration) Answer {
	c.slots <- struct{}{}
	defer func() { <-c.slots }()
	return c.Client.Do(ctx, seq, r, timeout)
}
