package run

import (
	"strings"
	"testing"
	"time"

	"shakedown/bench"
	"shakedown/bench/record"
	"shakedown/chaos"
	"shakedown/internal/units"
)

func TestFaultsOfMessagesActOnRealServices(t *testing.T) {
	o := tiny(t, 100, time.Second)
	o.Experiment.Phases[1].Faults = chaos.Faults{
		&chaos.RedisError{Link: "service→redis", Command: "GET", Error: "LOADING", Pick: chaos.Pick{Every: 2}},
		&chaos.PostgresDelay{Link: "service→postgres", Statement: "(?i)^select", Delay: units.Millisecond},
	}
	if err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	wantNothingLeft(t)
	rec := open(t, o.Out)
	trial := mustLoad(t, rec, 0).Trial
	if trial.Status != record.Complete || len(trial.Phases) != 2 || len(trial.Phases[1].Faults) != 2 {
		t.Fatalf("the trial is %s, its phases %+v", trial.Status, trial.Phases)
	}
	for _, f := range trial.Phases[1].Faults {
		if !f.Landed.Seen || !f.Effect.Seen || f.Effect.Got < 1 {
			t.Errorf("%s: landed: %s; met: %s", f.Fault, f.Landed, f.Effect)
		}
	}
}

func TestOnlyLinksWithFaultsOfMessagesAreLookedInto(t *testing.T) {
	e := bench.Experiment{
		Backends: []bench.Backend{{Role: "backend", Instances: 2}},
		Network:  chaos.Faults{&chaos.Latency{Link: "service→redis", Delay: units.Millisecond}},
	}
	tr := &trial{runner: &runner{o: Options{Experiment: e}}, phases: []bench.Phase{{Faults: chaos.Faults{
		&chaos.CommitDelay{Link: "service->postgres", Delay: units.Second},
	}, Schedule: []bench.Entry{{Faults: chaos.Faults{&chaos.HTTPError{Link: "service-1→backend", Status: 503}}}}}}}
	for link, want := range map[string]chaos.Protocol{
		"service-0→postgres": chaos.PostgreSQL, "service-0→redis": "", "service-0→backend-1": "", "service-1→backend-1": chaos.HTTP,
		"backend-0→postgres": "",
	} {
		_, to, _ := strings.Cut(link, "→")
		if got := tr.looksInto(link, to); got != want {
			t.Errorf("%s speaks %q, want %q", link, got, want)
		}
	}
	for to, want := range map[string]chaos.Protocol{
		"postgres": chaos.PostgreSQL, "postgres-replica-1": chaos.PostgreSQL, "redis": chaos.Redis, "backend-1": chaos.HTTP, "kafka": "",
	} {
		if got := spoken(e, to); got != want {
			t.Errorf("%s speaks %q, want %q", to, got, want)
		}
	}
}
