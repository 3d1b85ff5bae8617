package telemetry_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"go.uber.org/goleak"

	"shakedown/bench"
	"shakedown/internal/telemetry"
	"shakedown/internal/units"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var workload = bench.Workload{
	SLO: 100 * units.Millisecond, Timeout: units.Second,
	Ops: []bench.Op{{Name: "get", Path: "/"}, {Name: "put", Path: "/", SLO: 300 * units.Millisecond}},
}

// serve starts the hub's server, until the end of the test, and returns how to ask it.
func serve(t *testing.T, h *telemetry.Hub) (get func(path string) (string, http.Header)) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	addr, err := h.Serve(ctx, "127.0.0.1:0")
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	client := &http.Client{Transport: new(http.Transport)}
	t.Cleanup(func() {
		cancel()
		client.CloseIdleConnections()
		if err := h.Wait(); err != nil {
			t.Error(err)
		}
	})
	return func(path string) (string, http.Header) {
		res, err := client.Get("http://" + addr + path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != http.StatusOK {
			t.Fatalf("%s answers %d: %s", path, res.StatusCode, body)
		}
		return string(body), res.Header
	}
}

// own are the lines of /metrics that are about shakedown, without comments.
func own(metrics string) string {
	var lines []string
	for _, line := range strings.Split(metrics, "\n") {
		if strings.HasPrefix(line, "shakedown_") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

func wantLines(t *testing.T, metrics string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("/metrics lacks %q", line)
		}
	}
	if t.Failed() {
		t.Log(metrics)
	}
}

func TestSamplesAreCountedByWhatBecameOfThem(t *testing.T) {
	h := telemetry.New()
	ms := time.Millisecond
	h.Samples(workload, []bench.Sample{
		{Op: 0, Outcome: bench.OK, Due: 0, Sent: 1 * ms, Done: 100 * ms}, // as late as the SLO allows
		{Op: 0, Outcome: bench.OK, Due: 0, Sent: 90 * ms, Done: 101 * ms},
		{Op: 0, Outcome: bench.Degraded, Due: 0, Sent: 1 * ms, Done: 2 * ms},
		{Op: 0, Outcome: bench.Unsent, Due: 5 * ms},
		{Op: 1, Outcome: bench.OK, Due: 0, Sent: 0, Done: 250 * ms}, // within its own SLO
		{Op: 9, Outcome: bench.Failed, Due: 0, Sent: 0, Done: 1 * ms},
	})
	h.InFlight(17)
	get := serve(t, h)
	body, _ := get("/metrics")
	wantLines(t, own(body),
		`shakedown_load_scheduled_total{op="get"} 4`,
		`shakedown_load_scheduled_total{op="put"} 1`,
		`shakedown_load_scheduled_total{op="unknown"} 1`,
		`shakedown_load_outcomes_total{op="get",outcome="ok"} 2`,
		`shakedown_load_outcomes_total{op="get",outcome="degraded"} 1`,
		`shakedown_load_outcomes_total{op="get",outcome="unsent"} 1`,
		`shakedown_load_good_total{op="get"} 1`,
		`shakedown_load_good_total{op="put"} 1`,
		`shakedown_load_response_seconds_count{op="get"} 3`,
		`shakedown_load_response_seconds_bucket{op="get",le="0.1"} 2`,
		`shakedown_load_send_lag_seconds_count 5`,
		`shakedown_load_in_flight 17`,
	)
}

func TestOneTrialAndOnePhaseShowAtATime(t *testing.T) {
	h := telemetry.New()
	get := serve(t, h)
	if body, _ := get("/metrics"); strings.Contains(body, "shakedown_trial_info{") {
		t.Error("there is a trial before the first")
	}
	h.Trial(telemetry.Trial{Run: "r1", Experiment: "cache/aside/stampede", Variant: "naive", Level: "10 ms", Repeat: 2})
	h.Phase("baseline")
	h.Phase("fault")
	body, _ := get("/metrics")
	wantLines(t, own(body),
		`shakedown_trial_info{experiment="cache/aside/stampede",level="10 ms",phase="fault",repeat="2",run="r1",variant="naive"} 1`)
	h.Trial(telemetry.Trial{Run: "r1", Variant: "lease"})
	body, _ = get("/metrics")
	if n := strings.Count(body, "shakedown_trial_info{"); n != 1 {
		t.Errorf("%d trials show at once", n)
	}
	wantLines(t, own(body), `shakedown_trial_info{experiment="",level="",phase="",repeat="0",run="r1",variant="lease"} 1`)
}

func TestAHealedFaultShowsAsZero(t *testing.T) {
	h := telemetry.New()
	h.FaultActive("latency 20ms on service→redis", "latency", true)
	h.FaultActive("kill postgres", "kill", true)
	h.FaultActive("kill postgres", "kill", false)
	get := serve(t, h)
	body, _ := get("/metrics")
	wantLines(t, own(body),
		`shakedown_fault_active{fault="latency 20ms on service→redis",kind="latency"} 1`,
		`shakedown_fault_active{fault="kill postgres",kind="kill"} 0`)
}

func TestTargetsAreInTheFormOfServiceDiscovery(t *testing.T) {
	h := telemetry.New()
	get := serve(t, h)
	if body, _ := get("/sd"); body != "[]" {
		t.Errorf("no targets are %s, want []", body)
	}
	labels := map[string]string{"service": "service-0"}
	h.SetTargets([]telemetry.Target{{Addr: "127.0.0.1:1", Labels: labels}, {Addr: "127.0.0.1:2"}})
	labels["service"] = "changed later"
	body, header := get("/sd")
	want := `[{"targets":["127.0.0.1:1"],"labels":{"service":"service-0"}},{"targets":["127.0.0.1:2"]}]`
	if body != want || header.Get("Content-Type") != "application/json" {
		t.Errorf("/sd is %s %s", header.Get("Content-Type"), body)
	}
	h.SetTargets(nil)
	if body, _ := get("/sd"); body != "[]" {
		t.Errorf("targets remain: %s", body)
	}
}

func TestOnlyLoopbackIsServed(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "192.0.2.1:0", "example.org:0", "nonsense"} {
		if _, err := telemetry.New().Serve(t.Context(), addr); err == nil {
			t.Errorf("%q was accepted", addr)
		}
	}
}

func TestATakenAddressIsAnError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	first := telemetry.New()
	addr, err := first.Serve(ctx, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := telemetry.New().Serve(ctx, addr); err == nil {
		t.Error("two hubs serve on one address")
	}
	cancel()
	if err := first.Wait(); err != nil {
		t.Error(err)
	}
}

func TestMetricNamesFollowPrometheusConventions(t *testing.T) {
	h := telemetry.New()
	h.Trial(telemetry.Trial{})
	h.FaultActive("f", "k", true)
	h.Samples(workload, []bench.Sample{{Outcome: bench.OK}})
	get := serve(t, h)
	body, _ := get("/metrics")
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "shakedown_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

func TestItIsSafeForConcurrentUse(t *testing.T) {
	h := telemetry.New()
	get := serve(t, h)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 50 {
				h.Trial(telemetry.Trial{Repeat: i})
				h.Phase("p")
				h.Samples(workload, []bench.Sample{{Outcome: bench.OK}})
				h.SetTargets([]telemetry.Target{{Addr: "127.0.0.1:1"}})
				h.InFlight(int64(i))
			}
		})
	}
	get("/metrics")
	get("/sd")
	wg.Wait()
	body, _ := get("/metrics")
	wantLines(t, own(body), `shakedown_load_scheduled_total{op="get"} 200`)
}
