package dashtest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"shakedown/dashboards"
)

// patience ends a hang; it is not a measure of anything.
const patience = 2 * time.Minute

const poll = 50 * time.Millisecond

// StartPrometheus runs Prometheus until the test ends, with the repository's configuration and rules, in which only the
// harness's address is another. harnessAddr is what telemetry.Hub.Serve returned. It fails the test, with a hint, when
// Prometheus is not installed.
func StartPrometheus(t testing.TB, harnessAddr string) (url string) {
	t.Helper()
	program, err := exec.LookPath("prometheus")
	if err != nil {
		t.Fatal("prometheus is not installed; on Debian and Ubuntu: apt-get install prometheus; " +
			"elsewhere: https://prometheus.io/download/")
	}
	config := writeConfig(t, harnessAddr)
	for attempt := 1; ; attempt++ {
		addr := freeAddress(t)
		server := launch(t, program, config, addr)
		err := server.awaitReady("http://" + addr)
		if err == nil {
			return "http://" + addr
		}
		server.stop()
		if attempt == 5 || !strings.Contains(server.log.String(), "address already in use") {
			t.Fatalf("starting prometheus: %v\n%s", err, server.log.String())
		}
	}
}

// writeConfig puts the configuration, with the harness's address replaced, and its rules into a directory of their own.
func writeConfig(t testing.TB, harnessAddr string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"prometheus.yml", "rules.yml"} {
		text, err := dashboards.PrometheusFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text = bytes.ReplaceAll(text, []byte(dashboards.HarnessAddr), []byte(harnessAddr))
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "prometheus.yml")
}

// freeAddress is a loopback address that was free a moment ago; Prometheus cannot be given a listener.
func freeAddress(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().String()
}

// server is a running Prometheus.
type server struct {
	cmd    *exec.Cmd
	log    lockedBuffer
	exited chan struct{}
	stop   func()
}

func launch(t testing.TB, program, config, addr string) *server {
	t.Helper()
	s := &server{exited: make(chan struct{})}
	s.cmd = exec.Command(program, "--config.file="+config, "--storage.tsdb.path="+t.TempDir(),
		"--web.listen-address="+addr, "--log.level=warn")
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatalf("starting prometheus: %v", err)
	}
	go func() {
		defer close(s.exited)
		_ = s.cmd.Wait() // how it ended shows in its log
	}()
	s.stop = sync.OnceFunc(func() {
		_ = s.cmd.Process.Kill() // its data is thrown away
		<-s.exited
	})
	t.Cleanup(s.stop)
	return s
}

func (s *server) awaitReady(url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	transport := &http.Transport{DisableKeepAlives: true}
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/-/ready", nil)
		if err != nil {
			return err
		}
		res, err := transport.RoundTrip(req)
		if err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("/-/ready answers %d", res.StatusCode)
		}
		select {
		case <-s.exited:
			return fmt.Errorf("it exited")
		case <-ctx.Done():
			return fmt.Errorf("it is not ready within %v: %w", patience, err)
		case <-tick.C:
		}
	}
}

// lockedBuffer takes the log of a process while the test may read it.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
