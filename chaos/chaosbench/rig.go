package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"shakedown/internal/benchmark"
)

// A route leads to the servers, through a proxy or straight.
type route struct {
	name       string
	redis, own string // addresses
	pid        int    // of the proxy; 0 is none
	toxics     string // URL of an API like Toxiproxy's; "" is none
}

// A rig is what everything is measured on: Redis and the benchmark's own server, and the proxies before both.
type rig struct {
	benchmark.Options

	children []*exec.Cmd
	dir      string
	routes   []route // direct, shakedown, HAProxy, toxiproxy
}

// The routes, by index.
const (
	direct = iota
	ours
	haproxy
	toxi
)

// rounds is how often everything is measured, and times is how long or how much of it, which a quick run cuts to a fifth.
func (g *rig) rounds() int { return benchmark.Pick(g.Options, 5, 1) }

func (g *rig) times(n int) int { return benchmark.Pick(g.Options, n, n/5) }

// start starts all processes.
func start(ctx context.Context, o benchmark.Options) (*rig, error) {
	g := &rig{Options: o}
	if err := g.start(ctx); err != nil {
		return nil, errors.Join(err, g.Stop())
	}
	return g, nil
}

func (g *rig) start(ctx context.Context) (err error) {
	if _, err := os.Stat(g.toxiproxy()); err != nil {
		return fmt.Errorf("%w; scripts/bench-chaos builds it", err)
	}
	if g.dir, err = os.MkdirTemp("", "chaosbench-"); err != nil {
		return err
	}
	redis, err := g.redis(ctx)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	own, _, err := g.spawn(ctx, true, self, "serve")
	if err != nil {
		return err
	}
	g.routes = []route{{name: "no proxy", redis: redis, own: own}}
	for _, p := range []struct {
		name  string
		start func(ctx context.Context, redis, own string) (route, error)
	}{
		{"shakedown", func(ctx context.Context, redis, own string) (route, error) {
			return g.toxic(ctx, redis, own, filepath.Join(g.Bin, "shakedown"), "chaos", "serve", "--listen")
		}},
		{"HAProxy", g.haproxy},
		{"toxiproxy", func(ctx context.Context, redis, own string) (route, error) {
			return g.toxic(ctx, redis, own, g.toxiproxy(), "-host", "127.0.0.1", "-port")
		}},
	} {
		r, err := p.start(ctx, redis, own)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		r.name = p.name
		g.routes = append(g.routes, r)
	}
	return nil
}

// toxiproxyVersion is the one that scripts/bench-chaos builds.
const toxiproxyVersion = "v2.12.0"

func (g *rig) toxiproxy() string {
	return filepath.Join(g.Tools, "toxiproxy-"+toxiproxyVersion, "server")
}

// Facts are what shakedown is compared with, and the client.
func (*rig) Facts() []benchmark.Fact {
	version, _, _ := strings.Cut(benchmark.FirstLine("HAProxy is not installed", "haproxy", "-v"), " - ")
	client := benchmark.FirstLine("redis-benchmark is not installed", "redis-benchmark", "--version")
	return []benchmark.Fact{{Name: "beside it", Text: strings.Join([]string{version, "toxiproxy " + toxiproxyVersion, client}, "; ")}}
}

// Stop ends all processes.
func (g *rig) Stop() error {
	for _, c := range g.children {
		_ = c.Process.Kill()
		_ = c.Wait() // how it ends says nothing
	}
	if g.dir == "" {
		return nil
	}
	return os.RemoveAll(g.dir)
}

// spawn starts a child that ends with us, and reads the first line that it writes when that is wanted.
func (g *rig) spawn(ctx context.Context, line bool, name string, args ...string) (first string, pid int, err error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Dir = g.dir
	if !filepath.IsAbs(name) && strings.ContainsRune(name, filepath.Separator) {
		if cmd.Path, err = filepath.Abs(name); err != nil {
			return "", 0, err
		}
	}
	var out io.Reader
	if line {
		if out, err = cmd.StdoutPipe(); err != nil {
			return "", 0, err
		}
	}
	if err := cmd.Start(); err != nil {
		return "", 0, err
	}
	g.children = append(g.children, cmd)
	if line {
		first, err = bufio.NewReader(out).ReadString('\n')
	}
	return strings.TrimSpace(first), cmd.Process.Pid, err
}

func (g *rig) redis(ctx context.Context) (addr string, err error) {
	if addr, err = benchmark.FreeAddr(); err != nil {
		return "", err
	}
	if _, _, err := g.spawn(ctx, false, "redis-server", "--port", portOf(addr), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"); err != nil {
		return "", fmt.Errorf("redis-server: %w; run scripts/setup bench", err)
	}
	return addr, benchmark.Reachable(ctx, addr)
}

// haproxyConfig is TCP mode with what Debian's package comes with, and splicing, which pays for large streams.
const haproxyConfig = `global
  maxconn 4096
defaults
  mode tcp
  option splice-auto
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen redis
  bind %s
  server redis %s
listen own
  bind %s
  server own %s
`

func (g *rig) haproxy(ctx context.Context, redis, own string) (r route, err error) {
	if r.redis, err = benchmark.FreeAddr(); err != nil {
		return r, err
	}
	if r.own, err = benchmark.FreeAddr(); err != nil {
		return r, err
	}
	config := filepath.Join(g.dir, "haproxy.cfg")
	if err := os.WriteFile(config, fmt.Appendf(nil, haproxyConfig, r.redis, redis, r.own, own), 0o600); err != nil {
		return r, err
	}
	if _, r.pid, err = g.spawn(ctx, false, "haproxy", "-db", "-f", config); err != nil {
		return r, fmt.Errorf("%w; run scripts/setup bench", err)
	}
	return r, benchmark.Reachable(ctx, r.own)
}

// toxic starts a proxy that has Toxiproxy's API. Its last argument is where that is: a port when a host came before.
func (g *rig) toxic(ctx context.Context, redis, own, program string, args ...string) (r route, err error) {
	addr, err := benchmark.FreeAddr()
	if err != nil {
		return r, err
	}
	if args[len(args)-1] == "-port" {
		args = append(args, portOf(addr))
	} else {
		args = append(args, addr)
	}
	if _, r.pid, err = g.spawn(ctx, false, program, args...); err != nil {
		return r, err
	}
	if err := benchmark.Reachable(ctx, addr); err != nil {
		return r, err
	}
	r.toxics = "http://" + addr
	for name, to := range map[string]*string{redis: &r.redis, own: &r.own} {
		var made struct {
			Listen string `json:"listen"`
		}
		ask := map[string]any{"name": name, "listen": "127.0.0.1:0", "upstream": name, "enabled": true}
		if err := call(ctx, http.MethodPost, r.toxics+"/proxies", ask, &made); err != nil {
			return r, err
		}
		*to = made.Listen
	}
	return r, nil
}

func portOf(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}

// delay puts a latency in force on the way back, on the link to the benchmark's own server; undo takes it away.
func (r route) delay(ctx context.Context, upstream string, d time.Duration) (undo func() error, err error) {
	at := r.toxics + "/proxies/" + upstream + "/toxics"
	err = call(ctx, http.MethodPost, at, map[string]any{
		"name": "delay", "type": "latency", "stream": "downstream", "attributes": map[string]any{"latency": d.Milliseconds()},
	}, nil)
	return func() error { return call(context.WithoutCancel(ctx), http.MethodDelete, at+"/delay", nil, nil) }, err
}

func call(ctx context.Context, method, url string, body, into any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "toxiproxy-cli") // Toxiproxy refuses what looks like a browser
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode/100 != 2:
		return fmt.Errorf("%s %s: %s: %s", method, url, resp.Status, got)
	case into == nil:
		return nil
	}
	return json.Unmarshal(got, into)
}

// cpuOf is the processor time that a process has used (proc_pid_stat(5)), to 10 ms.
func cpuOf(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat: %q", pid, text)
	}
	var ticks int64
	for _, f := range fields[11:13] { // utime and stime
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}
