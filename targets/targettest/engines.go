package targettest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"shakedown/internal/proc"
	"shakedown/internal/stack"
	"shakedown/internal/workdir"
)

// Shared are the engines of one test binary, which starts them as a run would: each once, when a test first asks for it.
// The zero value is ready. A package that needs them has
//
//	var engines targettest.Shared
//
//	func TestMain(m *testing.M) { os.Exit(engines.Main(m)) }
type Shared struct {
	mu      sync.Mutex
	dir     string
	run     *workdir.Run
	keeper  *proc.Keeper
	started map[string]stack.Instance
}

var _ Engines = (*Shared)(nil)

// Main runs the tests, ends the engines, and returns the exit code. What a test left running fails the binary.
func (s *Shared) Main(m interface{ Run() int }) int {
	code := m.Run()
	err := s.close()
	if err == nil && code == 0 {
		err = goleak.Find()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "after the tests:", err)
		return 1
	}
	return code
}

// LocalEngines are engines that end with the test.
func LocalEngines(t *testing.T) Engines {
	t.Helper()
	s := new(Shared)
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Errorf("ending the engines: %v", err)
		}
	})
	return s
}

// URL is where the named engine answers. It fails the test when the engine is not installed; the error says what to install.
func (s *Shared) URL(t testing.TB, name string) string {
	t.Helper()
	return s.Engine(t, name).URL()
}

// Engine is the named engine, likewise; "postgres-replica-0" is the replica of one that was asked for before.
func (s *Shared) Engine(t testing.TB, name string) stack.Instance {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.started[name]; ok {
		return e
	}
	e, err := s.start(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func (s *Shared) start(ctx context.Context, name string) (e stack.Instance, err error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	o := stack.StartOptions{Keeper: s.keeper, Run: s.run, LogDir: filepath.Join(s.dir, "logs")}
	if source, of, is := s.followed(name); is {
		o.Name = name
		e, err = source.StartReplica(ctx, of, straightTo(of), o)
	} else {
		var kind stack.Kind
		if kind, err = stack.Lookup(name); err == nil {
			e, err = kind.Start(ctx, o)
		}
	}
	if err != nil {
		return nil, err
	}
	s.started[name] = e
	return e, nil
}

// straightTo is where a replica finds its primary; PostgreSQL takes the folder of its socket for a host (libpq, "Connection Strings").
func straightTo(of stack.Instance) string {
	network, address := of.Dial()
	if network != "unix" {
		return address
	}
	port := strings.TrimPrefix(filepath.Ext(address), ".")
	return net.JoinHostPort(filepath.Dir(address), port)
}

// followed is the engine that a name of a replica is about, and what starts the replica: the engine is running already.
func (s *Shared) followed(name string) (stack.Replicator, stack.Instance, bool) {
	for engine, e := range s.started {
		if name == stack.ReplicaName(engine, 0) {
			kind, err := stack.Lookup(engine)
			source, is := kind.(stack.Replicator)
			return source, e, err == nil && is
		}
	}
	return nil, nil, false
}

// open makes the folder that the engines live in.
func (s *Shared) open() (err error) {
	if s.keeper != nil {
		return nil
	}
	if s.dir, err = os.MkdirTemp("", "kit"); err != nil { // not t.TempDir: engines run as another user, and sockets need short paths
		return err
	}
	if err := os.Chmod(s.dir, 0o755); err != nil {
		return err
	}
	root, err := workdir.OpenAt(s.dir)
	if err != nil {
		return err
	}
	if s.run, err = root.NewRun(workdir.NewID()); err != nil {
		return err
	}
	s.keeper = proc.NewKeeper(s.run.Journal())
	s.started = map[string]stack.Instance{}
	return nil
}

// close ends the engines and removes what they left.
func (s *Shared) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var errs []error
	for _, e := range s.started {
		errs = append(errs, e.Stop(ctx))
	}
	if s.keeper != nil {
		errs = append(errs, s.keeper.Close())
	}
	if s.run != nil {
		errs = append(errs, s.run.Close())
	}
	if s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}
