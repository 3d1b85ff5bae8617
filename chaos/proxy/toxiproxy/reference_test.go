package toxiproxy

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

// reference starts the real Toxiproxy, built once from its Go module, and returns the address of its API.
func reference(t *testing.T) string {
	t.Helper()
	program := build(t)
	for range 5 { // its API cannot be told to take a free port, so a free one is found for it, which another may take
		addr := freePort(t)
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cmd := exec.CommandContext(ctx, program, "-host", "127.0.0.1", "-port", port, "-proxy-metrics")
		if err := cmd.Start(); err != nil {
			cancel()
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = cmd.Wait() // it is killed
		}()
		if answers("http://"+addr+"/version", ended) {
			t.Cleanup(func() { cancel(); <-ended })
			return "http://" + addr
		}
		cancel()
		<-ended
	}
	t.Fatal("Toxiproxy did not come up")
	return ""
}

// answers waits until something answers at the URL, or the process has ended.
func answers(url string, ended <-chan struct{}) bool {
	for until := time.Now().Add(time.Minute); time.Now().Before(until); {
		resp, err := http.Get(url)
		if err == nil {
			_ = resp.Body.Close()
			return resp.StatusCode == http.StatusOK
		}
		select {
		case <-ended:
			return false
		case <-time.After(10 * time.Millisecond):
		}
	}
	return false
}

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().String()
}

// unreachable is what the go command says when there is no module proxy to ask.
var unreachable = regexp.MustCompile(`dial tcp|no such host|i/o timeout|connection refused|module lookup disabled`)

// build builds Toxiproxy's server into the cache folder.
func build(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "shakedown-test", "toxiproxy-"+Version)
	program := filepath.Join(dir, "server")
	if _, err := os.Stat(program); err == nil {
		return program
	}
	tmp := t.TempDir()
	const module = "github.com/Shopify/toxiproxy/v2"
	cmd := exec.Command("go", "install", "-ldflags", "-X "+module+".Version="+Version, module+"/cmd/server@v"+Version)
	cmd.Env = append(os.Environ(), "GOBIN="+tmp, "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		if unreachable.Match(out) {
			t.Skipf("Toxiproxy cannot be built, the module proxy is out of reach: %s", out)
		}
		t.Fatalf("building Toxiproxy: %v\n%s", err, out)
	}
	built, err := os.ReadFile(filepath.Join(tmp, "server"))
	if err != nil {
		t.Fatal(err)
	}
	// Renamed, so that a test that runs at the same time never finds half of it.
	half := filepath.Join(tmp, "half")
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(half, built, 0o755)); err != nil {
		t.Fatal(err)
	}
	if os.Rename(half, program) != nil { // the cache is on another file system
		return filepath.Join(tmp, "server")
	}
	return program
}
