package run

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"shakedown/bench"
	"shakedown/chaos"
	"shakedown/internal/stack"
	"shakedown/internal/units"
)

// twoByThree has two levels and three variants, one of which runs at one level only.
func twoByThree() bench.Experiment {
	return bench.Experiment{
		Variants: []bench.Variant{{Name: "control"}, {Name: "a"}, {Name: "b"}},
		Levels: []bench.Level{
			{Name: "low"},
			{Name: "high", Variants: []string{"control", "b"}, Phases: []bench.Phase{{Name: "long", For: 9 * units.Second}}},
		},
		Phases: []bench.Phase{{Name: "one", For: units.Second}, {Name: "two", For: 2 * units.Second}},
	}
}

func names(trials []Planned) []string {
	var all []string
	for _, t := range trials {
		all = append(all, t.Variant.Name+"@"+t.Level.Name)
	}
	return all
}

func TestEveryBlockHoldsEveryVariantAtEachOfItsLevelsOnce(t *testing.T) {
	want := []string{"a@low", "b@high", "b@low", "control@high", "control@low"}
	trials := plan(twoByThree(), 4, 1)
	if len(trials) != 20 {
		t.Fatalf("%d trials, want 20", len(trials))
	}
	for repeat := range 4 {
		block := trials[5*repeat : 5*repeat+5]
		got := names(block)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("repeat %d has %v", repeat, got)
		}
		for _, p := range block {
			if p.Repeat != repeat || p.Seed != block[0].Seed {
				t.Errorf("%s of repeat %d: repeat %d, seed %d; its block has seed %d", p.Variant.Name, repeat, p.Repeat, p.Seed, block[0].Seed)
			}
			if wantLength := map[string]time.Duration{"low": 3 * time.Second, "high": 9 * time.Second}[p.Level.Name]; p.Length != wantLength {
				t.Errorf("a trial at %s takes %v, want %v", p.Level.Name, p.Length, wantLength)
			}
		}
		if repeat > 0 && block[0].Seed == trials[0].Seed {
			t.Errorf("repeat %d has the seed of the first", repeat)
		}
	}
}

func TestTheOrderIsDecidedByTheSeed(t *testing.T) {
	e := twoByThree()
	if !reflect.DeepEqual(plan(e, 5, 7), plan(e, 5, 7)) {
		t.Error("the same seed gives another order")
	}
	if slices.Equal(names(plan(e, 5, 7)), names(plan(e, 5, 8))) {
		t.Error("another seed gives the same order")
	}
	if short, long := plan(e, 2, 7), plan(e, 5, 7); !reflect.DeepEqual(short, long[:len(short)]) {
		t.Error("more repeats change the order of the first ones")
	}
}

func TestNoVariantIsAlwaysFirst(t *testing.T) {
	first := map[string]int{}
	trials := plan(twoByThree(), 500, 3)
	for i := 0; i < len(trials); i += 5 {
		first[names(trials[i : i+1])[0]]++
	}
	for name, n := range first { // 100 are expected, with a standard deviation of 9
		if n < 50 || n > 150 {
			t.Errorf("%s is first in %d of 500 blocks", name, n)
		}
	}
	if len(first) != 5 {
		t.Errorf("only %v were ever first", first)
	}
}

func TestTheEstimateCountsEveryTrialAndTheCapacity(t *testing.T) {
	e := twoByThree()
	want := 2 * (3*(3*time.Second+perTrial) + 2*(9*time.Second+perTrial))
	if got := Estimate(e, 2); got != want {
		t.Errorf("%v, want %v", got, want)
	}
	e.Capacity = &bench.Capacity{For: 4 * units.Second}
	if got := Estimate(e, 2); got != want+4*time.Second+perTrial {
		t.Errorf("with a measured capacity %v, want %v more than %v", got, 4*time.Second+perTrial, want)
	}
}

func TestPhasesFollowEachOther(t *testing.T) {
	spans := spansFor([]bench.Phase{
		{Name: "a", For: units.Second, Rate: bench.PerSecond(5)},
		{Name: "b", For: 2 * units.Second, Rate: bench.OfCapacity(0.5), Judged: true},
		{Name: "c", For: units.Second, Rate: bench.PerSecond(5), Closed: &bench.Closed{Users: 7}},
	}, 300)
	got := fmt.Sprintf("%v", spans)
	want := "[{a 0s 1s 5 0 false []} {b 1s 3s 150 0 true []} {c 3s 4s 0 7 false []}]"
	if got != want {
		t.Errorf("the spans are\n%s, want\n%s", got, want)
	}
}

func TestReplicasAreProcessesWithLinksOfTheirOwn(t *testing.T) {
	e := crowd()
	e.Engines[0].Replicas = 1
	level := bench.Level{Engines: []bench.EngineSpec{{Name: "postgres", Replicas: 2}}}
	s := plannedSurface(e, level, e.Variants[0], map[string]engineSource{})
	for name, want := range map[string]int{
		"postgres-replica-0→postgres":           1,
		"postgres-replica→postgres":             2,
		"postgres→postgres-replica":             2, // once a replica has become the primary
		"postgres-replica-0→postgres-replica-1": 1,
		"service→postgres":                      2,
		"service→postgres-replica":              4,
		"service-1→postgres-replica-1":          1,
		"postgres→redis":                        0,
	} {
		if got := len(s.Links(name)); got != want {
			t.Errorf("%q finds %d links, want %d", name, got, want)
		}
	}
	for name, want := range map[string]int{"postgres": 1, "postgres-replica": 2, "postgres-replica-1": 1, "redis-replica": 0} {
		if got := len(s.Processes(name)); got != want {
			t.Errorf("%q finds %d processes, want %d", name, got, want)
		}
	}
	if got := len(plannedSurface(e, bench.Level{}, e.Variants[0], map[string]engineSource{}).Processes("postgres-replica")); got != 1 {
		t.Errorf("a level that says nothing of replicas has %d, want the experiment's 1", got)
	}
	for _, tc := range []struct {
		replicas int
		given    stack.Instance
		want     string
	}{{0, foreignEngine{}, ""}, {1, nil, ""}, {1, foreignEngine{}, "--postgres-url"}} {
		kind, err := stack.Lookup("postgres")
		if err != nil {
			t.Fatal(err)
		}
		err = checkReplicas(bench.EngineSpec{Name: "postgres", Replicas: tc.replicas}, engineSource{kind: kind, given: tc.given})
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%d replicas: %v, want %q", tc.replicas, err, tc.want)
		}
	}
}

func TestPoolersAndMembersArePlanned(t *testing.T) {
	e := crowd()
	e.Isolation = bench.Namespaces
	e.Engines = []bench.EngineSpec{{Name: "postgres", Pooler: map[string]string{"pool_mode": "session"}}, {Name: "etcd", Members: 3, Disk: true}}
	s := plannedSurface(e, bench.Level{}, e.Variants[0], map[string]engineSource{})
	for name, want := range map[string]int{
		"service→postgres-pooler": 2, "postgres-pooler→postgres": 1, "service-0→etcd-member": 2, "service→etcd": 2, "etcd→etcd-member": 0,
	} {
		if got := len(s.Links(name)); got != want {
			t.Errorf("%q finds %d links, want %d", name, got, want)
		}
	}
	for name, want := range map[string]int{"postgres-pooler": 1, "etcd": 1, "etcd-member": 2, "etcd-member-2": 1} {
		if got := len(s.Processes(name)); got != want {
			t.Errorf("%q finds %d processes, want %d", name, got, want)
		}
		if got := len(s.Hosts(name)); got != want {
			t.Errorf("%q finds %d hosts, want %d", name, got, want)
		}
	}
	if got := len(s.Disks("etcd-member")); got != 2 {
		t.Errorf("the other members have %d disks", got)
	}
}

func TestWhatCannotHavePoolersOrMembersIsRefused(t *testing.T) {
	apart, together := bench.Experiment{Isolation: bench.Namespaces}, bench.Experiment{}
	for _, tc := range []struct {
		e     bench.Experiment
		spec  bench.EngineSpec
		given stack.Instance
		want  string
	}{
		{together, bench.EngineSpec{Name: "postgres"}, foreignEngine{}, ""},
		{together, bench.EngineSpec{Name: "postgres", Pooler: map[string]string{}}, nil, ""},
		{together, bench.EngineSpec{Name: "postgres", Pooler: map[string]string{"auth_type": "any"}}, nil, "harness's own"},
		{together, bench.EngineSpec{Name: "postgres", Pooler: map[string]string{}}, foreignEngine{}, "--postgres-url"},
		{together, bench.EngineSpec{Name: "redis", Pooler: map[string]string{}}, nil, "has none"},
		{apart, bench.EngineSpec{Name: "etcd", Members: 3}, nil, ""},
		{together, bench.EngineSpec{Name: "etcd", Members: 3}, nil, "isolation: namespaces"},
		{apart, bench.EngineSpec{Name: "etcd", Members: 3}, foreignEngine{}, "--etcd-url"},
		{apart, bench.EngineSpec{Name: "redis", Members: 3}, nil, "knows no groups"},
	} {
		kind, err := stack.Lookup(tc.spec.Name)
		if err != nil {
			t.Fatal(err)
		}
		source := engineSource{kind: kind, given: tc.given}
		err = errors.Join(checkPooler(tc.spec, source), checkMembers(tc.e, tc.spec, source))
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: %v, want %q", tc.spec, err, tc.want)
		}
	}
}

// foreignEngine stands for a server that the user gave.
type foreignEngine struct{ stack.Instance }

// crowd has two instances of the service, two of one backend and one of another, and two engines.
func crowd() bench.Experiment {
	return bench.Experiment{
		Engines:  []bench.EngineSpec{{Name: "postgres"}, {Name: "redis"}},
		Backends: []bench.Backend{{Role: "stock-keeper", Instances: 2}, {Role: "billing"}},
		Variants: []bench.Variant{{Name: "control", Instances: 2}},
	}
}

func TestFaultsFindLinksByInstanceAndByRole(t *testing.T) {
	e := crowd()
	s := plannedSurface(e, bench.Level{}, e.Variants[0], map[string]engineSource{})
	for name, want := range map[string]int{
		"service-0→redis":          1,
		"service-1->redis":         1,
		"service→redis":            2,
		"service->postgres":        2,
		"service→billing":          2,
		"service-0→stock-keeper-1": 1,
		"service→stock-keeper-1":   2,
		"service→stock-keeper":     4,
		"stock-keeper→postgres":    2,
		"stock-keeper-1→postgres":  1,
		"billing→redis":            1,
		"billing-0→redis":          1,
		"stock-keeper→billing":     0, // only services reach backends
		"service→service":          0,
		"service-2→redis":          0,
		"service":                  0,
		"→redis":                   0,
		"service→":                 0,
		"stock→postgres":           0,
	} {
		if got := len(s.Links(name)); got != want {
			t.Errorf("%q finds %d links, want %d", name, got, want)
		}
	}
}

func TestFaultsFindProcessesByNameAndByRole(t *testing.T) {
	e := crowd()
	s := plannedSurface(e, bench.Level{}, e.Variants[0], map[string]engineSource{})
	for name, want := range map[string]int{
		"redis": 1, "postgres": 1, "service": 2, "service-1": 1, "service-2": 0, "stock-keeper": 2, "billing": 1, "billing-0": 1, "proxy": 0,
	} {
		if got := len(s.Processes(name)); got != want {
			t.Errorf("%q finds %d processes, want %d", name, got, want)
		}
	}
}

func TestFaultsThatHaveNothingToActOnAreFoundBeforeAnythingStarts(t *testing.T) {
	kill := func(name string) chaos.Faults { return chaos.Faults{&chaos.Kill{Process: name}} }
	slow := func(link string) chaos.Faults {
		return chaos.Faults{&chaos.Latency{Link: link, Delay: units.Millisecond}}
	}
	given := map[string]engineSource{"redis": {given: attached{}}}
	for _, tt := range []struct {
		name           string
		faults         chaos.Faults
		network, level chaos.Faults
		sources        map[string]engineSource
		ok             bool
	}{
		{"nothing", nil, nil, nil, nil, true},
		{"an engine of the run", kill("redis"), nil, nil, nil, true},
		{"an engine that the user gave", kill("redis"), nil, nil, given, false},
		{"a link to what the user gave", slow("service→redis"), nil, nil, given, true},
		{"no such link", slow("service→kafka"), nil, nil, nil, false},
		{"no such link on the network", nil, slow("service→kafka"), nil, nil, false},
		{"the level's network replaces it", nil, slow("service→kafka"), slow("service→redis"), nil, true},
		{"no such instance", kill("service-2"), nil, nil, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := crowd()
			e.Network = tt.network
			e.Levels = []bench.Level{{Network: tt.level}}
			e.Phases = []bench.Phase{{Name: "quiet"}, {Name: "bad", Faults: tt.faults}}
			if err := checkFaults(e, tt.sources); (err == nil) != tt.ok {
				t.Errorf("the check says %v", err)
			}
		})
	}
}

// greedy is a fault that needs what no machine has.
type greedy struct{ chaos.Kill }

func (*greedy) Needs() []chaos.Need { return []chaos.Need{"a second moon"} }

func TestAFaultThatThisMachineCannotMakeEndsTheRunBeforeAnythingStarts(t *testing.T) {
	e := crowd()
	e.Phases = []bench.Phase{{Name: "bad", Faults: chaos.Faults{&greedy{chaos.Kill{Process: "redis"}}}}}
	err := checkFaults(e, nil)
	var lacking *EnvironmentError
	if !errors.As(err, &lacking) || !strings.Contains(err.Error(), "phase bad: fault kill redis: it needs a second moon") {
		t.Errorf("the check says %v, want that the machine lacks it", err)
	}
}

func TestTheClockOfAServiceCannotBeChangedAndTheFaultSaysWhatCan(t *testing.T) {
	for process, ok := range map[string]bool{"redis": true, "service": false} {
		e := crowd()
		e.Phases = []bench.Phase{{Name: "bad", Faults: chaos.Faults{&chaos.ClockSkew{Process: process, Offset: units.Second}}}}
		err := checkEach(e.Phases[0].Faults, plannedSurface(e, bench.Level{}, e.Variants[0], nil))
		if unfit := errors.Is(err, errNoClock); unfit == ok {
			t.Errorf("%s: %v", process, err)
		}
	}
}
