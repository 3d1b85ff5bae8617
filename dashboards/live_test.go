package dashboards_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"shakedown/bench"
	"shakedown/dashboards"
	"shakedown/dashboards/dashtest"
	"shakedown/internal/telemetry"
	"shakedown/internal/units"
	"shakedown/targets/serve"
)

var workload = bench.Workload{
	SLO: units.Second, Timeout: units.Second, Ops: []bench.Op{{Name: "get", Path: "/item/{key}"}},
}

// newService has something for every panel to show.
func newService() *serve.Server {
	s := serve.New(bench.Env{Role: bench.ServiceRole})
	db, cache, breaker := s.Dependency("db"), s.Cache("items"), s.Breaker("db")
	acquires := int64(0)
	s.PoolStats("db", func() serve.PoolStats { // every scrape sees a few more acquisitions; they come one at a time
		acquires += 3
		return serve.PoolStats{InUse: 1, Idle: 1, Max: 2, Acquires: acquires, AcquireTime: time.Duration(acquires) * time.Millisecond}
	})
	s.Handle("get", "GET /item/{key}", func(ctx context.Context, r *http.Request) (serve.Answer, error) {
		key, err := serve.Key(r)
		if err != nil {
			return serve.Answer{}, err
		}
		if key%2 == 0 {
			cache.Hit()
			return serve.Answer{Flags: bench.Hit}, nil
		}
		cache.Miss()
		cache.Rebuild()
		breaker.Set(serve.BreakerClosed)
		return serve.Answer{}, db.Do(ctx, func(context.Context) error { return nil })
	})
	return s
}

// run is a small run: a hub, a service, and load until stop.
type run struct {
	hub          *telemetry.Hub
	harness, url string
	client       *http.Client
}

func startRun(t *testing.T) *run {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	r := &run{hub: telemetry.New(), client: &http.Client{Transport: new(http.Transport)}}
	t.Cleanup(func() {
		cancel()
		r.client.CloseIdleConnections()
		wg.Wait()
		if err := r.hub.Wait(); err != nil {
			t.Error(err)
		}
	})
	addr, err := r.hub.Serve(ctx, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.harness, r.url = addr, "http://"+ln.Addr().String()
	service := newService()
	wg.Go(func() {
		if err := service.Serve(ctx, ln); err != nil {
			t.Errorf("the service: %v", err)
		}
	})
	r.hub.Trial(telemetry.Trial{Run: "r", Experiment: "toy/toy/shows", Variant: "plain", Level: "one"})
	r.hub.Phase("fault")
	r.hub.FaultActive("latency 20ms on service→db", "latency", true)
	r.hub.SetTargets([]telemetry.Target{{Addr: ln.Addr().String(), Labels: map[string]string{
		"service": "service-0", "variant": "plain", "level": "one",
	}}})
	wg.Go(func() { r.load(ctx) })
	return r
}

// load asks now and then, and reports to the hub as the orchestrator would.
func (r *run) load(ctx context.Context) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	begin := time.Now()
	for key := int64(0); ; key++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s := bench.Sample{Seq: uint64(key), Outcome: bench.Failed, Key: key, Due: time.Since(begin), Sent: time.Since(begin)}
		if r.ask(ctx, key) == nil {
			s.Outcome = bench.OK
		}
		s.Done = time.Since(begin)
		r.hub.InFlight(1)
		r.hub.Samples(workload, []bench.Sample{s})
	}
}

func (r *run) ask(ctx context.Context, key int64) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/item/%d", r.url, key), nil)
	if err != nil {
		return err
	}
	res, err := r.client.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	return err
}

func TestEveryPanelAndRuleWorksOnARealPrometheus(t *testing.T) {
	r := startRun(t)
	url := dashtest.StartPrometheus(t, r.harness)
	dashtest.AssertPanels(t, url, nil)
	dashtest.AssertPanels(t, url, map[string]string{"variant": "plain", "level": "one"})
	dashtest.AssertRules(t, url)
}

func TestTheListOfMetricsIsWhatIsExported(t *testing.T) {
	r := startRun(t)
	// The first look at a vector that nothing was counted on shows nothing, so what may not have happened yet is left out.
	for _, tt := range []struct {
		what, url string
		want      []string
	}{
		{"harness", "http://" + r.harness, dashboards.HarnessMetrics},
		{"service", r.url, slices.DeleteFunc(slices.Clone(dashboards.ServiceMetrics), func(m string) bool { return m == dashboards.Panics })},
	} {
		var exported []string
		for end := time.Now().Add(time.Minute); len(exported) < len(tt.want) && time.Now().Before(end); { // the first request must be counted
			exported = families(t, r.client, tt.url)
		}
		slices.Sort(tt.want)
		if !slices.Equal(exported, tt.want) {
			t.Errorf("the %s exports\n%s\nand the list says\n%s", tt.what, strings.Join(exported, "\n"), strings.Join(tt.want, "\n"))
		}
	}
}

// families are the names of the shakedown_ families of a /metrics page, sorted.
func families(t *testing.T, client *http.Client, url string) []string {
	t.Helper()
	res, err := client.Get(url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, line := range strings.Split(string(body), "\n") {
		if name, ok := strings.CutPrefix(line, "# TYPE shakedown_"); ok {
			name, _, _ = strings.Cut(name, " ")
			names = append(names, "shakedown_"+name)
		}
	}
	slices.Sort(names)
	return names
}
