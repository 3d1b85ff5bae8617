package dashboards_test

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"shakedown/bench"
	"shakedown/chaos"
	"shakedown/dashboards/dashtest"
	"shakedown/internal/specfile"
	"shakedown/internal/units"
	"shakedown/targets/catalog"
)

// TestEveryPanelShowsARealRun lets Prometheus scrape a run of the program: real engines, services, faults and load.
func TestEveryPanelShowsARealRun(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "shakedown")
	if out, err := exec.Command("go", "build", "-o", program, "shakedown/cmd/shakedown").CombinedOutput(); err != nil {
		t.Fatalf("build the program: %v\n%s", err, out)
	}
	addr := freeAddr(t)
	var said bytes.Buffer
	run := exec.Command(program, "run", oneVariant(t, dir), "--out", filepath.Join(dir, "run"), "--telemetry", addr)
	run.Stdout, run.Stderr = &said, &said
	run.Env = append(os.Environ(), "SHAKEDOWN_CACHE="+cacheDir(t))
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := run.Process.Signal(os.Interrupt); err != nil {
			t.Errorf("the run ended too soon: %v\n%s", err, said.String())
		}
		if err := run.Wait(); run.ProcessState.ExitCode() != 5 {
			t.Errorf("an interrupted run ended with %v\n%s", err, said.String())
		}
	}()
	dashtest.AssertPanels(t, dashtest.StartPrometheus(t, addr), nil)
}

// oneVariant is an experiment with a pool, a cache and a breaker, whose last phase has a fault and lasts until the test is done.
func oneVariant(t *testing.T, dir string) string {
	t.Helper()
	_, e, err := catalog.Experiment("resilience/degradation/cache-loss")
	if err != nil {
		t.Fatal(err)
	}
	v, ok := e.Variant("degraded")
	if !ok {
		t.Fatal("there is no variant degraded any more")
	}
	e.Variants, e.Levels, e.Factor, e.Columns, e.Checks = []bench.Variant{v}, nil, "", nil, nil
	e.Phases = []bench.Phase{
		{Name: "baseline", For: 3 * units.Second, Rate: bench.PerSecond(50)},
		{
			Name: "hung", For: 600 * units.Second, Rate: bench.PerSecond(50), Judged: true,
			Faults: chaos.Faults{&chaos.Blackhole{Link: "service→redis"}},
		},
	}
	raw, err := specfile.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "experiment.yaml")
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func freeAddr(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().String()
}

// cacheDir is a folder of the test's own that the engines' user may enter; a path of t.TempDir can be too long for a socket.
func cacheDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
