package run

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"shakedown/bench"
	"shakedown/chaos"
	"shakedown/internal/netns"
	"shakedown/internal/proc"
	"shakedown/internal/subject"
)

// startTimeout is how long a service may take until it is ready: its pool connects to a database over a slow link.
const startTimeout = 60 * time.Second

// stopGrace is how long a service may drain before it is killed.
const stopGrace = 4 * time.Second

// TargetSpec is what `shakedown target` reads: one process of one variant.
type TargetSpec struct {
	Env    bench.Env       `json:"env"`
	Config json.RawMessage `json:"config"`
	Listen string          `json:"listen"` // "127.0.0.1:0", or the same address again after a restart
	// Inherits: the first inherited descriptor listens at Listen, in another network namespace than that of the process, which
	// listens for its Peers at an address of its own.
	Inherits bool   `json:"inherits,omitempty"`
	Peers    string `json:"peers,omitempty"`
}

// TargetReady is the one line that `shakedown target` prints once it serves.
type TargetReady struct {
	Addr string `json:"addr"`
}

// instance is one process of a pattern. It is a chaos.Subject: faults may end it, limit it and start it again.
type instance struct {
	*subject.Subject
	program string
	dir     string // for its specification; only the run's own user may look into it
	log     string
	client  *http.Client
	died    func(name, how string) // when it ends and nobody asked it to
	host    *netns.Host            // nil: the machine

	mu      sync.Mutex
	spec    TargetSpec
	watches sync.WaitGroup
}

var _ chaos.Subject = (*instance)(nil)

// Name is the instance's name, "service-0".
func (i *instance) Name() string { return i.spec.Env.Name() }

// Addr is where the machine's own processes reach it: load, scraper, and the proxy.
func (i *instance) Addr() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.spec.Listen
}

// PeerAddr is where other processes of the trial reach it, through the proxy or straight.
func (i *instance) PeerAddr() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return cmp.Or(i.spec.Peers, i.spec.Listen)
}

// Start starts it, the first time or again at the same address, and returns once it is ready.
func (i *instance) Start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	path := filepath.Join(i.dir, i.Name()+".json")
	ready := newFirstLine()
	start := proc.Spec{
		Name: i.Name(), Path: i.program, Args: []string{"target", i.spec.Env.Pattern, "--spec", path}, Log: i.log, Stdout: ready,
	}
	inherited, err := i.putOnHost(ctx, &start)
	if err != nil {
		return fmt.Errorf("start %s: %w", i.Name(), err)
	}
	defer inherited.close()
	i.mu.Lock()
	raw, err := json.Marshal(i.spec)
	i.mu.Unlock()
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		return err
	}
	process, err := i.Launch(ctx, start)
	if err != nil {
		return fmt.Errorf("start %s: %w", i.Name(), err)
	}
	var said TargetReady
	if err := ready.wait(ctx, process, &said); err != nil {
		_ = process.Kill(context.WithoutCancel(ctx))
		return fmt.Errorf("start %s: %w", i.Name(), err)
	}
	i.mu.Lock()
	i.spec.Listen = cmp.Or(inherited.addr, said.Addr)
	i.mu.Unlock()
	i.watches.Go(func() { i.watch(process) })
	return nil
}

// watch reports an end that nobody asked for. It ends with the process, which the keeper ends at the latest.
func (i *instance) watch(p *proc.Process) {
	<-p.Done()
	if !p.Expected() {
		i.died(i.Name(), p.ExitState()+tailOf(p))
	}
}

func tailOf(p *proc.Process) string {
	lines := p.Tail(3)
	if len(lines) == 0 {
		return ""
	}
	return "; it last said: " + strings.Join(lines, " | ")
}

// Answers asks whether it lives, whatever has become of what it depends on.
func (i *instance) Answers(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+i.Addr()+"/healthz", http.NoBody)
	if err != nil {
		return err
	}
	res, err := i.client.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", i.Name(), res.Status)
	}
	return nil
}

// errNoClock is why the clock of a service cannot be changed.
var errNoClock = errors.New("a service in Go does not ask the C library for the time, so that nothing can lie to it; " +
	"change the clock of an engine, and let the service take its time from there")

// CanSkew fails.
func (*instance) CanSkew() error { return errNoClock }

// Skew fails.
func (*instance) Skew(context.Context, chaos.Skew) error { return errNoClock }

// Time fails.
func (*instance) Time(context.Context) (time.Time, error) { return time.Time{}, errNoClock }

// stop asks it to drain and end, if it was ever started, and returns once every end that nobody asked for is reported.
func (i *instance) stop(ctx context.Context) error {
	p := i.Process()
	if p == nil {
		return i.Close(ctx)
	}
	if err := p.Stop(ctx, syscall.SIGTERM, stopGrace); err != nil {
		return err
	}
	i.watches.Wait()
	return i.Close(ctx)
}

// firstLine takes the first line of a process's output and throws the rest away.
type firstLine struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	got  bool
	line chan []byte
}

func newFirstLine() *firstLine { return &firstLine{line: make(chan []byte, 1)} }

func (f *firstLine) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.got {
		f.buf.Write(p)
		if line, err := f.buf.ReadBytes('\n'); err == nil {
			f.got = true
			f.line <- line
		} else {
			f.buf.Write(line)
		}
	}
	return len(p), nil
}

// wait parses the first line into v, or says why there was none.
func (f *firstLine) wait(ctx context.Context, p *proc.Process, v any) error {
	select {
	case line := <-f.line:
		if err := json.Unmarshal(line, v); err != nil {
			return fmt.Errorf("its first line is not what was expected: %w", err)
		}
		return nil
	case <-p.Done():
		return errors.New("it ended (" + p.ExitState() + ")" + tailOf(p))
	case <-ctx.Done():
		return fmt.Errorf("it did not become ready: %w%s", context.Cause(ctx), tailOf(p))
	}
}
