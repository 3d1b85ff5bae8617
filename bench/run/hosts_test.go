package run

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"shakedown/bench"
	"shakedown/bench/record"
	"shakedown/chaos"
	"shakedown/internal/netns"
	"shakedown/internal/roottest"
	"shakedown/internal/stack"
	"shakedown/internal/units"
)

// onHosts is a tiny run whose processes are on hosts of their own.
func onHosts(t *testing.T) Options {
	t.Helper()
	roottest.Needs(t, netns.Supported())
	o := tiny(t, 100, 300*time.Millisecond)
	o.Experiment.Isolation = bench.Namespaces
	o.Experiment.Sysctl = map[string]string{"net.ipv4.tcp_retries2": "8"}
	return o
}

func TestFaultsOfHostsAndOfProcessesActOnARun(t *testing.T) {
	for _, direct := range []bool{false, true} {
		t.Run(map[bool]string{false: "through links", true: "straight"}[direct], func(t *testing.T) {
			o := onHosts(t)
			o.Experiment.Direct = direct
			cut := chaos.Faults{&chaos.Partition{From: "service", To: "postgres"}}
			if !direct { // a link has its end on the host of the service, and knows faults of its own
				cut = append(cut, &chaos.Latency{Link: "service→postgres", Delay: units.Millisecond})
			}
			rate := bench.PerSecond(100)
			o.Experiment.Phases = append(o.Experiment.Phases,
				bench.Phase{Name: "cut", For: 500 * units.Millisecond, Rate: rate, Judged: true, Faults: cut},
				bench.Phase{Name: "killed", For: 300 * units.Millisecond, Rate: rate, Faults: chaos.Faults{&chaos.Kill{Process: "service"}}},
				bench.Phase{Name: "after", For: 300 * units.Millisecond, Rate: rate, Judged: true},
			)
			if err := Run(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			wantNothingLeft(t)
			trial := mustLoad(t, open(t, o.Out), 0).Trial
			if trial.Status != record.Complete || !trial.Ledger.Balances() || trial.Ledger.OK == 0 || len(trial.Findings) != 0 || len(trial.Unhealthy) != 0 {
				t.Errorf("the trial is %s, its ledger %+v, with %q and %q", trial.Status, trial.Ledger, trial.Findings, trial.Unhealthy)
			}
			partition, kill := trial.Phases[2].Faults[0], trial.Phases[3].Faults[0]
			if !partition.Landed.Seen || !partition.Effect.Seen || partition.Effect.Got < 1 {
				t.Errorf("the partition landed: %s; met: %s", partition.Landed, partition.Effect)
			}
			if !kill.Landed.Seen || !kill.Effect.Seen {
				t.Errorf("the kill landed: %s; ended: %s", kill.Landed, kill.Effect)
			}
		})
	}
}

func TestASettingThatHostsDoNotHaveEndsTheRunAndSaysWhich(t *testing.T) {
	o := onHosts(t)
	o.Experiment.Sysctl = map[string]string{"net.ipv4.no_such_thing": "1"}
	var input *InputError
	if err := Run(t.Context(), o); !errors.As(err, &input) || !strings.Contains(err.Error(), "net.ipv4.no_such_thing") {
		t.Errorf("Run says %v", err)
	}
	wantNothingLeft(t)
}

func TestWhereThereAreNoLinksNoFaultOfALinkIsAvailable(t *testing.T) {
	o := onHosts(t)
	o.Experiment.Direct = true
	o.Experiment.Network = chaos.Faults{&chaos.Blackhole{Link: "service→redis"}}
	var input *InputError
	if err := Run(t.Context(), o); !errors.As(err, &input) || !strings.Contains(err.Error(), "no link service→redis") {
		t.Errorf("Run says %v", err)
	}
}

func TestWithoutHostsNoFaultOfAHostIsAvailable(t *testing.T) {
	o := tiny(t, 100, 100*time.Millisecond)
	o.Experiment.Phases[1].Faults = chaos.Faults{&chaos.Partition{Isolate: "redis"}}
	var input *InputError
	if err := Run(t.Context(), o); !errors.As(err, &input) || !strings.Contains(err.Error(), "isolation: namespaces") {
		t.Errorf("Run says %v", err)
	}
}

func TestAServerThatTheUserGaveHasNoHost(t *testing.T) {
	o := onHosts(t)
	given := map[string]engineSource{"redis": {given: struct{ stack.Instance }{}}}
	var input *InputError
	if err := checkIsolation(o.Experiment, given); !errors.As(err, &input) || !strings.Contains(err.Error(), "leave --redis-url out") {
		t.Errorf("got %v", err)
	}
	o.Experiment.Isolation = bench.Shared
	if err := checkIsolation(o.Experiment, given); err != nil {
		t.Errorf("without isolation: %v", err)
	}
}

func TestJoinedListenersAreOne(t *testing.T) {
	var all []net.Listener
	for range 2 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, ln)
	}
	j := join(all...)
	if j.Addr() != all[0].Addr() {
		t.Errorf("its address is %s, want the first's, %s", j.Addr(), all[0].Addr())
	}
	for _, ln := range all {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		s, err := j.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if s.LocalAddr().String() != ln.Addr().String() {
			t.Errorf("accepted at %s, want %s", s.LocalAddr(), ln.Addr())
		}
		_ = s.Close()
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	if _, err := j.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accepting when closed: %v", err)
	}
	if err := j.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closing again: %v", err)
	}
	for _, ln := range all {
		if c, err := net.Dial("tcp", ln.Addr().String()); err == nil {
			_ = c.Close()
			t.Errorf("%s still listens", ln.Addr())
		}
	}
}
