package proc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"shakedown/internal/favour"
	"shakedown/internal/proc/procfs"
)

// TestMain lets the test binary play the harness that the tests in orphan_test.go kill.
func TestMain(m *testing.M) {
	if os.Getenv(fakeHarnessEnv) != "" {
		fmt.Fprintln(os.Stderr, fakeHarness())
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// eachContainment runs the test under every containment that works on this machine.
func eachContainment(t *testing.T, test func(*testing.T, *Keeper)) {
	for _, c := range Containments() {
		t.Run(string(c), func(t *testing.T) {
			k := NewKeeperWith(nil, c)
			t.Cleanup(func() {
				if err := k.Close(); err != nil {
					t.Error(err)
				}
			})
			test(t, k)
		})
	}
}

func sh(name, script string) Spec {
	return Spec{Name: name, Path: "/bin/sh", Args: []string{"-c", script}}
}

func mustStart(t *testing.T, k *Keeper, s Spec) *Process {
	t.Helper()
	p, err := k.Start(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// eventually waits for something that must come about, however slow the machine is; the deadline of the test binary bounds it.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never came about: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func TestAProcessGetsWhatItsSpecSays(t *testing.T) {
	eachContainment(t, func(t *testing.T, k *Keeper) {
		dir := t.TempDir()
		extra, err := os.CreateTemp(dir, "extra")
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		p := mustStart(t, k, Spec{
			Name: "echo", Path: "/bin/sh", Dir: dir, Env: []string{"COLOUR=red"}, Stdout: &out, ExtraFiles: []*os.File{extra},
			Log:  filepath.Join(dir, "logs", "echo.log"),
			Args: []string{"-c", `echo "$1 $COLOUR $(pwd)"; echo one >&2; echo two >&2; echo kept >&3; exit 7`, "sh", "a  b"},
		})
		<-p.Done()
		if got, want := out.String(), "a  b red "+dir+"\n"; got != want {
			t.Errorf("standard output %q, want %q", got, want)
		}
		if got := p.Tail(2); len(got) != 2 || got[0] != "one" || got[1] != "two" {
			t.Errorf("log %q, want one, two", got)
		}
		if raw, _ := os.ReadFile(extra.Name()); string(raw) != "kept\n" {
			t.Errorf("the inherited file holds %q", raw)
		}
		if p.Err() == nil || p.ExitState() != "exit status 7" || p.Expected() {
			t.Errorf("ended with %v, %q, expected=%v; want status 7, not expected", p.Err(), p.ExitState(), p.Expected())
		}
		if st, err := p.State(); st != Gone || err != nil {
			t.Errorf("state %q, %v; want gone", st, err)
		}
		_ = extra.Close()
	})
}

func TestAStartThatFailsSaysWhy(t *testing.T) {
	dir := t.TempDir()
	plain, garbage := filepath.Join(dir, "plain"), filepath.Join(dir, "garbage")
	if err := errors.Join(os.WriteFile(plain, nil, 0o600), os.WriteFile(garbage, []byte("\x7fELF\x00\x00"), 0o600),
		os.Chmod(garbage, 0o700)); err != nil {
		t.Fatal(err)
	}
	eachContainment(t, func(t *testing.T, k *Keeper) {
		log := filepath.Join(t.TempDir(), "log")
		for want, spec := range map[string]Spec{
			"no program /no/such":      {Name: "x", Path: "/no/such"},
			"is a directory":           {Name: "x", Path: dir},
			"may not be executed":      {Name: "x", Path: plain},
			"could not be executed":    {Name: "x", Path: garbage, Log: log},
			"working directory":        {Name: "x", Path: "/bin/true", Dir: "/no/such"},
			"needs a name":             {Path: "/bin/true"},
			"at most 6 can be":         {Name: "x", Path: "/bin/true", ExtraFiles: make([]*os.File, 7)},
			"its log":                  {Name: "x", Path: "/bin/true", Log: "/proc/no/log"},
			"starting named: there is": {Name: "named", Path: "/no/such"},
		} {
			p, err := k.Start(t.Context(), spec)
			if p != nil || err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one line with %q", err, want)
			}
		}
		done, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := k.Start(done, sh("x", "true")); !errors.Is(err, context.Canceled) {
			t.Errorf("under an ended context: %v", err)
		}
	})
}

func TestKillTakesTheWholeTree(t *testing.T) {
	eachContainment(t, func(t *testing.T, k *Keeper) {
		unique := uniqueEnv(t)
		s := sh("tree", "setsid sleep 1000 & (setsid sleep 1000 &) ; exec sleep 1000")
		s.Env = append(os.Environ(), unique)
		p := mustStart(t, k, s)
		eventually(t, "three sleepers", func() bool { return countSleepers(unique) == 3 })
		if err := p.Kill(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := countMarked(unique); n != 0 {
			t.Errorf("%d processes are left after Kill returned", n)
		}
		if !p.Expected() || p.ExitState() != "signal: killed" {
			t.Errorf("ended with %q, expected=%v", p.ExitState(), p.Expected())
		}
		if err := p.Kill(t.Context()); err != nil {
			t.Errorf("killing it again: %v", err)
		}
	})
}

func TestPauseStopsTheWholeTreeAndResumeLetsItGoOn(t *testing.T) {
	eachContainment(t, func(t *testing.T, k *Keeper) {
		unique := uniqueEnv(t)
		s := sh("tree", "setsid sleep 1000 & (setsid sleep 1000 &) ; exec sleep 1000")
		s.Env = append(os.Environ(), unique)
		p := mustStart(t, k, s)
		eventually(t, "three sleepers", func() bool { return countSleepers(unique) == 3 })
		for range 3 {
			if err := p.Pause(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, st := range markedBy(unique) {
				if !st.Stopped() {
					t.Errorf("%s (pid %d) is %c while paused", st.Command, st.PID, st.State)
				}
			}
			if st, err := p.State(); st != Stopped || err != nil {
				t.Errorf("state %q, %v; want stopped", st, err)
			}
			if err := p.Resume(t.Context()); err != nil {
				t.Fatal(err)
			}
			if st, err := p.State(); st != Running || err != nil {
				t.Errorf("state %q, %v; want running", st, err)
			}
		}
		if err := p.Pause(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := p.Stop(t.Context(), syscall.SIGTERM, time.Millisecond); err != nil {
			t.Errorf("stopping a paused process: %v", err)
		}
		if err := p.Pause(t.Context()); err == nil {
			t.Error("pausing a process that is gone is no error")
		}
		if err := p.Resume(t.Context()); err != nil {
			t.Errorf("resuming a process that is gone: %v", err)
		}
	})
}

func TestStopAsksFirstAndKillsThen(t *testing.T) {
	eachContainment(t, func(t *testing.T, k *Keeper) {
		for name, tc := range map[string]struct{ script, want string }{
			"polite":    {"trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done", "exit status 3"},
			"stubborn":  {"trap '' TERM; echo ready; while :; do sleep 0.01; done", "signal: killed"},
			"long gone": {"echo ready; exit 4", "exit status 4"},
		} {
			ready := make(readyWriter, 1)
			s := sh(name, tc.script)
			s.Stdout = ready
			p := mustStart(t, k, s)
			<-ready
			grace := time.Hour
			if name == "stubborn" {
				grace = time.Millisecond
			}
			if name == "long gone" {
				<-p.Done()
			}
			if err := p.Stop(t.Context(), syscall.SIGTERM, grace); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if got := p.ExitState(); got != tc.want {
				t.Errorf("%s: ended with %q, want %q", name, got, tc.want)
			}
		}
	})
}

// readyWriter passes on that something was written.
type readyWriter chan struct{}

func (w readyWriter) Write(b []byte) (int, error) {
	select {
	case w <- struct{}{}:
	default:
	}
	return len(b), nil
}

func TestStopAllEndsTheLastFirstAndCloseRefusesMore(t *testing.T) {
	j := &memoryJournal{}
	k := NewKeeper(j)
	for _, name := range []string{"a", "b", "c"} {
		mustStart(t, k, Spec{Name: name, Path: "/bin/sleep", Args: []string{"1000"}})
	}
	// sleep as the first of its namespace ignores SIGTERM; an ended context kills at once.
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := k.StopAll(ended); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(k.Close(), k.Close()); err != nil {
		t.Fatal(err)
	}
	want := "intent a, started a, intent b, started b, intent c, started c, ended c, ended b, ended a"
	if got := strings.Join(j.notes, ", "); got != want {
		t.Errorf("journal: %s\nwant:    %s", got, want)
	}
	if _, err := k.Start(t.Context(), sh("late", "true")); err == nil || !strings.Contains(err.Error(), "stopping") {
		t.Errorf("starting after Close: %v", err)
	}
}

// TestNothingRunsThatTheJournalCouldNotNote: the journal comes before the act.
func TestNothingRunsThatTheJournalCouldNotNote(t *testing.T) {
	for _, at := range []string{"intent", "started"} {
		k := NewKeeper(&memoryJournal{failAt: at})
		file := filepath.Join(t.TempDir(), "ran")
		_, err := k.Start(t.Context(), sh("x", "touch "+file))
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("failing %s: got %v", at, err)
		}
		if err := k.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(file); !os.IsNotExist(err) {
			t.Errorf("failing %s: the program ran", at)
		}
	}
}

// memoryJournal keeps its notes in order; Keeper's calls to it are ordered by the test.
type memoryJournal struct {
	notes  []string
	names  []string
	failAt string
}

func (j *memoryJournal) note(kind string, n int) error {
	if kind == j.failAt {
		return fmt.Errorf("journal: %w", syscall.ENOSPC)
	}
	j.notes = append(j.notes, kind+" "+j.names[n])
	return nil
}

func (j *memoryJournal) Marker() string { return "SHAKEDOWN_RUN=test" }

func (j *memoryJournal) Intent(name, _ string) (int, error) {
	j.names = append(j.names, name)
	return len(j.names) - 1, j.note("intent", len(j.names)-1)
}
func (j *memoryJournal) Started(n, _ int, _ uint64) error { return j.note("started", n) }
func (j *memoryJournal) Ended(n int) error                { return j.note("ended", n) }

func TestLastLines(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	for name, tc := range map[string]struct {
		text string
		n    int
		want string
	}{
		"fewer than asked": {"a\nb\n", 5, "a|b"},
		"the last ones":    {"a\nb\nc", 2, "b|c"},
		"blank lines":      {"a\n\n \nb\r\n\n", 2, "a|b"},
		"empty":            {"", 3, ""},
		"a very long log":  {strings.Repeat("x", 100<<10) + "\nend\n", 9, "end"},
	} {
		if err := os.WriteFile(file, []byte(tc.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(LastLines(file, tc.n), "|"); got != tc.want {
			t.Errorf("%s: got %q, want %q", name, got, tc.want)
		}
	}
	if got := LastLines(file+".missing", 3); got != nil {
		t.Errorf("a missing file has lines %q", got)
	}
}

func markedBy(entry string) []procfs.Stat {
	all, _ := procfs.All()
	var found []procfs.Stat
	for _, st := range all {
		if !st.Gone() && st.PID != os.Getpid() && procfs.HasEnv(st.PID, entry) {
			found = append(found, st)
		}
	}
	return found
}

func countMarked(entry string) int { return len(markedBy(entry)) }

func countSleepers(entry string) int {
	n := 0
	for _, st := range markedBy(entry) {
		if st.Command == "sleep" {
			n++
		}
	}
	return n
}

func uniqueEnv(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("SHAKEDOWN_TEST=%s-%d-%d", t.Name(), os.Getpid(), time.Now().UnixNano())
}

func TestAskingAProcessThatEndedByItselfDoesNotMakeItsEndExpected(t *testing.T) {
	eachContainment(t, func(t *testing.T, k *Keeper) {
		p := mustStart(t, k, sh("crasher", "exit 3"))
		<-p.Done()
		if err := errors.Join(p.Stop(t.Context(), syscall.SIGTERM, time.Minute), p.Kill(t.Context())); err != nil {
			t.Error(err)
		}
		if p.Expected() {
			t.Error("its crash passes for an end that was asked for")
		}
	})
}

// What the harness asks for itself while it measures, the servers that it measures must not get.
func TestChildrenAreScheduledAsTheHarnessWasBefore(t *testing.T) {
	before, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	eachContainment(t, func(t *testing.T, k *Keeper) {
		defer favour.Threads()()
		got, err := unix.SchedGetAttr(mustStart(t, k, sh("sleeper", "exec sleep 60")).Pid(), 0)
		if err != nil {
			t.Fatal(err)
		}
		if got.Policy != before.Policy || got.Priority != before.Priority || got.Nice != before.Nice {
			t.Errorf("policy %d, priority %d, nice %d; the harness had %d, %d and %d",
				got.Policy, got.Priority, got.Nice, before.Policy, before.Priority, before.Nice)
		}
	})
}
