package serve_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.uber.org/goleak"

	"shakedown/bench"
	"shakedown/targets/serve"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var env = bench.Env{Pattern: "toy/toy", Role: "service", Seed: 7}

var quiet = serve.Logger(slog.New(slog.DiscardHandler))

// started is a server in this process, with its base URL and the way to stop it.
type started struct {
	url  string
	stop func() error
}

func start(t *testing.T, s *serve.Server) started {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, ln) }()
	stop := sync.OnceValue(func() error {
		cancel()
		http.DefaultClient.CloseIdleConnections()
		return <-served
	})
	t.Cleanup(func() { _ = stop() })
	return started{"http://" + ln.Addr().String(), stop}
}

// answer is a response that has been read.
type answer struct {
	status int
	header http.Header
	body   string
}

func (s started) get(t *testing.T, path string) answer {
	t.Helper()
	res, err := http.Get(s.url + path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(body)}
}

// metric is the value of the one series with the given name and labels, "name{a=1,b=2}", or −1 when there is none.
func (s started) metric(t *testing.T, series string) float64 {
	t.Helper()
	body := s.get(t, "/metrics").body
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		t.Fatalf("/metrics does not parse: %v", err)
	}
	name, labels, _ := strings.Cut(strings.TrimSuffix(series, "}"), "{")
	for _, m := range families[name].GetMetric() {
		have := make([]string, 0, len(m.GetLabel()))
		for _, l := range m.GetLabel() {
			have = append(have, l.GetName()+"="+l.GetValue())
		}
		if strings.Join(have, ",") != labels {
			continue
		}
		switch {
		case m.Counter != nil:
			return m.Counter.GetValue()
		case m.Histogram != nil:
			return float64(m.Histogram.GetSampleCount())
		default:
			return m.Gauge.GetValue()
		}
	}
	return -1
}

func TestAnswersAndErrorsBecomeStatusHeadersAndOutcomes(t *testing.T) {
	for _, tt := range []struct {
		name    string
		answer  serve.Answer
		err     error
		status  int
		outcome string            // of shakedown_requests_total
		headers map[string]string // all of Shakedown-…
		body    string
	}{
		{name: "zero answer is ok", status: 200, outcome: "ok"},
		{name: "bytes", answer: serve.Answer{Body: []byte("raw")}, status: 200, outcome: "ok", body: "raw"},
		{name: "text", answer: serve.Answer{Body: "text"}, status: 200, outcome: "ok", body: "text"},
		{name: "json", answer: serve.Answer{Body: map[string]int{"n": 1}}, status: 200, outcome: "ok", body: `{"n":1}`},
		{name: "unencodable", answer: serve.Answer{Body: func() {}}, status: 500, outcome: "failed"},
		{
			name: "flags and value", answer: serve.Answer{Flags: bench.Hit | bench.Stale, Value: -12}, status: 200, outcome: "ok",
			headers: map[string]string{"Shakedown-Flags": "hit,stale", "Shakedown-Value": "-12"},
		},
		{
			name: "degraded", answer: serve.Answer{Outcome: bench.Degraded}, status: 200, outcome: "degraded",
			headers: map[string]string{"Shakedown-Outcome": "degraded"},
		},
		{
			name: "refused answer", answer: serve.Answer{Outcome: bench.Refused}, status: 503, outcome: "refused",
			headers: map[string]string{"Shakedown-Outcome": "refused"},
		},
		{
			name: "refused error", err: errors.Join(errors.New("breaker open"), serve.ErrRefused), status: 503, outcome: "refused",
			headers: map[string]string{"Shakedown-Outcome": "refused"},
		},
		{name: "failed answer", answer: serve.Answer{Outcome: bench.Failed}, status: 500, outcome: "failed"},
		{name: "deadline", err: context.DeadlineExceeded, status: 504, outcome: "unsure"},
		{name: "socket time-out", err: &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, status: 504, outcome: "unsure"},
		{name: "bad request", err: serve.ErrBadRequest, status: 400, outcome: "failed"},
		{name: "other error", err: errors.New("broken"), status: 500, outcome: "failed", body: "broken\n"},
		{
			name: "flags survive an error", answer: serve.Answer{Flags: bench.Retried, Value: 1}, err: errors.New("broken"),
			status: 500, outcome: "failed", headers: map[string]string{"Shakedown-Flags": "retried"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := serve.New(env, quiet)
			s.Handle("op", "GET /op", func(context.Context, *http.Request) (serve.Answer, error) { return tt.answer, tt.err })
			svc := start(t, s)
			got := svc.get(t, "/op")
			if got.status != tt.status {
				t.Errorf("status is %d, want %d", got.status, tt.status)
			}
			for _, h := range []string{serve.HeaderOutcome, serve.HeaderFlags, serve.HeaderValue} {
				if v := got.header.Get(h); v != tt.headers[h] {
					t.Errorf("%s is %q, want %q", h, v, tt.headers[h])
				}
			}
			if tt.body != "" && got.body != tt.body {
				t.Errorf("body is %q, want %q", got.body, tt.body)
			}
			if n := svc.metric(t, "shakedown_requests_total{op=op,outcome="+tt.outcome+"}"); n != 1 {
				t.Errorf("counted %v requests as %s, want 1", n, tt.outcome)
			}
			if n := svc.metric(t, "shakedown_request_seconds{op=op}"); n != 1 {
				t.Errorf("timed %v requests, want 1", n)
			}
		})
	}
}

func TestAPanicIsCountedAndTheServiceLivesOn(t *testing.T) {
	s := serve.New(env, quiet)
	s.Handle("op", "GET /op", func(context.Context, *http.Request) (serve.Answer, error) { panic("oh") })
	svc := start(t, s)
	if got := svc.get(t, "/op"); got.status != http.StatusInternalServerError {
		t.Errorf("status is %d, want 500", got.status)
	}
	if n := svc.metric(t, "shakedown_panics_total{op=op}"); n != 1 {
		t.Errorf("counted %v panics, want 1", n)
	}
	if n := svc.metric(t, "shakedown_in_flight_requests"); n != 0 {
		t.Errorf("%v requests are in flight, want none", n)
	}
}

func TestAKeyIsTheNumberInThePath(t *testing.T) {
	s := serve.New(env, quiet)
	s.Handle("op", "GET /item/{key}", func(_ context.Context, r *http.Request) (serve.Answer, error) {
		key, err := serve.Key(r)
		return serve.Answer{Value: key}, err
	})
	svc := start(t, s)
	if v := svc.get(t, "/item/42").header.Get(serve.HeaderValue); v != "42" {
		t.Errorf("the key of /item/42 is %q", v)
	}
	if got := svc.get(t, "/item/x"); got.status != http.StatusBadRequest {
		t.Errorf("a key that is no number answers %d, want 400", got.status)
	}
}

func TestReadinessNamesTheCheckThatFails(t *testing.T) {
	down := errors.New("connection refused")
	s := serve.New(env, quiet)
	s.Ready("good", func(context.Context) error { return nil })
	s.Ready("database", func(context.Context) error { return down })
	svc := start(t, s)
	got := svc.get(t, "/readyz")
	if got.status != http.StatusServiceUnavailable || got.body != "database: connection refused\n" {
		t.Errorf("/readyz is %d %q", got.status, got.body)
	}
	if got := svc.get(t, "/healthz"); got.status != http.StatusOK {
		t.Errorf("a service that is not ready is live, yet /healthz answers %d", got.status)
	}
	if err := serve.AnswersReady(svc.url + "/")(t.Context()); err == nil || !strings.Contains(err.Error(), "database") {
		t.Errorf("AnswersReady says %v", err)
	}
}

func TestStoppingLetsRequestsInFlightFinish(t *testing.T) {
	inside, proceed := make(chan struct{}), make(chan struct{})
	s := serve.New(env, quiet, serve.Drain(time.Minute))
	s.Handle("op", "GET /op", func(context.Context, *http.Request) (serve.Answer, error) {
		close(inside)
		<-proceed
		return serve.Answer{Body: "done"}, nil
	})
	s.Ready("proceed", func(context.Context) error { return nil })
	svc := start(t, s)
	answer := make(chan string, 1)
	go func() {
		res, err := http.Get(svc.url + "/op")
		if err != nil {
			answer <- err.Error()
			return
		}
		defer func() { _ = res.Body.Close() }()
		body, _ := io.ReadAll(res.Body)
		answer <- string(body)
	}()
	<-inside
	stopped := make(chan error, 1)
	go func() { stopped <- svc.stop() }()
	close(proceed)
	if got := <-answer; got != "done" {
		t.Errorf("the request in flight got %q", got)
	}
	if err := <-stopped; err != nil {
		t.Errorf("stopping: %v", err)
	}
}

func TestStoppingEndsHandlersThatHeedTheirContextAndNamesThoseThatDoNot(t *testing.T) {
	release := make(chan struct{})
	for _, tt := range []struct {
		name string
		wait func(context.Context)
		want string
	}{
		{"heeds", func(ctx context.Context) { <-ctx.Done() }, ""},
		{"ignores", func(context.Context) { <-release }, "1 handlers did not end"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inside := make(chan struct{})
			s := serve.New(env, quiet, serve.Drain(50*time.Millisecond))
			s.Handle("op", "GET /op", func(ctx context.Context, _ *http.Request) (serve.Answer, error) {
				close(inside)
				tt.wait(ctx)
				return serve.Answer{}, nil
			})
			svc := start(t, s)
			asked := make(chan struct{})
			go func() {
				defer close(asked)
				if res, err := http.Get(svc.url + "/op"); err == nil {
					_ = res.Body.Close()
				}
			}()
			<-inside
			err := svc.stop()
			<-asked
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("stopping says %v, want %q", err, tt.want)
			}
		})
	}
	close(release)
}

func TestBackgroundWorkStopsWithTheServiceAndCleanUpsRunLastFirst(t *testing.T) {
	var order []string
	s := serve.New(env, quiet)
	s.OnStop("first", func(context.Context) error { order = append(order, "first"); return nil })
	s.OnStop("second", func(context.Context) error { order = append(order, "second"); return errors.New("stuck") })
	s.Go("refresher", func(ctx context.Context) error {
		<-ctx.Done()
		order = append(order, "refresher")
		return ctx.Err()
	})
	err := start(t, s).stop()
	if err == nil || err.Error() != "closing second: stuck" {
		t.Errorf("stopping says %v", err)
	}
	if got := strings.Join(order, " "); got != "refresher second first" {
		t.Errorf("order is %s", got)
	}
}

func TestBackgroundWorkThatFailsStopsTheService(t *testing.T) {
	s := serve.New(env, quiet)
	s.Go("relay", func(context.Context) error { return errors.New("lost its connection") })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(t.Context(), ln); err == nil || err.Error() != "background work relay: lost its connection" {
		t.Errorf("Serve says %v", err)
	}
}
