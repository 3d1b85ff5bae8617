package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Anywhere is the core of a process that is not pinned to one.
const Anywhere = -1

// patience is how much longer than its load a peer may take.
const patience = time.Minute

// Command is a child that ends with this process and runs on one core only, unless that is Anywhere. prefix may name programs that run it.
func Command(ctx context.Context, core int, prefix []string, path string, args ...string) *exec.Cmd {
	words := prefix
	if core != Anywhere {
		words = append([]string{"taskset", "-c", strconv.Itoa(core)}, words...)
	}
	words = append(append(words[:len(words):len(words)], path), args...)
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// Run sends a load from one core, or from Anywhere. The program at path is run by prefix, if there is one.
func (p Peer) Run(ctx context.Context, path string, l Load, core int, prefix ...string) (r Result, err error) {
	dir, err := os.MkdirTemp("", "loadbench-")
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	args, input, err := p.command(l, dir)
	if err != nil {
		return Result{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, l.Length+patience)
	defer cancel()
	var out, words bytes.Buffer
	cmd := Command(ctx, core, prefix, path, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &words
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGQUIT) } // a Go program says what it was at
	cmd.WaitDelay = 5 * time.Second
	forgetPeak()
	began := time.Now()
	err = cmd.Run()
	wall := time.Since(began)
	var exit *exec.ExitError
	if err != nil && (p.bearable == nil || !errors.As(err, &exit) || !p.bearable(exit.ExitCode())) {
		err = fmt.Errorf("%s: %w; its last words: %s", p.Name, err, lastLine(words.Bytes(), out.Bytes()))
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = fmt.Errorf("%w; it was not done %s after its load; what it was at is in %s", err, patience, keep(words.Bytes()))
		}
		return Result{}, err
	}
	if r, err = p.read(out.Bytes(), dir, path); err != nil {
		return Result{}, fmt.Errorf("%s: %w", p.Name, err)
	}
	r.Wall, r.CPU = wall, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime()
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		r.MaxRSSMB = float64(u.Maxrss) * 1024 / 1e6 // kilobytes (getrusage(2))
	}
	return r, nil
}

// keep leaves words where they can be read later.
func keep(words []byte) string {
	f, err := os.CreateTemp("", "loadbench-words-")
	if err != nil {
		return "no file: " + err.Error()
	}
	defer func() { _ = f.Close() }()
	if _, err := f.Write(words); err != nil {
		return "no file: " + err.Error()
	}
	return f.Name()
}

// forgetPeak makes this process's largest resident set its present one, for a child's begins with that of the process that it was forked
// from (setmax_mm_hiwater_rss in Linux's fs/exec.c; clear_refs in proc_pid_clear_refs(5)).
func forgetPeak() {
	debug.FreeOSMemory()
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // else the child's may be too large
}

func lastLine(outputs ...[]byte) string {
	for _, b := range outputs {
		if lines := bytes.Split(bytes.TrimSpace(b), []byte("\n")); len(lines[len(lines)-1]) > 0 {
			return string(lines[len(lines)-1])
		}
	}
	return "none"
}

// said is the first line of what a program says when it is asked for its version.
func said(args ...string) func(path string) string {
	return func(path string) string {
		out, _ := exec.Command(path, args...).CombinedOutput() // some end with 1 then
		line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
		return line
	}
}
