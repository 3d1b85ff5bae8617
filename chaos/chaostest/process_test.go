package chaostest

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"shakedown/chaos"
)

const (
	worker   = "worker"
	childEnv = "SHAKEDOWN_CHAOSTEST_CHILD"
)

func isChild() bool { return os.Getenv(childEnv) != "" }

// beChild says that it runs, and waits for the end of its standard input: of its parent, at the latest.
func beChild() {
	fmt.Println("up")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// child is a real process: this test binary, run again.
type child struct {
	name string
	env  string // what makes the binary this child; empty means childEnv

	mu  sync.Mutex
	cmd *exec.Cmd // nil when it is gone
}

var _ chaos.Process = (*child)(nil)

func (c *child) Name() string { return c.name }

func (c *child) Start(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cmd != nil {
		return fmt.Errorf("%s runs already", c.name)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), cmp.Or(c.env, childEnv+"=1"))
	if _, err := cmd.StdinPipe(); err != nil { // it ends with this process, or with Wait
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	c.cmd = cmd
	_, err = io.ReadFull(stdout, make([]byte, len("up\n")))
	return err
}

func (c *child) Kill(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cmd == nil {
		return nil
	}
	if err := c.cmd.Process.Kill(); err != nil {
		return err
	}
	_ = c.cmd.Wait() // "signal: killed", as asked
	c.cmd = nil
	return nil
}

func (c *child) Pause(context.Context) error  { return c.signal(syscall.SIGSTOP) }
func (c *child) Resume(context.Context) error { return c.signal(syscall.SIGCONT) }

func (c *child) signal(s syscall.Signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cmd == nil {
		return fmt.Errorf("%s is gone", c.name)
	}
	return c.cmd.Process.Signal(s)
}

// State reads proc_pid_stat(5): the state follows the command's name, which ends with the last ')'.
func (c *child) State(context.Context) (chaos.State, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cmd == nil {
		return chaos.Gone, nil
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.cmd.Process.Pid))
	if err != nil {
		return "", err
	}
	switch _, rest, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')'):]), " "); rest[0] {
	case 'T':
		return chaos.Stopped, nil
	case 'Z', 'X':
		return chaos.Gone, nil
	}
	return chaos.Running, nil
}

// processes is a surface with the instances of one role.
type processes []*child

func (processes) Links(string) []chaos.Link { return nil }

func (s processes) Processes(name string) (found []chaos.Process) {
	for _, c := range s {
		if name == c.name || name == worker && strings.HasPrefix(c.name, worker+"-") {
			found = append(found, c)
		}
	}
	return found
}

// workers has two processes of the role, and one beside them.
var workers = &Stand{Name: "processes", Build: func(t *testing.T) Rig {
	t.Helper()
	start := func(name string) *child {
		c := &child{name: name}
		if err := c.Start(t.Context()); err != nil {
			t.Fatalf("starting %s: %v", name, err)
		}
		t.Cleanup(func() {
			if err := c.Kill(context.Background()); err != nil {
				t.Errorf("ending %s: %v", name, err)
			}
		})
		return c
	}
	s := processes{start("worker-0"), start("worker-1")}
	for _, kind := range []string{"kill", "pause"} { // each beside the others on a process of its own
		s = append(s, start(neighbour(kind)))
	}
	return Rig{Surface: s}
}}

// neighbour is the process on which a fault acts beside others.
func neighbour(kind string) string { return "beside-" + kind }
