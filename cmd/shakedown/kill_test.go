package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"shakedown/chaos/disk"
)

// waitFor returns once the condition holds. There is no deadline but the test's own: a busy machine is slow, not wrong.
func waitFor(t *testing.T, holds func() bool) {
	t.Helper()
	for tick := time.NewTicker(2 * time.Millisecond); !holds(); <-tick.C {
		if t.Context().Err() != nil {
			t.Fatal("the test has ended")
		}
	}
}

// faulty is tiny.yaml with a fault of each sort: one that lives in the proxy, one that acts on a process, and, where disks can be
// mounted, one that acts on a disk.
func faulty(t *testing.T) string {
	t.Helper()
	text := twoFaults(t)
	if err := disk.Available(); err != nil {
		t.Logf("without a disk: %v", err)
		return text
	}
	text = strings.Replace(text, "  - {name: redis}\n", "  - {name: redis, disk: true}\n", 1)
	return strings.Replace(text, "columns:\n", `  - name: power
    for: 500ms
    rate: {per_s: 30}
    faults: [{kind: power_loss, process: redis}]
columns:
`, 1)
}

func twoFaults(t *testing.T) string {
	return strings.Replace(tiny(t), "    judged: true\n", `    judged: true
  - name: blackhole
    for: 500ms
    rate: {per_s: 30}
    faults: [{kind: blackhole, link: service→redis}]
  - name: kill
    for: 500ms
    rate: {per_s: 30}
    faults: [{kind: kill, process: redis}]
`, 1)
}

// needsNoRaceDetector skips tests of processes that are killed: they tell the race detector nothing, and with it take four times as long.
func needsNoRaceDetector(t *testing.T) {
	t.Helper()
	if raceEnabled {
		t.Skip("tried without the race detector")
	}
}

// TestKillingARunLeavesNothing is the promise on stopping: kill -9 of the harness, at any moment, and nothing that it started
// survives the next `shakedown clean`.
func TestKillingARunLeavesNothing(t *testing.T) {
	needsNoRaceDetector(t)
	kills := 3
	if env := os.Getenv("SHAKEDOWN_KILLS"); env != "" {
		n, err := strconv.Atoi(env)
		if err != nil || n < 1 {
			t.Fatalf("SHAKEDOWN_KILLS=%s: want a number of 1 or more", env)
		}
		kills = n
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	s := newSandbox(t)
	s.write("faulty.yaml", strings.Replace(faulty(t), "for: 1s", "for: 300ms", 1))
	for i := range kills {
		killRun(t, s, rng, filepath.Join("rec", strconv.Itoa(i)))
	}
}

// killRun waits for one of the moments of a run, chosen by chance, and then for a random while more.
func killRun(t *testing.T, s *sandbox, rng *rand.Rand, out string) {
	t.Helper()
	cmd := s.command("run", "faulty.yaml", "--repeats", "2", "--out", out, "--seed", strconv.Itoa(rng.IntN(1e6)+1))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = cmd.Wait() }()
	events := filepath.Join(s.dir, out, "trials/000/events.ndjson")
	moments := []struct {
		name string
		came func() bool
	}{
		{"at the start", func() bool { return true }},
		{"once the recording is begun", func() bool { return exists(filepath.Join(s.dir, out, "run.json")) }},
		{"once servers are up", func() bool { return len(s.processes()) > 5 }},
		{"once the load runs", func() bool { return contains(events, `"steady"`) }},
		{"in the black hole", func() bool { return contains(events, "blackhole") }},
		{"while redis is dead", func() bool { return contains(events, "kill") }},
		{"without power", func() bool { return contains(events, "power loss") || exists(filepath.Join(s.dir, out, "trials/001")) }},
		{"in the second trial", func() bool { return exists(filepath.Join(s.dir, out, "trials/001")) }},
	}
	moment := moments[rng.IntN(len(moments))]
	waitFor(t, func() bool {
		select {
		case <-done:
			return true
		default:
			return moment.came()
		}
	})
	more := time.Duration(rng.IntN(400)) * time.Millisecond
	select {
	case <-time.After(more): // not a synchronisation: any moment must do
	case <-done:
		t.Fatalf("the run ended before it was killed, %s", moment.name)
	}
	pids := s.processes()
	sockets := listening(t, pids)
	t.Logf("killed %s and %v, with %d processes and %d listening sockets", moment.name, more, len(pids), len(sockets))
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-done
	if cleaned := s.run("clean"); cleaned.code != 0 || cleaned.stderr != "" {
		t.Fatalf("clean should succeed, got %v", cleaned)
	}
	if left := s.left(); left != nil {
		t.Errorf("killed %s; left after clean: %q", moment.name, left)
	}
	for inode := range listeners(t) {
		if sockets[inode] {
			t.Errorf("killed %s; socket %s still listens", moment.name, inode)
		}
	}
	if again := s.run("clean"); again.code != 0 || again.out != "nothing was left\n" {
		t.Errorf("a second clean should find nothing, got %v", again)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func contains(path, text string) bool {
	raw, err := os.ReadFile(path)
	return err == nil && strings.Contains(string(raw), text)
}
