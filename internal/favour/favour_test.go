package favour

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"shakedown/internal/clock"
)

// pacing, in the environment, makes the test's program one that paces: see pace.
const pacing = "SHAKEDOWN_TEST_PACE"

func TestMain(m *testing.M) {
	if os.Getenv(pacing) != "" {
		pace(3 * time.Second)
		return
	}
	os.Exit(m.Run())
}

// pace wakes a favoured program up some twenty thousand times a second, each time by a system call that the Go runtime knows of, while
// its other threads have something to do too.
func pace(length time.Duration) {
	Threads()
	done := make(chan struct{})
	go func() {
		defer close(done)
		p := clock.NewPacer(true)
		defer p.Close()
		for end := clock.Now() + length; clock.Now() < end; {
			p.SleepUntil(clock.Now() + 30*time.Microsecond)
		}
	}()
	for {
		select {
		case <-done:
			return
		case <-time.After(100 * time.Microsecond):
		}
	}
}

// On its only core an urgent thread that the runtime makes wait, by spinning, must let the thread go on that it waits for. With a
// higher priority than that one it hung in one to two of four such tests.
func TestAFavouredProgramOnOneCoreDoesNotHang(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), pacing+"=1")
	if err := startOnOneCore(cmd); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("a program that was to pace for seconds: %v; it hangs", err)
	}
}

// startOnOneCore starts a program from a thread that may run on one core only, as the program then may.
func startOnOneCore(cmd *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return err
	}
	for cpu := range len(all) * 64 {
		if all.IsSet(cpu) {
			one.Set(cpu)
			break
		}
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return err
	}
	defer func() { _ = unix.SchedSetaffinity(0, &all) }()
	return cmd.Start()
}

func TestUndoingPutsEverythingBack(t *testing.T) {
	runtime.LockOSThread() // the priority is a thread's
	defer runtime.UnlockOSThread()
	priority := func() unix.SchedAttr {
		attr, err := unix.SchedGetAttr(0, 0)
		if err != nil {
			t.Fatal(err)
		}
		return *attr
	}
	procs, before := runtime.GOMAXPROCS(0), priority()
	undo := Threads()
	if got := priority(); got == before {
		t.Logf("this process may not have priority: it stays at %+v", got)
	}
	if got := runtime.GOMAXPROCS(0); got <= runtime.NumCPU() {
		t.Errorf("GOMAXPROCS is %d, want more than the %d cores", got, runtime.NumCPU())
	}
	undo()
	if got := runtime.GOMAXPROCS(0); got != procs {
		t.Errorf("GOMAXPROCS is %d, was %d", got, procs)
	}
	if got := priority(); got != before {
		t.Errorf("the thread's priority is %+v, was %+v", got, before)
	}
	if gc := debug.SetGCPercent(100); gc != 100 {
		t.Errorf("the collector's goal is %d %%, was 100 %%", gc)
	}
}
