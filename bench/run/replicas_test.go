package run

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"shakedown/bench"
	"shakedown/bench/record"
	"shakedown/chaos"
	"shakedown/chaos/disk"
	"shakedown/internal/roottest"
	"shakedown/internal/units"
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

// TestReplicasOnHostsAreCutOffAndTakeOver puts the members of each group on hosts of their own, between which the network fails.
func TestReplicasOnHostsAreCutOffAndTakeOver(t *testing.T) {
	for _, direct := range []bool{false, true} {
		t.Run(map[bool]string{false: "through links", true: "straight"}[direct], func(t *testing.T) {
			o := onHosts(t)
			o.Experiment.Direct = direct
			withReplicas(&o, chaos.Faults{
				&chaos.Partition{From: "redis", To: "redis-replica-0"},
				&chaos.Failover{Engine: "postgres"},
			})
			data := wholeTrial(t, o)
			if most := highest(data, "shakedown_replication_lag_bytes", "replica", "redis-replica-0"); most <= 0 {
				t.Errorf("the replica that was cut off was at most %v bytes behind", most)
			}
		})
	}
}

// TestAGroupWhosePrimaryHasADiskLosesPowerAndComesBack: the data of a primary is on a disk of its own, also when it is made anew after a
// failover, as a replica.
func TestAGroupWhosePrimaryHasADiskLosesPowerAndComesBack(t *testing.T) {
	roottest.Needs(t, disk.Available())
	o := tiny(t, 50, 300*time.Millisecond)
	withReplicas(&o, chaos.Faults{&chaos.PowerLoss{Process: "postgres"}}, chaos.Faults{&chaos.Failover{Engine: "postgres"}})
	o.Experiment.Engines[0].Disk = true
	wholeTrial(t, o)
}

// withReplicas gives each engine a replica, and the experiment a phase for each set of faults and one after all.
func withReplicas(o *Options, phases ...chaos.Faults) {
	for i := range o.Experiment.Engines {
		o.Experiment.Engines[i].Replicas = 1
	}
	rate := bench.PerSecond(50)
	for i, f := range append(phases, nil) {
		o.Experiment.Phases = append(o.Experiment.Phases, bench.Phase{
			Name: fmt.Sprintf("phase-%d", i), For: 1500 * units.Millisecond, Rate: rate, Judged: f == nil, Faults: f,
		})
	}
}

// wholeTrial runs the one trial, whose servers must be well in the end, and whose faults must all be seen.
func wholeTrial(t *testing.T, o Options) record.Data {
	t.Helper()
	if err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	wantNothingLeft(t)
	data := mustLoad(t, open(t, o.Out), 0)
	if trial := data.Trial; trial.Status != record.Complete || !trial.Ledger.Balances() || len(trial.Unhealthy)+len(trial.Findings) > 0 {
		t.Errorf("the trial is %s, its ledger %+v; unhealthy %q, findings %q", trial.Status, trial.Ledger, trial.Unhealthy, trial.Findings)
	}
	seen := 0
	for _, p := range data.Trial.Phases {
		for _, f := range p.Faults {
			seen++
			if !f.Landed.Seen || !f.Effect.Seen {
				t.Errorf("%s: landed: %s; met: %s", f.Fault, f.Landed, f.Effect)
			}
		}
	}
	want := 0
	for _, p := range o.Experiment.Phases {
		want += len(p.Faults)
	}
	if seen != want {
		t.Errorf("%d faults are recorded, want %d", seen, want)
	}
	return data
}
