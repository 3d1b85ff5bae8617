package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shakedown/chaos"
	machine "shakedown/internal/needs"
)

// limited is tiny.yaml with a phase in which all that can be done to processes beside ending them is done at once, and one
// in which they are ended again and again.
func limited(t *testing.T) string {
	return strings.Replace(tiny(t), "    judged: true\n", `    judged: true
  - name: limited
    for: 1h
    rate: {per_s: 30}
    faults:
      - {kind: cpu_quota, process: service, cores: 0.5}
      - {kind: memory_limit, process: postgres, bytes: 536870912}
      - {kind: cpu_burn, process: service, processes: 1}
      - {kind: fd_limit, process: redis, spare: 200}
      - {kind: clock_skew, process: redis, offset: -1h, rate: 1.01}
      - {kind: clock_skew, process: postgres, offset: 1h}
      - {kind: crash_loop, process: service, up: 100ms, down: 50ms}
`, 1)
}

// TestKillingARunLeavesNoLimits: kill -9 while control groups, a changed clock and busy processes are in force, and the next
// clean takes all of them away. The names of what is made have the run's id in them.
func TestKillingARunLeavesNoLimits(t *testing.T) {
	needsNoRaceDetector(t)
	for _, n := range []chaos.Need{chaos.NeedCPUGroups, chaos.NeedMemoryGroups, chaos.NeedFaketime} {
		if _, err := machine.Look(n); err != nil {
			t.Skipf("%s: %v", n, err)
		}
	}
	s := newSandbox(t)
	kill := s.runUntil(limited(t), "crash loop")
	id := s.runID()
	if made := named(t, id); len(made) < 6 { // two groups of postgres or one, one of the service, and two files for each clock
		t.Errorf("in force are only %q", made)
	}
	kill()
	cleaned := s.run("clean")
	if cleaned.code != 0 || !strings.Contains(cleaned.out, "undid") || cleaned.stderr != "" {
		t.Errorf("clean should undo what is left, got %v", cleaned)
	}
	if left := append(named(t, id), s.left()...); left != nil {
		t.Errorf("left after clean: %q", left)
	}
}

// runUntil starts a run of an experiment, and returns once an event of its trial has the text; kill ends the run with SIGKILL.
func (s *sandbox) runUntil(experiment, event string) (kill func()) {
	s.t.Helper()
	s.write("killed.yaml", experiment)
	cmd := s.command("run", "killed.yaml", "--variant", "plain", "--out", "rec")
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = cmd.Wait() }()
	events := filepath.Join(s.dir, "rec/trials/000/events.ndjson")
	waitFor(s.t, func() bool {
		select {
		case <-done:
			s.t.Fatalf("the run ended before it was killed: %s", said.String())
		default:
		}
		return contains(events, event)
	})
	return func() {
		if err := cmd.Process.Kill(); err != nil {
			s.t.Fatal(err)
		}
		<-done
	}
}

// runID is the id of the one run in the sandbox.
func (s *sandbox) runID() string {
	s.t.Helper()
	entries, err := os.ReadDir(filepath.Join(s.cache, "work"))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			return e.Name()
		}
	}
	s.t.Fatal("there is no run")
	return ""
}

// named lists the control groups and the shared memory of a run.
func named(t *testing.T, id string) (found []string) {
	t.Helper()
	for _, root := range []string{"/sys/fs/cgroup", "/dev/shm"} {
		err := filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
			if err == nil && strings.Contains(filepath.Base(path), "shakedown-"+id) {
				found = append(found, path)
			}
			return nil // what goes away meanwhile is somebody else's
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}
