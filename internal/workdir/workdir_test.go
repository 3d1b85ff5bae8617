package workdir

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"shakedown/internal/proc/procfs"
)

// TestMain lets the test binary play a harness that dies: it makes a run, starts a child that outlives it, and waits to be killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("FAKE_HARNESS_CACHE"); dir != "" {
		if err := fakeHarness(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

func fakeHarness(dir string) error {
	root, err := OpenAt(dir)
	if err != nil {
		return err
	}
	run, err := root.NewRun("doomed")
	if err != nil {
		return err
	}
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		return err
	}
	seq, err := run.Journal().Intent("sleeper", sleep)
	if err != nil {
		return err
	}
	known, stray := exec.Command(sleep, "1000"), exec.Command(sleep, "1000")
	known.Env = []string{} // found by its pid and start time alone
	stray.Env = []string{run.Journal().Marker()}
	if err := errors.Join(known.Start(), stray.Start()); err != nil {
		return err
	}
	st, err := procfs.ReadStat(known.Process.Pid)
	if err != nil {
		return err
	}
	if err := run.Journal().Started(seq, st.PID, st.StartTicks); err != nil {
		return err
	}
	for _, file := range []string{"first", "last"} {
		if _, err := run.Journal().Fault("made "+file, "remove", filepath.Join(dir, file)); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, file), nil, 0o600); err != nil {
			return err
		}
	}
	if _, err := run.Journal().Fault("paused the sleeper", ""); err != nil {
		return err
	}
	fmt.Println(known.Process.Pid, stray.Process.Pid)
	select {}
}

// openCache opens a cache in a folder that an engine's user may enter.
func openCache(t *testing.T) *Root {
	t.Helper()
	dir, err := os.MkdirTemp("", "wd") //nolint:usetesting // t.TempDir is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	root, err := OpenAt(dir)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func TestSweepEndsWhatADeadHarnessLeftAndNothingElse(t *testing.T) {
	root := openCache(t)
	harness := exec.Command(os.Args[0])
	harness.Env = append(os.Environ(), "FAKE_HARNESS_CACHE="+root.Dir())
	harness.Stderr = os.Stderr
	out, err := harness.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := harness.Start(); err != nil {
		t.Fatal(err)
	}
	var known, stray int
	if _, err := fmt.Fscan(out, &known, &stray); err != nil {
		t.Fatal(err)
	}
	if swept, err := root.Sweep(t.Context()); err != nil || len(swept.Runs)+len(swept.Processes) != 0 {
		t.Fatalf("a sweep touched a live run: %+v, %v", swept, err)
	}
	bystander := exec.Command("sleep", "1000") // the same program, not of the run
	if err := bystander.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = bystander.Process.Kill(); _ = bystander.Wait() }()

	_ = harness.Process.Kill()
	_ = harness.Wait()
	swept := sweepTheDoomed(t, root)
	if !slices.Equal(swept.Runs, []string{"doomed"}) || len(swept.Processes) != 2 {
		t.Errorf("swept %+v; want the run doomed and two processes", swept)
	}
	if !slices.Equal(swept.Faults, []string{"made last", "made first"}) {
		t.Errorf("undone: %q; want both, the last first", swept.Faults)
	}
	for _, pid := range []int{known, stray} {
		if st, err := procfs.ReadStat(pid); err == nil && !st.Gone() {
			t.Errorf("process %d survived the sweep", pid)
		}
	}
	if st, err := procfs.ReadStat(bystander.Process.Pid); err != nil || st.Gone() {
		t.Errorf("the sweep ended a process that is not the run's: %v", err)
	}
	if _, err := os.Stat(filepath.Join(root.work(), "doomed")); !os.IsNotExist(err) {
		t.Errorf("the dead run's directory is still there: %v", err)
	}
}

// sweepTheDoomed sweeps without knowing how to undo, with an undo that fails, and with one that works: the run stays until
// all is undone, so that it can be tried again.
func sweepTheDoomed(t *testing.T, root *Root) Swept {
	t.Helper()
	first, err := root.Sweep(t.Context())
	if err == nil || !strings.Contains(err.Error(), `undoing made last: this version knows no undo "remove"`) || len(first.Runs) != 0 {
		t.Errorf("without the undo: %+v, %v", first, err)
	}
	failing := Undo{Kind: "remove", Do: func(context.Context, []string) error { return errors.New("not today") }}
	second, err := root.Sweep(t.Context(), failing)
	if err == nil || !strings.Contains(err.Error(), "undoing made last: not today") || len(second.Runs)+len(second.Faults) != 0 {
		t.Errorf("with an undo that fails: %+v, %v", second, err)
	}
	remove := Undo{Kind: "remove", Do: func(_ context.Context, args []string) error { return os.Remove(args[0]) }}
	third, err := root.Sweep(t.Context(), Undo{Kind: "other"}, remove)
	if err != nil {
		t.Fatal(err)
	}
	third.Processes = append(first.Processes, third.Processes...)
	return third
}

func TestAReusedPidIsNotTheJournaledProcess(t *testing.T) {
	boot, err := procfs.BootID()
	if err != nil {
		t.Fatal(err)
	}
	self, err := procfs.ReadStat(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	c := claim{dir: "/nowhere"}
	for name, tc := range map[string]struct {
		e    entry
		want bool
	}{
		"same process":     {entry{PID: self.PID, StartTicks: self.StartTicks, Boot: boot}, true},
		"other start time": {entry{PID: self.PID, StartTicks: self.StartTicks + 1, Boot: boot}, false},
		"other boot":       {entry{PID: self.PID, StartTicks: self.StartTicks, Boot: "another"}, false},
		"other pid":        {entry{PID: self.PID + 1, StartTicks: self.StartTicks, Boot: boot}, false},
	} {
		if got := c.owns(left{procs: []entry{tc.e}}, self, boot); got != tc.want {
			t.Errorf("%s: owns = %v, want %v", name, got, tc.want)
		}
	}
}

func TestJournalReadsBackWhatIsStillOpen(t *testing.T) {
	root := openCache(t)
	run, err := root.NewRun(NewID())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = run.Close() }()
	j := run.Journal()
	var seqs []int
	for i, name := range []string{"postgres", "redis"} {
		seq, err := j.Intent(name, "/bin/"+name)
		if err != nil {
			t.Fatal(err)
		}
		seqs = append(seqs, seq)
		if err := j.Started(seq, 100+i, 7); err != nil {
			t.Fatal(err)
		}
	}
	healed, _ := j.Fault("a", "remove", "/a")
	_, _ = j.Fault("b", "remove", "/b", "now")
	if err := errors.Join(j.Ended(seqs[0]), j.Healed(healed)); err != nil {
		t.Fatal(err)
	}
	l, err := readJournal(run.Dir())
	if err != nil || l.marker != j.Marker() {
		t.Fatalf("marker %q, %v; want %q", l.marker, err, j.Marker())
	}
	if len(l.procs) != 1 || l.procs[0].Name != "redis" || l.procs[0].PID != 101 || l.procs[0].Exe != "/bin/redis" {
		t.Errorf("open processes: %+v", l.procs)
	}
	if len(l.faults) != 1 || l.faults[0].Undo != "remove" || !slices.Equal(l.faults[0].Args, []string{"/b", "now"}) {
		t.Errorf("open faults: %+v", l.faults)
	}
	raw, err := os.ReadFile(filepath.Join(run.Dir(), journalFile))
	if err != nil {
		t.Fatal(err)
	}
	for cut := range raw { // a harness may die at any byte
		_ = parseJournal(run.Dir(), raw[:cut])
	}
}

func FuzzParseJournal(f *testing.F) {
	f.Add([]byte("{\"seq\":1,\"kind\":\"opened\",\"token\":\"x\"}\n{\"seq\":2,\"kind\":\"intent\"}\n{\"seq\":3,\"kind\":\"started\",\"of\":2}\n"))
	f.Fuzz(func(_ *testing.T, raw []byte) { _ = parseJournal("/d", raw) })
}

func TestAFullDiskIsOneClearLineAndStopsTheJournal(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	j := &Journal{f: full}
	_, err = j.Intent("redis", "/bin/redis")
	if !errors.Is(err, syscall.ENOSPC) || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), CacheEnv) {
		t.Errorf("got %v", err)
	}
	j.f = os.NewFile(^uintptr(0), "never used")
	if _, again := j.Fault("x", "y"); !errors.Is(again, syscall.ENOSPC) {
		t.Errorf("after a failed note the journal took another: %v", again)
	}
	_ = full.Close()
}

func TestConcurrentRunsAndSweepsDoNotDisturbEachOther(t *testing.T) {
	root := openCache(t)
	for i := range 8 { // dead runs, in all stages of being made
		dir := filepath.Join(root.work(), "dead"+strconv.Itoa(i))
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			if err := os.WriteFile(filepath.Join(dir, lockFile), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var removed []string
	for range 4 {
		wg.Go(func() {
			for range 10 {
				swept, err := root.Sweep(context.WithoutCancel(t.Context()))
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				removed = append(removed, swept.Runs...)
				mu.Unlock()
			}
		})
		wg.Go(func() {
			for range 10 {
				run, err := root.NewRun(NewID())
				if err != nil {
					t.Error(err)
					continue
				}
				if _, err := os.Stat(filepath.Join(run.Dir(), journalFile)); err != nil {
					t.Errorf("a live run lost its journal: %v", err)
				}
				if err := run.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	slices.Sort(removed)
	if want := []string{"dead0", "dead1", "dead2", "dead3", "dead4", "dead5", "dead6", "dead7"}; !slices.Equal(removed, want) {
		t.Errorf("removed %q, want each dead run exactly once", removed)
	}
}

func TestNewRunSaysWhatIsWrong(t *testing.T) {
	root := openCache(t)
	run, err := root.NewRun("taken")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = run.Close() }()
	long := &Root{dir: "/tmp/" + strings.Repeat("x", 80)}
	for name, tc := range map[string]struct {
		root     *Root
		id, want string
	}{
		"taken":             {root, "taken", "is taken"},
		"a path in the id":  {root, "../x", "lower-case letters"},
		"empty":             {root, "", "lower-case letters"},
		"too long a path":   {long, "a", "unix sockets"},
		"no work directory": {&Root{dir: filepath.Join(root.Dir(), "gone")}, "a", "no such file"},
	} {
		_, err := tc.root.NewRun(tc.id)
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want one line with %q", name, err, tc.want)
		}
	}
}

func TestOpenSaysWhatIsWrongWithTheFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv(CacheEnv, filepath.Join(file, "cache"))
	if _, err := Open(); err == nil || !strings.Contains(err.Error(), CacheEnv) {
		t.Errorf("a file in the way: %v", err)
	}
}

func TestOnlyTheOpenPathsMayBeEntered(t *testing.T) {
	closed := t.TempDir()
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	stranger := User{Name: "stranger", UID: 4_000_000, GID: 4_000_000}
	if err := stranger.mayEnter(filepath.Join(closed, "not", "yet", "made")); err == nil {
		t.Error("a stranger may pass a directory of mode 0700")
	}
	if err := stranger.mayEnter("/usr/not-yet-made"); err != nil {
		t.Errorf("a stranger may not pass /usr: %v", err)
	}
	owner := User{Name: "owner", UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}
	if err := owner.mayEnter("/usr"); err != nil {
		t.Errorf("the owner may not pass: %v", err)
	}
}

// TestALockThatOutlivesItsOwnerIsWaitedFor: a harness killed in the middle of a fork leaves a child that holds the lock until
// it executes its program. Such a run is neither live nor free yet.
func TestALockThatOutlivesItsOwnerIsWaitedFor(t *testing.T) {
	for name, tc := range map[string]struct {
		changed uint64 // ticks by which the owner's start time differs from this process's
		dying   int
	}{"live owner": {0, 0}, "dead owner": {1, 1}} {
		t.Run(name, func(t *testing.T) {
			root := openCache(t)
			run, err := root.NewRun("held")
			if err != nil {
				t.Fatal(err)
			}
			self, err := owner()
			if err != nil {
				t.Fatal(err)
			}
			self.Kind, self.Token = "opened", "x"
			self.StartTicks += tc.changed
			line, err := json.Marshal(self)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(run.Dir(), journalFile), append(line, '\n'), 0o600); err != nil {
				t.Fatal(err)
			}
			claims, dying, err := root.claim()
			if len(claims) != 0 || dying != tc.dying || err != nil {
				t.Fatalf("while the lock is held: %d claims, %d dying, %v; want 0, %d", len(claims), dying, err, tc.dying)
			}
			if err := run.lock.Close(); err != nil {
				t.Fatal(err)
			}
			swept, err := root.Sweep(t.Context())
			if err != nil || !slices.Equal(swept.Runs, []string{"held"}) {
				t.Errorf("once the lock is free: %+v, %v", swept, err)
			}
			_ = run.journal.close()
		})
	}
}
