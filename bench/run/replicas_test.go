package run

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"shakedown/bench/record"
	"shakedown/chaos"
)

// TestReplicasLagBehindAFaultOnTheirLink runs a trial whose engines have replicas, and holds what they would receive back.
func TestReplicasLagBehindAFaultOnTheirLink(t *testing.T) {
	o := tiny(t, 50, 1500*time.Millisecond)
	for i := range o.Experiment.Engines {
		o.Experiment.Engines[i].Replicas = 1
	}
	// The cache is filled anew all the time, so that there is something to replicate.
	o.Experiment.Phases[1].Faults = chaos.Faults{&chaos.Blackhole{Link: "redis-replica-0→redis"}}
	if err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	wantNothingLeft(t)
	data := mustLoad(t, open(t, o.Out), 0)
	if len(data.Trial.Unhealthy)+len(data.Trial.Findings) > 0 {
		t.Errorf("unhealthy %q, findings %q", data.Trial.Unhealthy, data.Trial.Findings)
	}
	if f := data.Trial.Phases[1].Faults; len(f) != 1 || !f[0].Landed.Seen || !f[0].Effect.Seen {
		t.Errorf("the fault on the link of replication: %+v", f)
	}
	if most := highest(data, "shakedown_replication_lag_bytes", "replica", "redis-replica-0"); most <= 0 {
		t.Errorf("the replica was at most %v bytes behind", most)
	}
	for _, name := range []string{"redis", "redis-replica-0"} {
		if highest(data, "shakedown_redis_connected_clients", "engine", name) <= 0 {
			t.Errorf("there are no series of %s", name)
		}
	}
}

// TestFaultsPullTheLeversOfServers runs a trial with faults that ask the servers of the trial, one of which knows the services by name.
func TestFaultsPullTheLeversOfServers(t *testing.T) {
	o := tiny(t, 100, 1500*time.Millisecond)
	o.Experiment.Engines[0].Replicas = 1
	o.Experiment.Phases[1].Faults = chaos.Faults{
		&chaos.KeyEviction{Engine: "redis", Match: "*"},
		&chaos.BackendTerminated{Engine: "postgres", Application: "service"},
		&chaos.Failover{Engine: "postgres"},
	}
	if err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	wantNothingLeft(t)
	faults := mustLoad(t, open(t, o.Out), 0).Trial.Phases[1].Faults
	if len(faults) != len(o.Experiment.Phases[1].Faults) {
		t.Fatalf("the faults were %+v", faults)
	}
	for _, f := range faults {
		if !f.Landed.Seen || !f.Effect.Seen {
			t.Errorf("%s: landed: %s; met: %s", f.Fault, f.Landed, f.Effect)
		}
	}
	o.Out, o.Experiment.Phases[1].Faults = o.Out+"-2", chaos.Faults{&chaos.Failover{Engine: "redis"}}
	var wrong *InputError
	if err := Run(t.Context(), o); !errors.As(err, &wrong) || !strings.Contains(err.Error(), "give it replicas") {
		t.Errorf("a failover of an engine without replicas: %v", err)
	}
}

// highest is the greatest value of the series with the label, or -1 without any.
func highest(data record.Data, name, label, value string) float64 {
	most := -1.0
	for _, s := range data.Series {
		if s.Name != name || s.Labels[label] != value {
			continue
		}
		most = max(most, slices.MaxFunc(s.Points, func(a, b record.Point) int {
			if a.V < b.V {
				return -1
			}
			return 1
		}).V)
	}
	return most
}
