package retry

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"shakedown/bench"
	"shakedown/internal/units"
	"shakedown/targets/serve"
	"shakedown/targets/targettest"
)

var engines targettest.Shared

func TestMain(m *testing.M) { os.Exit(engines.Main(m)) }

func TestPattern(t *testing.T) { targettest.Run(t, Pattern, &engines) }

func mustSay(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("it is refused: %v", err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("it is refused with %v, want one that names %q", err, want)
	}
}

// dependency is a backend that answers as the test says, and counts what it was asked.
type dependency struct {
	url   string
	calls atomic.Int64
}

func newDependency(t *testing.T, answer http.HandlerFunc) *dependency {
	d := &dependency{}
	mux := http.NewServeMux()
	mux.HandleFunc("/readyz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/work/{key}", func(w http.ResponseWriter, r *http.Request) {
		d.calls.Add(1)
		answer(w, r)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	d.url = server.URL
	return d
}

func status(codes ...int) http.HandlerFunc {
	var n atomic.Int64
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(codes[min(int(n.Add(1)), len(codes))-1])
	}
}

// start is a service on the dependency, as a function that sends it an order.
func start(t *testing.T, c Config, d *dependency) (order func() targettest.Response) {
	t.Helper()
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	service, err := newService(t.Context(), bench.Env{Role: bench.ServiceRole, URLs: map[string]string{"backend": d.url}}, raw)
	if err != nil {
		t.Fatal(err)
	}
	url := targettest.Serve(t, service)
	return func() targettest.Response { return targettest.Get(t, url+"/order/1") }
}

func quick(policy string, attempts int) Config {
	return Config{
		Policy: policy, Attempts: attempts, Timeout: units.Duration(time.Minute), Base: 1, Cap: 2,
		BudgetRatio: 0.1, BudgetBurst: 2, BreakerFailures: 3, BreakerOpen: units.Duration(time.Hour),
	}
}

func TestWhatBecomesOfAnOrder(t *testing.T) {
	const ok, down, full = http.StatusOK, http.StatusInternalServerError, http.StatusServiceUnavailable
	for _, tt := range []struct {
		name   string
		config Config
		answer http.HandlerFunc
		status int
		calls  int64
		flags  string
	}{
		{"without a failure, one call", quick("immediate", 4), status(ok), ok, 1, ""},
		{"a retry that helps is flagged", quick("immediate", 4), status(down, down, ok), ok, 3, "retried"},
		{"waits do not change what is tried", quick("full_jitter", 4), status(down, ok), ok, 2, "retried"},
		{"attempts are counted with the first", quick("exponential", 4), status(down), down, 4, ""},
		{"no retry", quick("none", 1), status(down, ok), down, 1, ""},
		{"a dependency that turns calls away makes a refusal", quick("immediate", 3), status(full), full, 3, ""},
		{"a budget ends the retries", quick("budget", 10), status(down), down, 3, ""},
		{"a breaker ends them with a refusal", quick("breaker", 10), status(down), full, 3, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDependency(t, tt.answer)
			res := start(t, tt.config, d)()
			if res.Status != tt.status || d.calls.Load() != tt.calls || res.Header.Get(serve.HeaderFlags) != tt.flags {
				t.Errorf("answered %d with flags %q after %d calls, want %d, %q, %d",
					res.Status, res.Header.Get(serve.HeaderFlags), d.calls.Load(), tt.status, tt.flags, tt.calls)
			}
			wantOutcome := ""
			if tt.status == full {
				wantOutcome = bench.Refused.String()
			}
			if got := res.Header.Get(serve.HeaderOutcome); got != wantOutcome {
				t.Errorf("its outcome is %q, want %q", got, wantOutcome)
			}
		})
	}
}

func TestAnOpenBreakerRefusesWithoutACall(t *testing.T) {
	d := newDependency(t, status(http.StatusInternalServerError))
	order := start(t, quick("breaker", 1), d)
	for range 3 {
		if res := order(); res.Status != http.StatusInternalServerError {
			t.Fatalf("a failure answers %d", res.Status)
		}
	}
	if res := order(); res.Header.Get(serve.HeaderOutcome) != bench.Refused.String() || d.calls.Load() != 3 {
		t.Errorf("after 3 failures it answers %d (%s) after %d calls; want a refusal and no fourth call",
			res.Status, res.Header.Get(serve.HeaderOutcome), d.calls.Load())
	}
}

func TestAnAttemptIsGivenUpAndAnsweredAsATimeOut(t *testing.T) {
	d := newDependency(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	c := quick("immediate", 2)
	c.Timeout = units.Millisecond
	if res := start(t, c, d)(); res.Status != http.StatusGatewayTimeout || d.calls.Load() > 2 {
		t.Errorf("it answers %d after %d calls, want 504 after at most 2", res.Status, d.calls.Load())
	}
}

func TestUsersWhoLeaveDoNotOpenTheBreaker(t *testing.T) {
	came := make(chan struct{})
	d := newDependency(t, func(_ http.ResponseWriter, r *http.Request) {
		came <- struct{}{}
		<-r.Context().Done()
	})
	raw, err := json.Marshal(quick("breaker", 1))
	if err != nil {
		t.Fatal(err)
	}
	svc, err := open(bench.Env{URLs: map[string]string{"backend": d.url}}, raw)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = svc.server.Close() }()
	for range 5 { // more than BreakerFailures
		ctx, leave := context.WithCancel(t.Context())
		answer := make(chan error, 1)
		go func() { answer <- svc.attempt(ctx, 1) }()
		select {
		case <-came:
		case err := <-answer:
			t.Fatalf("no call is made any more: %v", err)
		}
		leave()
		if err := <-answer; !errors.Is(err, context.Canceled) {
			t.Fatalf("a call whose user left ends with %v", err)
		}
	}
}

func TestAWrongKeyIsTheUsersMistakeAndNoCall(t *testing.T) {
	d := newDependency(t, status(http.StatusOK))
	raw, err := json.Marshal(quick("immediate", 3))
	if err != nil {
		t.Fatal(err)
	}
	service, err := newService(t.Context(), bench.Env{URLs: map[string]string{"backend": d.url}}, raw)
	if err != nil {
		t.Fatal(err)
	}
	if res := targettest.Get(t, targettest.Serve(t, service)+"/order/x"); res.Status != http.StatusBadRequest || d.calls.Load() != 0 {
		t.Errorf("it answers %d after %d calls, want 400 and none", res.Status, d.calls.Load())
	}
}
