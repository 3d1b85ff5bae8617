package subject

import (
	"context"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"shakedown/internal/proc"
)

// newSubject is one of which nothing runs yet, and how to start it.
func newSubject(t *testing.T) (*Subject, proc.Spec) {
	t.Helper()
	dir := t.TempDir()
	keeper := proc.NewKeeperWith(nil, proc.Containments()[0]) // a nil Journal: nothing here outlives the test
	s := New(Options{Keeper: keeper, Run: "run", Name: "idle", Dir: dir})
	t.Cleanup(func() {
		if p := s.Process(); p != nil {
			if err := p.Kill(context.Background()); err != nil {
				t.Error(err)
			}
		}
		if err := keeper.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, proc.Spec{Name: "idle", Path: "/bin/sleep", Args: []string{"600"}, Log: filepath.Join(dir, "idle.log")}
}

func TestWhatIsDeadToTheKernelCanBeStartedAgain(t *testing.T) {
	s, spec := newSubject(t)
	for range 20 {
		p, err := s.Launch(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Kill(p.Pid(), unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		for st := proc.Running; st != proc.Gone; {
			if st, err = p.State(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestWhatRunsIsNotStartedTwice(t *testing.T) {
	s, spec := newSubject(t)
	if _, err := s.Launch(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Launch(t.Context(), spec); err == nil || err.Error() != "starting idle: it runs already" {
		t.Errorf("%v", err)
	}
}
