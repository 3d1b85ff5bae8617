package favour

import (
	"runtime"
	"runtime/debug"
	"testing"

	"golang.org/x/sys/unix"
)

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
