package serve_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"shakedown/bench"
	"shakedown/internal/clock"
	"shakedown/targets/serve"
)

func TestSpansAreLinesOfTheSharedClock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spans.ndjson")
	before := clock.Now()
	for instance := range 2 {
		s := serve.New(bench.Env{Role: "service", Instance: instance, Spans: path}, quiet)
		svc := start(t, s)
		var wg sync.WaitGroup
		for key := range int64(50) {
			wg.Go(func() { s.Span("rebuild:hot", key)(float64(key) / 2) })
		}
		wg.Wait()
		if err := svc.stop(); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	seen := map[string]int{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var span bench.Span
		if err := json.Unmarshal(lines.Bytes(), &span); err != nil {
			t.Fatalf("line %q: %v", lines.Text(), err)
		}
		seen[span.Instance]++
		if span.Start < before || span.End < span.Start || span.End > clock.Now() || span.Value != float64(span.Key)/2 {
			t.Errorf("span %+v is wrong", span)
		}
	}
	if seen["service-0"] != 50 || seen["service-1"] != 50 {
		t.Errorf("spans by instance: %v, want 50 of each", seen)
	}
}

func TestSpansThatCannotBeWrittenAreAnErrorAtTheEnd(t *testing.T) {
	s := serve.New(bench.Env{Spans: filepath.Join(t.TempDir(), "no", "such", "dir")}, quiet)
	s.Span("kind", 1)(0)
	if err := start(t, s).stop(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Serve says %v", err)
	}
	serve.New(env).Span("kind", 1)(0) // without a file, nothing happens
}

func TestWhatIsRecordedIsReadBackByTheAudit(t *testing.T) {
	kept := env
	kept.History = t.TempDir()
	for range 2 { // a restarted process goes on in its file
		s := serve.New(kept, quiet)
		s.Record(map[string]int{"n": 1})
		s.Record(map[string]int{"n": 2})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	got, err := bench.ReadHistory[map[string]int](kept)
	if err != nil || len(got) != 4 || got[3]["n"] != 2 {
		t.Errorf("%v, %v", got, err)
	}
	kept.History = "/no/such/folder"
	s := serve.New(kept, quiet)
	s.Record(1)
	if err := s.Close(); err == nil {
		t.Error("a history that cannot be written is no error")
	}
	serve.New(env).Record(1) // nobody keeps it: nothing happens
}

func TestRandomnessReplaysAndStreamsDiffer(t *testing.T) {
	draw := func(seed uint64, role string, instance int, stream string) uint64 {
		return serve.New(bench.Env{Seed: seed, Role: role, Instance: instance}).Rand(stream).Uint64()
	}
	base := draw(1, "service", 0, "jitter")
	if again := draw(1, "service", 0, "jitter"); again != base {
		t.Errorf("drew %d, then %d", base, again)
	}
	for name, other := range map[string]uint64{
		"seed": draw(2, "service", 0, "jitter"), "role": draw(1, "backend", 0, "jitter"),
		"instance": draw(1, "service", 1, "jitter"), "stream": draw(1, "service", 0, "keys"),
	} {
		if other == base {
			t.Errorf("another %s draws the same number", name)
		}
	}
}

func TestInstrumentsCount(t *testing.T) {
	s := serve.New(env, quiet)
	dep := s.Dependency("db")
	for _, err := range []error{nil, errors.New("x"), context.DeadlineExceeded, serve.ErrRefused} {
		if got := dep.Do(t.Context(), func(context.Context) error { return err }); !errors.Is(got, err) {
			t.Errorf("Do returned %v, want %v", got, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := dep.Do(ended, func(context.Context) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("an attempt under an ended context returned %v", err)
	}
	breaker := s.Breaker("db")
	breaker.Set(serve.BreakerClosed)
	breaker.Set(serve.BreakerOpen)
	breaker.Set(serve.BreakerOpen)
	cache := s.Cache("items")
	cache.Hit()
	cache.Miss()
	cache.Rebuild()
	s.PoolStats("workers", func() serve.PoolStats { return serve.PoolStats{InUse: 2, Max: 3, Waiting: 4, AcquireTime: time.Second} })
	svc := start(t, s)
	for series, want := range map[string]float64{
		"shakedown_dependency_attempts_total{dependency=db}":            4,
		"shakedown_dependency_seconds{dependency=db}":                   4,
		"shakedown_dependency_errors_total{dependency=db,kind=timeout}": 1,
		"shakedown_dependency_errors_total{dependency=db,kind=refused}": 1,
		"shakedown_dependency_errors_total{dependency=db,kind=other}":   1,
		"shakedown_breaker_state{breaker=db,state=open}":                1,
		"shakedown_breaker_state{breaker=db,state=closed}":              0,
		"shakedown_breaker_transitions_total{breaker=db,to=open}":       1,
		"shakedown_cache_hits_total{cache=items}":                       1,
		"shakedown_cache_misses_total{cache=items}":                     1,
		"shakedown_cache_rebuilds_total{cache=items}":                   1,
		"shakedown_pool_in_use{pool=workers}":                           2,
		"shakedown_pool_idle{pool=workers}":                             0,
		"shakedown_pool_max{pool=workers}":                              3,
		"shakedown_pool_waiting{pool=workers}":                          4,
		"shakedown_pool_acquire_seconds_total{pool=workers}":            1,
	} {
		if got := svc.metric(t, series); got != want {
			t.Errorf("%s is %v, want %v", series, got, want)
		}
	}
	if rss := svc.metric(t, "process_resident_memory_bytes"); rss <= 0 {
		t.Errorf("the process's own memory is %v", rss)
	}
}
