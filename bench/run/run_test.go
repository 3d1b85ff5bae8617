package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"shakedown/bench"
	"shakedown/bench/check"
	"shakedown/bench/record"
	"shakedown/chaos"
	"shakedown/internal/units"
	"shakedown/internal/workdir"
	"shakedown/targets/cache/aside"
)

// program is the shakedown binary, and cache the folder of its runs. Both are the test binary's own.
var program, cache string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "run") // engines run as another user, and sockets need short paths
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program, cache = filepath.Join(dir, "shakedown"), filepath.Join(dir, "c")
	build := exec.Command("go", "build", "-o", program, "shakedown/cmd/shakedown")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building shakedown: %v\n%s", err, out)
		return 1
	}
	if err := errors.Join(os.Chmod(dir, 0o755), os.Setenv(workdir.CacheEnv, cache)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// tiny is a run of one trial of one variant of cache/aside.
func tiny(t *testing.T, rate float64, length time.Duration) Options {
	t.Helper()
	return Options{
		Pattern: aside.Pattern, Seed: 1, Repeats: 1, Program: program, Out: filepath.Join(t.TempDir(), "out"),
		Version: "v-test", Commit: "c-test", Command: []string{"again"},
		Experiment: bench.Experiment{
			Name: "cache/aside/tiny", Question: "Does it run?",
			Engines: []bench.EngineSpec{{Name: "postgres"}, {Name: "redis"}},
			Variants: []bench.Variant{{Name: "plain", Config: aside.Config{
				Strategy: "plain", TTL: units.Second, HotTTL: 100 * units.Millisecond, Pool: 2, Keys: 5,
			}}},
			Workload: bench.Workload{
				Ops: []bench.Op{{Name: "hot", Path: "/item/{key}"}}, SLO: units.Second, Timeout: 10 * units.Second,
			},
			Phases: []bench.Phase{
				{Name: "warmup", For: 100 * units.Millisecond, Rate: bench.PerSecond(rate)},
				{Name: "load", For: units.Duration(length), Rate: bench.PerSecond(rate), Judged: true},
			},
		},
	}
}

// watcher is a Progress that acts when a phase starts, and keeps what it was told.
type watcher struct {
	silent
	phase    func(name string)
	findings []string
	trials   []Planned
}

func (w *watcher) PhaseStarted(name string, _ time.Duration) {
	if w.phase != nil {
		w.phase(name)
	}
}

func (w *watcher) TrialStarted(p Planned) { w.trials = append(w.trials, p) }
func (w *watcher) Finding(text string)    { w.findings = append(w.findings, text) }

func open(t *testing.T, dir string) *record.Recording {
	t.Helper()
	rec, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func mustLoad(t *testing.T, rec *record.Recording, i int) record.Data {
	t.Helper()
	data, err := rec.Load(i)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// wantNothingLeft looks for processes and directories of runs that have ended.
func wantNothingLeft(t *testing.T) {
	t.Helper()
	for pid, line := range processesOfTheTest(t) {
		t.Errorf("process %d is left: %s", pid, line)
	}
	entries, err := os.ReadDir(filepath.Join(cache, "work"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			t.Errorf("directory %s of a run is left", e.Name())
		}
	}
}

// processesOfTheTest are those that carry the marker of a run in the test's own cache, with their command lines.
func processesOfTheTest(t *testing.T) map[int]string {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	found := map[int]string{}
	for _, dir := range dirs {
		env, err := os.ReadFile(filepath.Join(dir, "environ"))
		if err != nil || !bytes.Contains(env, []byte(workdir.MarkerEnv+"="+cache)) {
			continue // gone, or somebody else's
		}
		line, _ := os.ReadFile(filepath.Join(dir, "cmdline")) // empty for one that has just gone
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err == nil && len(line) > 0 {
			found[pid] = string(bytes.ReplaceAll(line, []byte{0}, []byte{' '}))
		}
	}
	return found
}

func TestARunLeavesAWholeRecordAndNothingElse(t *testing.T) {
	o := tiny(t, 200, 700*time.Millisecond)
	o.Experiment.Capacity = &bench.Capacity{Closed: bench.Closed{Users: 2}, For: 200 * units.Millisecond}
	o.Experiment.Network = chaos.Faults{&chaos.Latency{Link: "service→postgres", Delay: 2 * units.Millisecond}}
	o.Experiment.Phases[1].Faults = chaos.Faults{&chaos.Latency{Link: "service→redis", Delay: units.Millisecond}}
	o.Repeats = 2
	if err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	wantNothingLeft(t)
	rec := open(t, o.Out)
	r := rec.Run
	if r.Status != record.Complete || r.Planned != 2 || rec.Trials() != 2 || r.Seed != 1 || r.Version != "v-test" || r.Commit != "c-test" ||
		r.Error != "" || r.Finished.Before(r.Started) {
		t.Errorf("run.json says %+v", r)
	}
	if r.CapacityPerS <= 0 {
		t.Errorf("the capacity is %v/s", r.CapacityPerS)
	}
	for i, name := range []string{"postgres", "redis"} {
		if e := r.Engines[i]; e.Name != name || e.Version == "" || e.Source == "" {
			t.Errorf("engine %d is recorded as %+v", i, e)
		}
	}
	seeds := map[uint64]bool{}
	for i := range rec.Trials() {
		data := mustLoad(t, rec, i)
		seeds[data.Trial.Seed] = true
		wantWhole(t, data)
		for _, name := range []string{"service-0", "postgres", "redis"} {
			path := filepath.Join(o.Out, "trials", fmt.Sprintf("%03d", i), "logs", name+".log")
			if _, err := os.Stat(path); err != nil {
				t.Errorf("the log of %s: %v", name, err)
			}
		}
	}
	if len(seeds) != 2 {
		t.Error("two repeats have the same seed")
	}
	if err := Run(t.Context(), o); err == nil {
		t.Error("a second run was recorded over the first")
	}
}

// wantWhole checks what every trial of the tiny experiment leaves.
func wantWhole(t *testing.T, data record.Data) {
	t.Helper()
	trial := data.Trial
	l := trial.Ledger
	if trial.Status != record.Complete || !l.Balances() || l.Scheduled != int64(len(data.Samples)) || l.OK == 0 {
		t.Errorf("trial %d is %s, with %d samples and %+v", trial.Index, trial.Status, len(data.Samples), l)
	}
	if len(trial.Network) != 1 || !trial.Network[0].Landed.Seen || len(trial.Phases) != 2 || len(trial.Phases[1].Faults) != 1 {
		t.Errorf("its network is %+v, its phases %+v", trial.Network, trial.Phases)
	}
	if len(data.InFlight) == 0 || len(data.Spans) == 0 {
		t.Errorf("it has %d observations of the requests in flight and %d spans", len(data.InFlight), len(data.Spans))
	}
	for _, s := range data.Spans {
		if s.Kind != "rebuild:hot" || s.Instance != "service-0" || s.End < s.Start || s.Start < -time.Minute || s.End > time.Minute {
			t.Errorf("it has a span %+v", s)
		}
	}
	wanted := map[string]bool{
		"shakedown_requests_total": false, "shakedown_proxy_connections_total": false,
		"shakedown_postgres_backends": false, "shakedown_redis_commands_total": false,
	}
	for _, s := range data.Series {
		if _, ok := wanted[s.Name]; ok {
			wanted[s.Name] = true
		}
		if s.Name == "shakedown_requests_total" && (s.Labels["instance"] != "service-0" || s.Labels["role"] != bench.ServiceRole) {
			t.Errorf("a service's series has the labels %v", s.Labels)
		}
	}
	for name, seen := range wanted {
		if !seen {
			t.Errorf("there is no series %s", name)
		}
	}
	var events []string
	for _, e := range data.Events {
		events = append(events, e.Kind+" "+e.Name)
	}
	network, fault := trial.Network[0].Fault, trial.Phases[1].Faults[0].Fault
	wantActs(t, events, "fault_injected "+network, "phase warmup", "phase load", "fault_injected "+fault, "fault_healed "+fault, "fault_healed "+network)
}

func TestAVoidTrialIsRunAgainAndBothAreKept(t *testing.T) {
	o := tiny(t, 20, 200*time.Millisecond) // fewer arrivals than anything could be concluded from
	o.Again = 2
	w := &watcher{}
	o.Progress = w
	if err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	wantNothingLeft(t)
	rec := open(t, o.Out)
	if rec.Run.Status != record.Complete || rec.Trials() != 3 || rec.Run.Planned != 1 {
		t.Fatalf("the run is %s with %d trials of %d planned, want 3 of 1", rec.Run.Status, rec.Trials(), rec.Run.Planned)
	}
	for i := range 3 {
		data := mustLoad(t, rec, i)
		if void := check.Validity(rec.Run, data); len(void) == 0 || data.Trial.Index != i || data.Trial.Seed != w.trials[0].Seed {
			t.Errorf("trial %d: index %d, seed %d, void because of %q", i, data.Trial.Index, data.Trial.Seed, void)
		}
		if w.trials[i].Again != (i > 0) {
			t.Errorf("trial %d is announced as run again: %t", i, w.trials[i].Again)
		}
	}
	if len(w.findings) != 3 || !strings.HasPrefix(w.findings[0], "void: ") {
		t.Errorf("the user was told %q", w.findings)
	}
}

func TestATrialIsRunAgainOnlyWhenItIsVoid(t *testing.T) {
	o := tiny(t, 300, 500*time.Millisecond)
	o.Again = 1
	if err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	rec := open(t, o.Out)
	want := 1
	if len(check.Validity(rec.Run, mustLoad(t, rec, 0))) > 0 { // on a machine that is too busy to measure
		want = 2
	}
	if rec.Trials() != want {
		t.Errorf("%d trials were run, want %d", rec.Trials(), want)
	}
}

func TestAServiceThatDiesIsAFindingAndNoEndOfTheRun(t *testing.T) {
	o := tiny(t, 100, 500*time.Millisecond)
	o.Progress = &watcher{phase: func(name string) {
		if name == "load" {
			killService(t)
		}
	}}
	if err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	wantNothingLeft(t)
	data := mustLoad(t, open(t, o.Out), 0)
	if f := data.Trial.Findings; len(f) != 1 || !strings.Contains(f[0], "service-0 died: signal: killed") {
		t.Errorf("the findings are %q", f)
	}
	if l := data.Trial.Ledger; !l.Balances() || l.OK == 0 || l.OK == l.Scheduled {
		t.Errorf("the ledger is %+v; some were answered before, and none after", l)
	}
}

// killService ends the service of the run that is going on with SIGKILL.
func killService(t *testing.T) {
	for pid, line := range processesOfTheTest(t) {
		if strings.Contains(line, " target cache/aside ") {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Error(err)
			}
			return
		}
	}
	t.Error("there is no service to kill")
}

func TestARunThatIsStoppedLeavesNothingRunningAndSaysSo(t *testing.T) {
	for _, phase := range []string{"warmup", "load"} {
		t.Run(phase, func(t *testing.T) {
			o := tiny(t, 100, time.Hour)
			o.Experiment.Phases[1].Faults = chaos.Faults{&chaos.Pause{Process: "redis"}}
			if phase == "warmup" {
				o.Experiment.Phases[0].For = units.Duration(time.Hour)
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			o.Progress = &watcher{phase: func(name string) {
				if name == phase {
					cancel(errors.New("Ctrl-C"))
				}
			}}
			if err := Run(ctx, o); !errors.Is(err, ErrAborted) {
				t.Errorf("Run says %v", err)
			}
			wantNothingLeft(t)
			rec := open(t, o.Out)
			if rec.Run.Status != record.Aborted || !strings.Contains(rec.Run.Error, "Ctrl-C") || rec.Trials() != 1 {
				t.Errorf("the run is %s (%s) with %d trials", rec.Run.Status, rec.Run.Error, rec.Trials())
			}
			data := mustLoad(t, rec, 0)
			if data.Trial.Status != record.Aborted || !data.Trial.Ledger.Balances() || len(data.Events) == 0 {
				t.Errorf("the trial is %s, its ledger %+v, with %d events", data.Trial.Status, data.Trial.Ledger, len(data.Events))
			}
		})
	}
}

func TestAServiceThatDoesNotStartEndsTheRunAndSaysWhy(t *testing.T) {
	o := tiny(t, 100, 100*time.Millisecond)
	o.Pattern.Seed = nil // which would be the first to complain
	o.Experiment.Variants[0].Config = map[string]any{"hope": true}
	o.Experiment.Variants[0].Instances = 2
	err := Run(t.Context(), o)
	if err == nil || errors.Is(err, ErrAborted) || !strings.Contains(err.Error(), "start service-") || !strings.Contains(err.Error(), "hope") {
		t.Errorf("Run says %v", err)
	}
	wantNothingLeft(t)
	if rec := open(t, o.Out); rec.Run.Status != record.Aborted || !strings.Contains(rec.Run.Error, "hope") {
		t.Errorf("the run is %s: %s", rec.Run.Status, rec.Run.Error)
	}
}

func TestWhatIsFoundToBeWrongBeforeTheStartLeavesNoRecord(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Options)
		want   any
	}{
		{"an unknown engine", func(o *Options) { o.Experiment.Engines[0].Name = "oracle" }, new(*InputError)},
		{"a fault on nothing", func(o *Options) { o.Experiment.Phases[1].Faults = chaos.Faults{&chaos.Kill{Process: "kafka"}} }, new(*InputError)},
		{"a workload without operations", func(o *Options) { o.Experiment.Workload.Ops = nil }, new(*InputError)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := tiny(t, 100, 100*time.Millisecond)
			o.Experiment.Engines = slices.Clone(o.Experiment.Engines)
			tt.change(&o)
			if err := Run(t.Context(), o); !errors.As(err, tt.want) {
				t.Errorf("Run says %T: %v", err, err)
			}
			if _, err := os.Stat(o.Out); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the run directory: %v", err)
			}
		})
	}
}
