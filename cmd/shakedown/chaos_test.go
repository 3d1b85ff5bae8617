package main

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestChaosScripts gives each script a daemon, $CONTROL, and a server that echoes, $ECHO.
func TestChaosScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/chaos", RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			path, err := exec.LookPath("shakedown")
			if err != nil {
				return err
			}
			d, err := startDaemon(exec.Command(path, "chaos", "serve", "--listen", "127.0.0.1:0"))
			if err != nil {
				return err
			}
			e.Defer(func() {
				if code := d.stop(syscall.SIGTERM); code != 0 {
					t.Errorf("the daemon ended with exit code %d", code)
				}
			})
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			e.Defer(echoOn(ln))
			e.Setenv("CONTROL", d.url)
			e.Setenv("ECHO", ln.Addr().String())
			e.Setenv("SHAKEDOWN_CACHE", filepath.Join(e.WorkDir, "cache"))
			return nil
		},
	})
}

// echoOn serves an echo until the returned function is called.
func echoOn(ln net.Listener) (stop func()) {
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			})
		}
	})
	return func() { _ = ln.Close(); serving.Wait() }
}

// A daemonProcess is `shakedown chaos serve`.
type daemonProcess struct {
	cmd *exec.Cmd
	url string
}

var saidURL = regexp.MustCompile(`^listening on (http://\S+), `)

func startDaemon(cmd *exec.Cmd) (*daemonProcess, error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if m := saidURL.FindStringSubmatch(line); m != nil {
		return &daemonProcess{cmd, m[1]}, nil
	}
	_ = cmd.Process.Kill()
	return nil, errors.Join(errors.New("the daemon said "+line), err, cmd.Wait())
}

// stop sends a signal, waits, and returns the exit code: -1 when the signal killed it.
func (d *daemonProcess) stop(s syscall.Signal) int {
	_ = d.cmd.Process.Signal(s)
	_ = d.cmd.Wait() // the state has it
	return d.cmd.ProcessState.ExitCode()
}

// daemon starts one in the sandbox, with a link named echo to a server that echoes; it returns where the link listens.
func (s *sandbox) daemon() (d *daemonProcess, link string) {
	s.t.Helper()
	d, err := startDaemon(s.command("chaos", "serve", "--listen", "127.0.0.1:0"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = d.cmd.Process.Kill(); _ = d.cmd.Wait() })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(echoOn(ln))
	got := s.run("chaos", "link", "add", "echo", "--upstream", ln.Addr().String(), "--control", d.url)
	m := regexp.MustCompile(`^link echo: (\S+) → `).FindStringSubmatch(got.out)
	if m == nil {
		s.t.Fatal(got)
	}
	return d, m[1]
}

func TestADaemonLeavesNothing(t *testing.T) {
	for _, tc := range []struct {
		signal syscall.Signal
		code   int
	}{{syscall.SIGTERM, 0}, {syscall.SIGINT, 0}, {syscall.SIGKILL, -1}} {
		t.Run(tc.signal.String(), func(t *testing.T) {
			s := newSandbox(t)
			d, link := s.daemon()
			if got := s.run("chaos", "inject", "latency", "--link", "echo", "--delay", "1ms", "--control", d.url); got.code != 0 {
				t.Fatal(got)
			}
			c, err := net.Dial("tcp", link)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			_ = c.SetDeadline(time.Now().Add(time.Minute))
			if _, err := c.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			if code := d.stop(tc.signal); code != tc.code {
				t.Errorf("exit code %d, want %d", code, tc.code)
			}
			if _, err := c.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
				t.Errorf("a connection outlived the daemon: %v", err)
			}
			for _, addr := range []string{link, strings.TrimPrefix(d.url, "http://")} {
				if _, err := net.Dial("tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
					t.Errorf("%s: %v", addr, err)
				}
			}
			if got := s.run("clean"); got.code != 0 || got.out != "nothing was left\n" {
				t.Errorf("%v", got)
			}
			if left := s.left(); len(left) > 0 {
				t.Errorf("left: %q", left)
			}
		})
	}
}

// injecting is a command that has injected a latency for a time, and what more it says.
func (s *sandbox) injecting(d *daemonProcess, length string) (*exec.Cmd, *bufio.Scanner) {
	s.t.Helper()
	cmd := s.command("chaos", "inject", "latency", "--link", "echo", "--delay", "5ms", "--for", length, "--control", d.url)
	out, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.Contains(lines.Text(), "landed:") {
		continue
	}
	return cmd, lines
}

func TestAnInterruptedInjectionHeals(t *testing.T) {
	s := newSandbox(t)
	d, _ := s.daemon()
	cmd, lines := s.injecting(d, "1h")
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	healed := false
	for lines.Scan() {
		healed = healed || strings.HasPrefix(lines.Text(), "latency-1  healed after")
	}
	_ = cmd.Wait() // the state has it
	if code := cmd.ProcessState.ExitCode(); code != 5 || !healed {
		t.Errorf("exit code %d, healed: %v", code, healed)
	}
	if got := s.run("chaos", "status", "--control", d.url); !strings.Contains(got.out, "nothing is in force") {
		t.Error(got)
	}
}

func TestAnInjectionForATimeEndsThoughItsCommandWasKilled(t *testing.T) {
	s := newSandbox(t)
	d, _ := s.daemon()
	cmd, _ := s.injecting(d, "300ms")
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // it was killed
	for until := time.Now().Add(time.Minute); ; {
		got := s.run("chaos", "status", "--control", d.url)
		if strings.Contains(got.out, "nothing is in force") {
			return
		}
		if time.Now().After(until) {
			t.Fatal(got)
		}
	}
}

func TestChaosCommandsThatMakeNoSenseAreRefused(t *testing.T) {
	s := newSandbox(t)
	d, _ := s.daemon()
	for _, tc := range []struct {
		args string
		code int
		want string
	}{
		{"status --control http://127.0.0.1:1", 3, `no daemon at http://127\.0\.0\.1:1 \(connection refused\); start one with: shakedown chaos serve`},
		{"status --control nonsense", 3, `no daemon at nonsense`},
		{"status -o xml", 2, `--output "xml": it is text or json`},
		{"inject", 2, `say which fault`},
		{"inject flood", 2, `no fault of a link is called "flood"; the kinds are latency, `},
		{"inject kill", 2, `no fault of a link is called "kill"`},
		{"inject latency", 2, `latency: link is missing`},
		{"inject latency --link echo", 2, `latency: delay is 0s`},
		{"inject latency --link echo --delay 50", 2, `"50" is not a duration`},
		{"inject latency --link echo --delay 5ms --seed many", 2, `--seed: "many" is not a whole number from 0`},
		{"inject latency --link echo --dely 5ms", 2, `unknown flag: --dely`},
		{"inject latency --link echo --delay 5ms --for -1s", 2, `--for -1s`},
		{"inject latency --link redis --delay 5ms", 2, `no link redis; the proxy has the links echo, and no processes`},
		{"inject --json {", 2, `unexpected end of JSON`},
		{`inject --json {"kind":"pause","process":"redis"}`, 2, `no process redis`},
		{"heal", 2, `say which faults, or --all`},
		{"heal --all x", 2, `say which faults, or --all`},
		{"heal latency-9", 2, `no fault latency-9`},
		{"link add", 2, `accepts 1 arg`},
		{"link add x", 2, `--upstream ADDRESS`},
		{"link add x --upstream db.example:1", 2, `add --allow-target db.example`},
		{"link add x --upstream 127.0.0.1:1 --network pigeon", 2, `network "pigeon" is unknown`},
		{"link add echo --upstream 127.0.0.1:1", 2, `link echo exists already, and leads elsewhere`},
		{"link rm x", 2, `no link x`},
		{"serve --listen 127.0.0.1", 2, `--listen: .*missing port`},
		{"serve --config none.json", 2, `--config: open none.json: no such file`},
		{"serve --require-token --listen 127.0.0.1:0", 2, `--require-token: there is none`},
	} {
		args := append([]string{"chaos"}, strings.Fields(tc.args)...)
		if !strings.Contains(tc.args, "--control") && args[1] != "serve" {
			args = append(args, "--control", d.url)
		}
		got := s.run(args...)
		if got.code != tc.code || strings.Count(got.stderr, "\n") != 1 || !regexp.MustCompile(tc.want).MatchString(got.stderr) || got.out != "" {
			t.Errorf("%s: want exit code %d and one line %q, got %v", tc.args, tc.code, tc.want, got)
		}
	}
}

func TestATokenIsTakenFromTheEnvironment(t *testing.T) {
	s := newSandbox(t)
	cmd := s.command("chaos", "serve", "--listen", "127.0.0.1:0", "--require-token")
	cmd.Env = append(cmd.Env, "SHAKEDOWN_CHAOS_TOKEN=secret")
	d, err := startDaemon(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer d.stop(syscall.SIGTERM)
	if got := s.run("chaos", "status", "--control", d.url); got.code != 2 || !strings.Contains(got.stderr, "set it in $SHAKEDOWN_CHAOS_TOKEN") {
		t.Errorf("without it: %v", got)
	}
	s.env = append(s.env, "SHAKEDOWN_CHAOS_TOKEN=secret")
	if got := s.run("chaos", "status", "--control", d.url); got.code != 0 {
		t.Errorf("with it: %v", got)
	}
}
