package run

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"shakedown/bench"
	"shakedown/bench/check"
	"shakedown/bench/record"
)

// probed is a run of two variants that a probe asks, of which the second fails where it is told to.
func probed(t *testing.T, run func(ctx context.Context, env bench.Env, config json.RawMessage) (bench.Audit, error)) Options {
	t.Helper()
	return Options{
		Seed: 1, Repeats: 2, Program: program, Out: filepath.Join(t.TempDir(), "out"), Command: []string{"again"},
		Pattern: bench.Pattern{Name: "cache/aside", Probes: map[string]bench.Probe{"ping": {Run: run}}},
		Experiment: bench.Experiment{
			Name: "cache/aside/ping", Question: "Does it answer?", Probe: "ping", Engines: []bench.EngineSpec{{Name: "redis"}},
			Variants: []bench.Variant{{Name: "a", Config: map[string]int{"n": 3}}, {Name: "b", Config: map[string]int{"n": 5}}},
		},
	}
}

func TestAProbeAsksTheEnginesAndItsNumbersAreRecorded(t *testing.T) {
	o := probed(t, func(ctx context.Context, env bench.Env, config json.RawMessage) (bench.Audit, error) {
		var c struct{ N float64 }
		url, err := env.URL("redis")
		if err := errors.Join(err, json.Unmarshal(config, &c)); err != nil {
			return bench.Audit{}, err
		}
		options, err := redis.ParseURL(url)
		if err != nil {
			return bench.Audit{}, err
		}
		client := redis.NewClient(options)
		defer func() { _ = client.Close() }()
		said, err := client.Echo(ctx, env.Variant).Result()
		return bench.Audit{Numbers: map[string]float64{"n": c.N}, Of: 1, Examples: []string{said}}, err
	})
	if err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	rec := open(t, o.Out)
	if rec.Trials() != 4 || rec.Run.Status != record.Complete {
		t.Fatalf("%d trials, %s", rec.Trials(), rec.Run.Status)
	}
	for i := range rec.Trials() {
		d := mustLoad(t, rec, i)
		want := map[string]float64{"a": 3, "b": 5}[d.Trial.Variant]
		if a := d.Trial.Audit; a == nil || a.Numbers["n"] != want || a.Examples[0] != d.Trial.Variant {
			t.Errorf("trial %d of %s: %+v", i, d.Trial.Variant, a)
		}
		if void := check.Validity(rec.Run, d); len(void) > 0 {
			t.Errorf("trial %d is void: %q", i, void)
		}
		if d.Trial.Audit = nil; len(check.Validity(rec.Run, d)) == 0 {
			t.Error("a probe that left nothing counts")
		}
	}
	wantNothingLeft(t)
}

func TestAProbeThatFailsEndsTheRunAndSaysSo(t *testing.T) {
	o := probed(t, func(context.Context, bench.Env, json.RawMessage) (bench.Audit, error) {
		return bench.Audit{}, errors.New("no such table")
	})
	if err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "probe ping: no such table") {
		t.Errorf("%v", err)
	}
	o.Experiment.Probe, o.Out = "pong", o.Out+"2"
	var input *InputError
	if err := Run(t.Context(), o); !errors.As(err, &input) || !strings.Contains(err.Error(), `no probe "pong"`) {
		t.Errorf("%v", err)
	}
	wantNothingLeft(t)
}
