package targettest

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"shakedown/internal/proc"
	"shakedown/internal/stack"
	"shakedown/internal/workdir"
)

// LocalEngines starts engines as a run would, each when it is first asked for, and ends them with the test. It fails the
// test when an engine is not installed; the error says what to install.
func LocalEngines(t *testing.T) Engines {
	t.Helper()
	dir, err := os.MkdirTemp("", "kit") // not t.TempDir: engines run as another user, and sockets need short paths
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // see above
		t.Fatal(err)
	}
	root, err := workdir.OpenAt(dir)
	if err != nil {
		t.Fatal(err)
	}
	run, err := root.NewRun(workdir.NewID())
	if err != nil {
		t.Fatal(err)
	}
	keeper := proc.NewKeeper(run.Journal())
	t.Cleanup(func() {
		if err := errors.Join(keeper.Close(), run.Close()); err != nil {
			t.Errorf("ending the engines: %v", err)
		}
	})
	return localEngines{stack.StartOptions{Keeper: keeper, Run: run, LogDir: t.TempDir()}}
}

type localEngines struct{ options stack.StartOptions }

func (e localEngines) URL(t testing.TB, name string) string {
	t.Helper()
	kind, err := stack.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	engine, err := kind.Start(t.Context(), e.options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		if err := engine.Stop(ctx); err != nil {
			t.Errorf("stopping %s: %v", name, err)
		}
	})
	return engine.URL()
}
