package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"shakedown/internal/roottest"
)

// book is a journal in memory.
type book struct {
	open map[int][]string
	seq  int
}

func (b *book) Fault(text, undo string, args ...string) (int, error) {
	if b.open == nil {
		b.open = map[int][]string{}
	}
	b.seq++
	b.open[b.seq] = append([]string{text, undo}, args...)
	return b.seq, nil
}

func (b *book) Healed(fault int) error {
	delete(b.open, fault)
	return nil
}

// fakeGroup is a group of version 2 on a machine that has only its files: the kernel's part, making and removing them, is
// played by mkdir and rmdir.
func fakeGroup(t *testing.T) (*Group, *book, string) {
	t.Helper()
	m := fakeMachine(t, v2Mount, "0::/\n", map[string]string{
		"/sys/fs/cgroup/cgroup.controllers": "cpu memory", "/sys/fs/cgroup/cgroup.subtree_control": "cpu memory",
		"/sys/fs/cgroup/cgroup.procs": "",
	})
	mkdir := func(dir string, mode fs.FileMode) error {
		err := os.Mkdir(dir, mode)
		for file, text := range map[string]string{
			"cgroup.procs": "", "cpu.max": "max 100000\n", "memory.max": "max\n", "memory.current": "4096\n", "memory.peak": "8192\n",
			"cpu.stat":      "usage_usec 7\nnr_periods 40\nnr_throttled 30\nthrottled_usec 2500\n",
			"memory.events": "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n",
		} {
			err = errors.Join(err, os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600))
		}
		return err
	}
	j := &book{}
	g, err := m.make(j, "run-redis", mkdir, os.RemoveAll, []Controller{CPU, Memory})
	if err != nil {
		t.Fatal(err)
	}
	return g, j, m.root + "/sys/fs/cgroup/shakedown-run-redis"
}

func TestVersion2WritesAndReadsTheKernelsFiles(t *testing.T) {
	g, j, dir := fakeGroup(t)
	if want := []string{"control group run-redis", "cgroup", dir}; len(j.open) != 1 || !slices.Equal(j.open[1], want) {
		t.Errorf("journaled %v, want %q", j.open, want)
	}
	file := func(name string) string {
		text, err := read(dir, name)
		if err != nil {
			t.Error(err)
		}
		return text
	}
	if err := errors.Join(g.Add(4711), g.LimitCPU(0.25), g.LimitMemory(1<<20)); err != nil {
		t.Fatal(err)
	}
	if file("cgroup.procs") != "4711" || file("cpu.max") != "25000 100000" || file("memory.max") != "1048576" {
		t.Errorf("wrote procs %q, quota %q, memory %q", file("cgroup.procs"), file("cpu.max"), file("memory.max"))
	}
	if _, err := os.Stat(filepath.Join(dir, "memory.swap.max")); err == nil {
		t.Error("a file that the kernel does not have was made")
	}
	cpu, err1 := g.CPU()
	memory, err2 := g.Memory()
	if want := (CPUUse{0.25, 40, 30, 2500 * time.Microsecond}); cpu != want || err1 != nil {
		t.Errorf("read %+v, %v; want %+v", cpu, err1, want)
	}
	if want := (MemoryUse{Limit: 1 << 20, Bytes: 4096, Peak: 8192, Hits: 12, Kills: 2}); memory != want || err2 != nil {
		t.Errorf("read %+v, %v; want %+v", memory, err2, want)
	}
	if err := errors.Join(g.LimitCPU(0), g.LimitMemory(0)); err != nil {
		t.Fatal(err)
	}
	cpu, err1 = g.CPU()
	memory, err2 = g.Memory()
	if cpu.Cores != 0 || memory.Limit != 0 || errors.Join(err1, err2) != nil || file("cpu.max") != "max 100000" {
		t.Errorf("without limits: %+v, %+v, %v, %v", cpu, memory, err1, err2)
	}
	if err := errors.Join(g.Remove(t.Context()), g.Remove(t.Context())); err != nil || len(j.open) != 0 {
		t.Errorf("removing: %v; still open: %v", err, j.open)
	}
}

func TestAGroupThatCannotBeMadeLeavesNothing(t *testing.T) {
	m := fakeMachine(t, v1Mount, "1:cpu,cpuacct:/\n2:memory:/pod\n",
		map[string]string{"/sys/fs/cgroup/cpu/cgroup.procs": "", "/sys/fs/cgroup/memory/cgroup.procs": ""})
	mkdir := func(dir string, mode fs.FileMode) error {
		if strings.Contains(dir, "/memory/") {
			return errors.New("no room")
		}
		return os.Mkdir(dir, mode)
	}
	j := &book{}
	g, err := m.make(j, "x", mkdir, os.Remove, []Controller{CPU, Memory})
	if g != nil || err == nil || len(j.open) != 0 {
		t.Errorf("got %v, %v; journal %v", g, err, j.open)
	}
	if left, _ := filepath.Glob(m.root + "/sys/fs/cgroup/*/shakedown-*"); left != nil {
		t.Errorf("left %q", left)
	}
}

func TestUndoRefusesWhatNoRunHasMade(t *testing.T) {
	plain := filepath.Join(t.TempDir(), "shakedown-x")
	if err := os.Mkdir(plain, 0o755); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{
		"/sys/fs/cgroup/system.slice":     "is not the group of a run",
		"shakedown-x":                     "is not the group of a run",
		plain:                             "is no control group",
		"/sys/fs/cgroup/none/shakedown-x": "", // it was never made, or is gone
	} {
		got := ""
		if err := Undo.Do(t.Context(), []string{dir}); err != nil {
			got = err.Error()
		}
		if (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", dir, got, want)
		}
	}
}

// realGroup is a group on this machine, where one can be made.
func realGroup(t *testing.T, c Controller) (*Group, *book) {
	t.Helper()
	_, err := Find(c)
	roottest.Needs(t, err)
	j := &book{}
	g, err := New(j, fmt.Sprintf("test-%d-%s", os.Getpid(), c), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Remove(context.Background()); err != nil || len(j.open) != 0 {
			t.Errorf("removing: %v; still open: %v", err, j.open)
		}
	})
	return g, j
}

// within starts a shell that waits for a line before it does what the script says, puts it into the group, and lets it go.
func within(t *testing.T, g *Group, script string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", "read go; "+script)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if err := g.Add(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write([]byte("go\n")); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// waitUntil returns once the condition holds. There is no deadline but the test's own: a busy machine is slow, not wrong.
func waitUntil(t *testing.T, holds func() bool) {
	t.Helper()
	for tick := time.NewTicker(2 * time.Millisecond); !holds(); <-tick.C {
		if t.Context().Err() != nil {
			t.Fatal("the test has ended")
		}
	}
}

func TestTheKernelThrottlesAGroupWithAQuota(t *testing.T) {
	g, _ := realGroup(t, CPU)
	if err := g.LimitCPU(0.05); err != nil {
		t.Fatal(err)
	}
	within(t, g, "while :; do :; done")
	waitUntil(t, func() bool {
		u, err := g.CPU()
		if err != nil || u.Cores != 0.05 {
			t.Fatalf("%+v, %v", u, err)
		}
		return u.Throttled >= 3 && u.ThrottledBy > 0
	})
	if err := g.LimitCPU(0); err != nil {
		t.Fatal(err)
	}
	if u, err := g.CPU(); err != nil || u.Cores != 0 {
		t.Errorf("without a quota: %+v, %v", u, err)
	}
}

func TestTheKernelKillsInAGroupWithoutMemory(t *testing.T) {
	g, _ := realGroup(t, Memory)
	if err := g.LimitMemory(16 << 20); err != nil {
		t.Fatal(err)
	}
	// The shell doubles a string that it keeps until there is no room for it.
	cmd := within(t, g, "s=0123456789abcdef; while :; do s=$s$s; done")
	if err := cmd.Wait(); err == nil || err.Error() != "signal: killed" {
		t.Errorf("it ended with %v", err)
	}
	u, err := g.Memory()
	if err != nil || u.Limit != 16<<20 || u.Kills < 1 || !u.Met() {
		t.Errorf("%+v, %v", u, err)
	}
	if err := g.LimitMemory(0); err != nil {
		t.Fatal(err)
	}
	if u, err := g.Memory(); err != nil || u.Limit != 0 {
		t.Errorf("without a limit: %+v, %v", u, err)
	}
}

func TestWhatAProcessStartsIsInItsGroupAndTheUndoRemovesTheGroup(t *testing.T) {
	g, j := realGroup(t, CPU)
	cmd := within(t, g, "sleep 1000 & wait")
	procs := func() []string {
		text, err := read(g.paths()[0], "cgroup.procs")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Fields(text)
	}
	waitUntil(t, func() bool { return len(procs()) == 2 })
	child := procs()[slices.IndexFunc(procs(), func(p string) bool { return p != strconv.Itoa(cmd.Process.Pid) })]
	pid, err := strconv.Atoi(child)
	if err != nil {
		t.Fatal(err)
	}
	sleeper, err := os.FindProcess(pid)
	if err := errors.Join(err, cmd.Process.Kill(), sleeper.Kill()); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	undo := j.open[1][2:]
	for range 2 { // also when nothing is left
		if err := Undo.Do(t.Context(), undo); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(undo[0]); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the group is still there: %v", err)
	}
}
