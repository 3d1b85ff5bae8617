package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"shakedown/bench/load/loadbench/peer"
	"shakedown/internal/benchmark"
)

// A process is a server or something else that runs beside a load.
type process struct {
	cmd   *exec.Cmd
	words strings.Builder
	clean func() error
}

// stop ends the process and waits for it. How it ends says nothing.
func (p *process) stop() error {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	if p.clean == nil {
		return nil
	}
	return p.clean()
}

// self starts this program as a part of the benchmark, and waits for the first line that it writes.
func self(ctx context.Context, core int, args ...string) (p *process, line string, err error) {
	path, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	p = &process{cmd: peer.Command(ctx, core, nil, path, args...)}
	p.cmd.Stderr = &p.words
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, "", fmt.Errorf("%s: %w", args[0], err)
	}
	line, err = bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, "", errors.Join(fmt.Errorf("%s: %w; its last words: %s", strings.Join(args, " "), err, p.words.String()), p.stop())
	}
	return p, strings.TrimSpace(line), nil
}

// serve starts one of the benchmark's own servers; see serveMain.
func serve(ctx context.Context, args ...string) (*process, string, error) {
	p, addr, err := self(ctx, peer.Anywhere, append([]string{"serve"}, args...)...)
	return p, "http://" + addr + "/", err
}

// nginxConfig is one worker that answers at once, and never ends a connection by itself.
const nginxConfig = `daemon off; master_process off; worker_processes 1; pid %[1]s/pid; error_log stderr error;
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 1000000000; keepalive_timeout 1h;
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi; uwsgi_temp_path %[1]s/uwsgi;
  scgi_temp_path %[1]s/scgi;
  server { listen %[2]s backlog=1024; location / { default_type text/plain; return 200 "hello\n"; } }
}
`

// nginx starts one on the server's core.
func nginx(ctx context.Context) (p *process, url string, err error) {
	path, err := exec.LookPath("nginx")
	if err != nil {
		return nil, "", errors.New("nginx is not installed; run scripts/setup bench")
	}
	dir, err := os.MkdirTemp("", "loadbench-nginx-")
	if err != nil {
		return nil, "", err
	}
	clean := func() error { return os.RemoveAll(dir) }
	addr, err := benchmark.FreeAddr()
	if err != nil {
		return nil, "", errors.Join(err, clean())
	}
	config := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, nginxConfig, dir, addr), 0o600); err != nil {
		return nil, "", errors.Join(err, clean())
	}
	p = &process{cmd: peer.Command(ctx, serverCore, nil, path, "-p", dir, "-e", "stderr", "-c", config), clean: clean}
	p.cmd.Stderr = &p.words
	if err := p.cmd.Start(); err != nil {
		return nil, "", errors.Join(fmt.Errorf("nginx: %w", err), clean())
	}
	if err := benchmark.Reachable(ctx, addr); err != nil {
		err = errors.Join(err, p.stop())
		return nil, "", fmt.Errorf("nginx: %w; its last words: %s", err, p.words.String())
	}
	return p, "http://" + addr + "/", nil
}
