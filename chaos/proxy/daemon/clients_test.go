package daemon

import (
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

	toxiproxy "github.com/Shopify/toxiproxy/v2/client"
)

// echo is a server that echoes what each connection sends, until the test ends.
func echo(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	t.Cleanup(func() { _ = ln.Close(); serving.Wait() })
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
	return ln.Addr().String()
}

// dial connects to a proxy; everything on the connection ends within a minute.
func dial(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	return c.(*net.TCPConn)
}

// roundTrip sends a message and reads it back.
func roundTrip(c net.Conn) (time.Duration, error) {
	start := time.Now()
	if _, err := c.Write([]byte("ping")); err != nil {
		return 0, err
	}
	var back [4]byte
	_, err := io.ReadFull(c, back[:])
	return time.Since(start), err
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// TestToxiproxysGoClientDrivesTheDaemon calls every operation of the client.
func TestToxiproxysGoClientDrivesTheDaemon(t *testing.T) {
	url, _ := start(t, Options{})
	client, upstream := toxiproxy.NewClient(url), echo(t)
	if v := must(client.Version())(t); !strings.Contains(string(v), `"version": "2.`) {
		t.Errorf("version %s", v)
	}
	if all := must(client.Proxies())(t); len(all) != 0 {
		t.Errorf("%+v", all)
	}

	p := must(client.CreateProxy("redis", "127.0.0.1:0", upstream))(t)
	_ = must(roundTrip(dial(t, p.Listen)))(t)
	other := client.NewProxy()
	other.Name, other.Upstream, other.Listen = "other", upstream, "127.0.0.1:0"
	if err := other.Save(); err != nil || other.Enabled {
		t.Errorf("%+v, %v", other, err)
	}
	if all := must(client.Proxies())(t); len(all) != 2 || all["redis"].Listen != p.Listen {
		t.Errorf("%+v", all)
	}
	if got := must(client.Proxy("redis"))(t); got.Upstream != upstream || !got.Enabled {
		t.Errorf("%+v", got)
	}
	driveEnabling(t, client, p)
	driveToxics(t, client, p)
	drivePopulating(t, client, upstream)

	if err := errors.Join(p.Delete(), other.Delete()); err != nil {
		t.Error(err)
	}
	if err := p.Delete(); err == nil || err.Error() != "Delete: HTTP 404: proxy not found" {
		t.Errorf("deleting twice: %v", err)
	}
}

func driveEnabling(t *testing.T, client *toxiproxy.Client, p *toxiproxy.Proxy) {
	t.Helper()
	live := dial(t, p.Listen)
	_ = must(roundTrip(live))(t)
	if err := p.Disable(); err != nil {
		t.Fatal(err)
	}
	if _, err := roundTrip(live); err == nil {
		t.Error("a live connection outlived its proxy")
	}
	if _, err := net.Dial("tcp", p.Listen); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("connecting to a disabled proxy: %v", err)
	}
	was := p.Listen
	if err := p.Enable(); err != nil || p.Listen != was {
		t.Fatalf("%+v, %v", p, err)
	}
	_ = must(roundTrip(dial(t, p.Listen)))(t)
	p.Listen = "127.0.0.1:0"
	if err := p.Save(); err != nil || p.Listen == was {
		t.Fatalf("it did not move: %+v, %v", p, err)
	}
	_ = must(roundTrip(dial(t, p.Listen)))(t)
	if _, err := client.CreateProxy("taken", p.Listen, "127.0.0.1:1"); err == nil ||
		!regexp.MustCompile(`^Create: HTTP 500: listen tcp 127\.0\.0\.1:\d+: bind: address already in use$`).MatchString(err.Error()) {
		t.Errorf("a port that is taken: %v", err)
	}
}

func driveToxics(t *testing.T, client *toxiproxy.Client, p *toxiproxy.Proxy) {
	t.Helper()
	made := must(p.AddToxic("", "latency", "", 1, toxiproxy.Attributes{"latency": 30}))(t)
	if made.Name != "latency_downstream" || made.Stream != "downstream" || made.Attributes["latency"] != 30.0 {
		t.Errorf("%+v", made)
	}
	if d := must(roundTrip(dial(t, p.Listen)))(t); d < 30*time.Millisecond {
		t.Errorf("delayed by %s", d)
	}
	if _, err := p.AddToxic("", "latency", "", 1, nil); err == nil || err.Error() != "AddToxic: HTTP 409: toxic already exists" {
		t.Errorf("adding it twice: %v", err)
	}
	if got := must(p.UpdateToxic(made.Name, -1, toxiproxy.Attributes{"latency": 60}))(t); got.Attributes["latency"] != 60.0 || got.Toxicity != 1 {
		t.Errorf("%+v", got)
	}
	if d := must(roundTrip(dial(t, p.Listen)))(t); d < 60*time.Millisecond {
		t.Errorf("delayed by %s", d)
	}
	options := &toxiproxy.ToxicOptions{ProxyName: p.Name, ToxicName: "slow", ToxicType: "bandwidth", Stream: "upstream", Toxicity: 0.5, Attributes: toxiproxy.Attributes{"rate": 10}}
	_ = must(client.AddToxic(options))(t)
	options.Toxicity, options.Attributes = 0.25, toxiproxy.Attributes{"rate": 20}
	if got := must(client.UpdateToxic(options))(t); got.Toxicity != 0.25 || got.Attributes["rate"] != 20.0 {
		t.Errorf("%+v", got)
	}
	if all := must(p.Toxics())(t); len(all) != 2 || all[0].Name != "slow" {
		t.Errorf("%+v", all)
	}
	if got := must(client.Proxy(p.Name))(t); len(got.ActiveToxics) != 2 {
		t.Errorf("%+v", got)
	}
	if err := errors.Join(client.RemoveToxic(options), p.RemoveToxic(made.Name)); err != nil {
		t.Error(err)
	}
	_ = must(p.AddToxic("down", "timeout", "upstream", 1, nil))(t)
	if err := p.Disable(); err != nil {
		t.Error(err)
	}
	if err := client.ResetState(); err != nil {
		t.Error(err)
	}
	if got := must(client.Proxy(p.Name))(t); !got.Enabled || len(got.ActiveToxics) != 0 {
		t.Errorf("after a reset: %+v", got)
	}
	_ = must(roundTrip(dial(t, p.Listen)))(t)
}

func drivePopulating(t *testing.T, client *toxiproxy.Client, upstream string) {
	t.Helper()
	made := must(client.Populate([]toxiproxy.Proxy{
		{Name: "one", Listen: "127.0.0.1:0", Upstream: upstream, Enabled: true},
		{Name: "two", Listen: "127.0.0.1:0", Upstream: upstream},
	}))(t)
	if len(made) != 2 || !made[0].Enabled || made[1].Enabled {
		t.Errorf("%+v", made)
	}
	_ = must(roundTrip(dial(t, made[0].Listen)))(t)
	if _, err := client.Populate([]toxiproxy.Proxy{{Name: "three"}}); err == nil ||
		err.Error() != "Populate: HTTP 400: missing required field: upstream at proxy 1" {
		t.Errorf("%v", err)
	}
}

// offline is what npm says when there is no registry to ask.
var offline = regexp.MustCompile(`ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENETUNREACH|ECONNRESET`)

// nodeClient installs Toxiproxy's Node client, at the version of the lock file, into the cache folder, once.
func nodeClient(t *testing.T) (dir string) {
	t.Helper()
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("there is no %s; scripts/setup test installs it", program)
		}
	}
	cache := must(os.UserCacheDir())(t)
	lock := must(os.ReadFile("testdata/node/package-lock.json"))(t)
	dir = filepath.Join(cache, "shakedown-test", "toxiproxy-node-client-4.1.0")
	if installed, err := os.ReadFile(filepath.Join(dir, "done")); err == nil && string(installed) == string(lock) {
		return dir
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"package.json", "package-lock.json"} {
		write(t, filepath.Join(dir, name), string(must(os.ReadFile("testdata/node/"+name))(t)))
	}
	npm := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	npm.Dir = dir
	if out, err := npm.CombinedOutput(); err != nil {
		if offline.Match(out) {
			t.Skipf("the Node client cannot be installed, the registry is out of reach: %s", out)
		}
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	write(t, filepath.Join(dir, "done"), string(lock))
	return dir
}

// TestToxiproxysNodeClientDrivesTheDaemon runs a program that calls every operation of the client and asserts what it got.
func TestToxiproxysNodeClientDrivesTheDaemon(t *testing.T) {
	dir := nodeClient(t)
	url, _ := start(t, Options{})
	program := must(os.ReadFile("testdata/node/drive.mjs"))(t)
	write(t, filepath.Join(dir, "drive.mjs"), string(program)) // a module finds its dependencies beside itself
	node := exec.CommandContext(t.Context(), "node", filepath.Join(dir, "drive.mjs"), url, echo(t))
	out, err := node.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "every operation answered as it should") {
		t.Errorf("%v\n%s", err, out)
	}
}
