package chaostest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"shakedown/chaos"
	"shakedown/internal/needs"
	"shakedown/internal/proc"
	"shakedown/internal/subject"
	"shakedown/internal/workdir"
)

// workEnv makes this binary a worker that does as it is told on the unix socket of that name.
const workEnv = "SHAKEDOWN_CHAOSTEST_SOCKET"

// beWorker burns, takes memory and opens files when it is asked to.
func beWorker(socket string) {
	_ = os.Remove(socket) // of an earlier life
	ln, err := net.Listen("unix", socket)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/alive", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/burn", func(http.ResponseWriter, *http.Request) {
		for end := time.Now().Add(50 * time.Millisecond); time.Now().Before(end); {
		}
	})
	mux.HandleFunc("/hold", func(http.ResponseWriter, *http.Request) {
		held, err := syscall.Mmap(-1, 0, 128<<20, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
		if err != nil {
			return
		}
		for i := 0; i < len(held); i += 4096 {
			held[i] = 1
		}
		_ = syscall.Munmap(held)
	})
	var opening sync.WaitGroup
	var enough atomic.Bool
	mux.HandleFunc("/open", func(http.ResponseWriter, *http.Request) {
		enough.Store(false)
		opening.Go(func() { hoard(&enough) })
	})
	mux.HandleFunc("/close", func(http.ResponseWriter, *http.Request) {
		enough.Store(true)
		opening.Wait()
	})
	_ = http.Serve(ln, mux)
}

// hoard opens files, and waits for descriptors where it runs out, until it has a hundred and is told that this is enough.
func hoard(enough *atomic.Bool) {
	var files []*os.File
	for !enough.Load() {
		if len(files) < 100 {
			if f, err := os.Open(os.DevNull); err == nil {
				files = append(files, f)
				continue
			}
		}
		time.Sleep(time.Millisecond)
	}
	for _, f := range files {
		_ = f.Close()
	}
}

// member is a worker of the run, with all that faults may ask of one.
type member struct {
	*subject.Subject
	name   string
	spec   proc.Spec
	ask    func(context.Context, string) error
	time   func(context.Context) (time.Time, error)
	starts func()
}

var _ chaos.Subject = (*member)(nil)

func (m *member) Name() string                                { return m.name }
func (m *member) Answers(ctx context.Context) error           { return m.ask(ctx, "alive") }
func (m *member) Time(ctx context.Context) (time.Time, error) { return m.time(ctx) }

func (m *member) Start(ctx context.Context) error {
	p, err := m.Launch(ctx, m.spec)
	if err != nil {
		return err
	}
	m.starts()
	for {
		err := m.Answers(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.Done():
			return fmt.Errorf("%s ended (%s): %s", m.name, p.ExitState(), strings.Join(p.Tail(3), " | "))
		case <-ctx.Done():
			return errors.Join(err, p.Kill(context.WithoutCancel(ctx)))
		case <-time.After(time.Millisecond):
		}
	}
}

// members is a surface with the instances of one role, and neighbours.
type members struct {
	all []*member

	mu     sync.Mutex
	starts int // of workers
}

func (*members) Links(string) []chaos.Link { return nil }

func (s *members) Processes(name string) (found []chaos.Process) {
	for _, m := range s.all {
		if name == m.name || name == worker && strings.HasPrefix(m.name, worker+"-") {
			found = append(found, m)
		}
	}
	return found
}

// lab is where members run.
type lab struct {
	dir    string
	run    *workdir.Run
	keeper *proc.Keeper
}

func newLab(t *testing.T) *lab {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "skc") //nolint:usetesting // sockets need short paths
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
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
	l := &lab{dir: dir, run: run, keeper: proc.NewKeeper(run.Journal())}
	t.Cleanup(func() {
		if err := errors.Join(l.keeper.Close(), run.Close()); err != nil {
			t.Error(err)
		}
	})
	return l
}

// subject makes what a member is started with, and takes it down when the test ends.
func (l *lab) subject(t *testing.T, name string, a chaos.Arrangement) *subject.Subject {
	s := subject.New(subject.Options{
		Keeper: l.keeper, Journal: l.run.Journal(), Run: l.run.ID(), Name: name, Dir: l.dir, Arrangement: a,
	})
	t.Cleanup(func() {
		ctx := context.Background()
		if p := s.Process(); p != nil {
			if err := p.Kill(ctx); err != nil {
				t.Errorf("ending %s: %v", name, err)
			}
		}
		if err := s.Close(ctx); err != nil {
			t.Errorf("taking down %s: %v", name, err)
		}
	})
	return s
}

// worker is a member that does as it is told.
func (l *lab) worker(t *testing.T, name string, a chaos.Arrangement) *member {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(l.run.Dir(), name+".sock")
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
	return &member{
		Subject: l.subject(t, name, a), name: name,
		spec: proc.Spec{
			Name: name, Path: self, Env: append(os.Environ(), workEnv+"="+socket), Log: filepath.Join(l.run.Dir(), name+".log"),
		},
		ask: func(ctx context.Context, what string) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://worker/"+what, http.NoBody)
			if err != nil {
				return err
			}
			res, err := client.Do(req)
			if err != nil {
				return err
			}
			return res.Body.Close()
		},
	}
}

// toil is traffic that has the workers burn, hold memory and open files, and that counts how often they were started.
type toil struct {
	*members
	again int // how often one has to be started, to have met a fault
	mark  int
}

func (w *toil) Mark(ctx context.Context) error {
	w.tell(ctx, "close")
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mark = w.starts
	return nil
}

func (w *toil) Meet(ctx context.Context) error {
	for _, what := range []string{"burn", "burn", "burn", "hold", "open"} {
		w.tell(ctx, what)
	}
	return poll(ctx, func() (bool, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.starts >= w.mark+w.again, nil
	})
}

// tell has each worker do something. What becomes of it is the fault's affair.
func (w *toil) tell(ctx context.Context, what string) {
	for _, m := range w.all {
		if strings.HasPrefix(m.name, worker+"-") {
			_ = m.ask(ctx, what)
		}
	}
}

func (*toil) Stop(context.Context) error { return nil }

// toiling is a stand with two workers, and one for each fault to act on beside the others. For a fault to have been met, a worker
// has to be started again so often.
func toiling(again int, arrangement chaos.Arrangement, beside ...string) *Stand {
	return &Stand{
		Name: "workers",
		Missing: func() string {
			for _, n := range chaos.NeedsOf(&chaos.CPUQuota{}) {
				if _, err := needs.Look(n); err != nil && arrangement.CPUGroup {
					return err.Error()
				}
			}
			return ""
		},
		Build: func(t *testing.T) Rig {
			t.Helper()
			l, s := newLab(t), &members{}
			names := []string{"worker-0", "worker-1"}
			for _, kind := range beside {
				names = append(names, neighbour(kind))
			}
			for i, name := range names {
				m := l.worker(t, name, arrangement)
				m.starts = func() {}
				if i < 2 {
					m.starts = func() { s.mu.Lock(); s.starts++; s.mu.Unlock() }
				}
				if err := m.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				s.all = append(s.all, m)
			}
			return Rig{Surface: s, Start: func(*testing.T, Harm) Traffic { return &toil{members: s, again: again} }}
		},
	}
}

var (
	grouped = chaos.Arrangement{CPUGroup: true, MemoryGroup: true}
	// labour has workers in control groups.
	labour = toiling(0, grouped, "terminate", "cpu_quota", "cpu_burn", "memory_limit", "fd_limit")
	// restarting has workers that are seen to be started once, looping twice: a loop ends as often as it begins.
	restarting = toiling(1, chaos.Arrangement{})
	looping    = toiling(3, chaos.Arrangement{}) // of two workers one at least has then been started twice
)

// clocks has two shells that say what time it is, in a language that asks the C library.
var clocks = &Stand{
	Name: "clocks",
	Missing: func() string {
		if _, err := needs.Look(chaos.NeedFaketime); err != nil {
			return err.Error()
		}
		return ""
	},
	Build: func(t *testing.T) Rig {
		t.Helper()
		l, s := newLab(t), &members{}
		for i := range 2 {
			m := l.clock(t, fmt.Sprintf("%s-%d", worker, i))
			if err := m.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.all = append(s.all, m)
		}
		return Rig{Surface: s}
	},
}

// clock is a member that says what time it is when it reads a line.
func (l *lab) clock(t *testing.T, name string) *member {
	t.Helper()
	in, ask, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, say := io.Pipe()
	t.Cleanup(func() { _, _, _ = in.Close(), ask.Close(), say.Close() })
	answers := bufio.NewReader(out)
	m := &member{
		Subject: l.subject(t, name, chaos.Arrangement{Clock: true}), name: name, starts: func() {},
		spec: proc.Spec{
			Name: name, Path: "/bin/sh", Args: []string{"-c", "while read go; do date +%s.%N; done"}, Stdin: in, Stdout: say,
			Log: filepath.Join(l.run.Dir(), name+".log"),
		},
	}
	var one sync.Mutex // question, and its answer
	m.time = func(context.Context) (time.Time, error) {
		one.Lock()
		defer one.Unlock()
		if _, err := ask.WriteString("\n"); err != nil {
			return time.Time{}, err
		}
		line, err := answers.ReadString('\n')
		if err != nil {
			return time.Time{}, err
		}
		s, ns, _ := strings.Cut(strings.TrimSpace(line), ".")
		sec, err1 := strconv.ParseInt(s, 10, 64)
		nsec, err2 := strconv.ParseInt(ns, 10, 64)
		return time.Unix(sec, nsec), errors.Join(err1, err2)
	}
	m.ask = func(ctx context.Context, _ string) error { _, err := m.time(ctx); return err }
	return m
}
