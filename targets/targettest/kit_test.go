package targettest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"shakedown/bench"
	"shakedown/internal/units"
	"shakedown/targets/serve"
)

type toyConfig struct {
	Size int `json:"size"`
}

func (c toyConfig) Validate() error {
	if c.Size < 1 {
		return errors.New("size: must be at least 1")
	}
	return nil
}

// ignorer is a service that serves on although its context has ended, until it is let go.
type ignorer struct {
	*serve.Server
	letGo <-chan struct{}
}

func (s ignorer) Serve(ctx context.Context, ln net.Listener) error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	go func() { <-s.letGo; cancel() }()
	return s.Server.Serve(ctx, ln)
}

// toyService is a well-behaved service on an "engine" that speaks HTTP.
func toyService(env bench.Env, raw json.RawMessage) (*serve.Server, error) {
	if _, err := serve.Decode[toyConfig](raw); err != nil {
		return nil, err
	}
	s := serve.New(env)
	s.Handle("get", "GET /item/{key}", func(_ context.Context, r *http.Request) (serve.Answer, error) {
		key, err := serve.Key(r)
		return serve.Answer{Value: key, Flags: bench.Hit}, err
	})
	s.Handle("put", "POST /item", func(context.Context, *http.Request) (serve.Answer, error) {
		return serve.Answer{Outcome: bench.Degraded}, nil
	})
	s.Ready("engine", func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, env.URLs["engine"], nil)
		if err != nil {
			return err
		}
		res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
		if err != nil {
			return err
		}
		return res.Body.Close()
	})
	if role := env.URLs["backend"]; role != "" {
		s.Ready("backend", serve.AnswersReady(role))
	}
	return s, nil
}

func toyPattern() bench.Pattern {
	workload := bench.Workload{SLO: units.Second, Timeout: units.Second, Ops: []bench.Op{
		{Name: "get", Path: "/item/{key}", Keys: bench.Keys{Dist: "uniform", N: 1000}},
		{Name: "put", Method: "POST", Path: "/item"},
	}}
	role := bench.Role{
		Config: toyConfig{},
		New: func(_ context.Context, env bench.Env, raw json.RawMessage) (bench.Service, error) {
			return toyService(env, raw)
		},
	}
	backend := bench.Role{
		New: func(_ context.Context, env bench.Env, raw json.RawMessage) (bench.Service, error) {
			if _, err := serve.Decode[struct{}](raw); err != nil {
				return nil, err
			}
			return serve.New(env), nil
		},
	}
	return bench.Pattern{
		Name: "toy/good", Title: "A toy", Summary: "It answers.",
		Claims: []bench.Claim{{ID: "toy/good#1", Text: "It answers.", Expect: bench.Confirmed}},
		Roles:  map[string]bench.Role{bench.ServiceRole: role, "backend": backend},
		Seed:   func(context.Context, bench.Env, json.RawMessage) error { return nil },
		Experiments: []bench.Experiment{{
			Name: "toy/good/answers", Question: "Does it answer?",
			Engines:  []bench.EngineSpec{{Name: "engine"}},
			Backends: []bench.Backend{{Role: "backend"}},
			Variants: []bench.Variant{{Name: "small", Config: toyConfig{1}}, {Name: "large", Config: toyConfig{9}}},
			Factor:   "size", Levels: []bench.Level{{Name: "as is"}, {Name: "large only", Variants: []string{"large"}, Config: map[string]any{"size": 10}}},
			Workload: workload,
			Phases:   []bench.Phase{{Name: "all", For: units.Second, Rate: bench.PerSecond(10), Judged: true}},
			Checks: []bench.Check{{
				Claim: "toy/good#1", Text: "all is answered", Rel: bench.AtLeast, Bound: 1,
				Of: bench.Query{Variant: "large", Phase: "all", Op: "get", Metric: "goodput"},
			}},
		}},
	}
}

// fakeEngines are servers in this process that answer anything.
type fakeEngines struct{}

func (fakeEngines) URL(t testing.TB, _ string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestAGoodPatternPasses(t *testing.T) { Run(t, toyPattern(), fakeEngines{}) }

func TestEveryVariantAtEveryLevelIsASubject(t *testing.T) {
	all := subjects(toyPattern())
	names := make([]string, 0, len(all))
	for _, s := range all {
		names = append(names, s.name())
	}
	want := "toy/good/answers/small/as is, toy/good/answers/large/as is, toy/good/answers/large/large only"
	if got := strings.Join(names, ", "); got != want {
		t.Errorf("the subjects are %s, want %s", got, want)
	}
}

func TestEveryVariantAndEveryLevelIsRunThoughNotEachWithEach(t *testing.T) {
	of := func(variants, levels int) (all []subject) {
		for v := range variants {
			for l := range levels {
				all = append(all, subject{variant: bench.Variant{Name: fmt.Sprint("v", v)}, level: bench.Level{Name: fmt.Sprint("l", l)}})
			}
		}
		return all
	}
	for _, tc := range []struct{ variants, levels, run int }{{1, 1, 1}, {3, 4, 4}, {4, 1, 4}, {3, 3, 3}} {
		variants, levels, run := map[string]bool{}, map[string]bool{}, 0
		for _, s := range covering(of(tc.variants, tc.levels)) {
			if !s.idle {
				run++
				variants[s.variant.Name], levels[s.level.Name] = true, true
			}
		}
		if len(variants) != tc.variants || len(levels) != tc.levels || run != tc.run {
			t.Errorf("%d variants at %d levels: %d and %d of them are run in %d subjects, want all in %d", tc.variants, tc.levels, len(variants), len(levels), run, tc.run)
		}
	}
}

// broken are faults of a reference service that the kit exists to find: what is done to the good toy, the promise that
// it breaks, and what the kit says of it.
func broken(letGo <-chan struct{}) []struct {
	name, promise, says string
	spoil               func(*bench.Pattern)
} {
	// service replaces what the toy's New returns.
	service := func(change func(env bench.Env, s *serve.Server) (bench.Service, error)) func(*bench.Pattern) {
		return func(p *bench.Pattern) {
			p.Roles[bench.ServiceRole] = bench.Role{
				Config: toyConfig{},
				New: func(_ context.Context, env bench.Env, raw json.RawMessage) (bench.Service, error) {
					s, err := toyService(env, raw)
					if err != nil {
						return nil, err
					}
					return change(env, s)
				},
			}
		}
	}
	return []struct {
		name, promise, says string
		spoil               func(*bench.Pattern)
	}{
		{"leaks a goroutine", "serves", "goroutines that it started have not", service(func(_ bench.Env, s *serve.Server) (bench.Service, error) {
			go func() { <-letGo }()
			return s, nil
		})},
		{"ignores the end of its context", "serves", "Serve has not returned", service(func(_ bench.Env, s *serve.Server) (bench.Service, error) {
			return ignorer{s, letGo}, nil
		})},
		{"has an unbounded label", "serves", "label item of shakedown_items_total is not bounded", service(
			func(_ bench.Env, s *serve.Server) (bench.Service, error) {
				items := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "shakedown_items_total", Help: "Items."}, []string{"item"})
				s.Registry().MustRegister(items)
				s.Ready("items", func(context.Context) error {
					for i := range 100 {
						items.WithLabelValues(fmt.Sprint(i)).Inc()
					}
					return nil
				})
				return s, nil
			})},
		{"has a counter without _total", "serves", "_total", service(func(_ bench.Env, s *serve.Server) (bench.Service, error) {
			s.Registry().MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "shakedown_items", Help: "Items."}))
			return s, nil
		})},
		{"never becomes ready", "serves", "not ready within", service(func(_ bench.Env, s *serve.Server) (bench.Service, error) {
			s.Ready("never", func(context.Context) error { return errors.New("not yet") })
			return s, nil
		})},
		{"dies at once", "serves", "stopped before it was ready", service(func(_ bench.Env, s *serve.Server) (bench.Service, error) {
			s.Go("death", func(context.Context) error { return errors.New("dead") })
			return s, nil
		})},
		{"does not know an operation", "serves", "operation odd, GET /odd: answered 404", func(p *bench.Pattern) {
			w := &p.Experiments[0].Workload
			w.Ops = append(w.Ops, bench.Op{Name: "odd", Path: "/odd"})
		}},
		{"accepts unknown configuration", "unknown configuration", "accepts the unknown field", func(p *bench.Pattern) {
			good := p.Roles[bench.ServiceRole]
			p.Roles[bench.ServiceRole] = bench.Role{Config: toyConfig{}, New: func(ctx context.Context, env bench.Env, _ json.RawMessage) (bench.Service, error) {
				return good.New(ctx, env, json.RawMessage(`{"size":1}`))
			}}
		}},
		{"has a configuration that its role refuses", "configuration is accepted", "size: must be at least 1", func(p *bench.Pattern) {
			p.Experiments[0].Variants[0].Config = toyConfig{0}
		}},
		{"seeds only once", "serves", "failed the second time; it must be idempotent", func(p *bench.Pattern) {
			var seeded atomic.Bool
			p.Seed = func(context.Context, bench.Env, json.RawMessage) error {
				if seeded.Swap(true) {
					return errors.New("table exists")
				}
				return nil
			}
		}},
		{"starts only once", "starts again", "address in use", func(p *bench.Pattern) {
			good := p.Roles[bench.ServiceRole].New
			var started atomic.Int32
			p.Roles[bench.ServiceRole] = bench.Role{Config: toyConfig{}, New: func(ctx context.Context, env bench.Env, raw json.RawMessage) (bench.Service, error) {
				s, err := good(ctx, env, raw)
				if err == nil && started.Add(1) > 1 {
					return nil, errors.New("address in use")
				}
				return s, err
			}}
		}},
		{"is ready on a dead engine", "a dead engine", "although engine is dead", func(p *bench.Pattern) {
			p.Roles[bench.ServiceRole] = bench.Role{Config: toyConfig{}, New: func(_ context.Context, env bench.Env, _ json.RawMessage) (bench.Service, error) {
				return serve.New(env), nil
			}}
		}},
		{"hangs on a dead backend", "a dead backend", "New has not returned", func(p *bench.Pattern) {
			good := p.Roles[bench.ServiceRole].New
			p.Roles[bench.ServiceRole] = bench.Role{Config: toyConfig{}, New: func(ctx context.Context, env bench.Env, raw json.RawMessage) (bench.Service, error) {
				if url := env.URLs["backend"]; url != "" && serve.AnswersReady(url)(ctx) != nil {
					<-ctx.Done()
				}
				return good(ctx, env, raw)
			}}
		}},
	}
}

func TestBrokenPatternsFailWhereTheyAreBroken(t *testing.T) {
	letGo := make(chan struct{})
	defer close(letGo)
	for _, tt := range broken(letGo) {
		t.Run(tt.name, func(t *testing.T) {
			p := toyPattern()
			tt.spoil(&p)
			urls := map[string]string{"engine": fakeEngines{}.URL(t, "engine")}
			var failed []string
			for _, promise := range subjects(p)[0].promises(urls, time.Second) {
				if err := promise.keep(t.Context()); err != nil {
					failed = append(failed, promise.name+": "+err.Error())
				}
				if strings.HasPrefix(promise.name, tt.promise) {
					break // what comes after may break for the same reason
				}
			}
			if len(failed) == 0 {
				t.Fatal("the kit finds nothing wrong with it")
			}
			last := failed[len(failed)-1]
			if !strings.HasPrefix(last, tt.promise) || !strings.Contains(last, tt.says) {
				t.Errorf("the kit says\n%s\nwant %q about %q", strings.Join(failed, "\n"), tt.says, tt.promise)
			}
		})
	}
}

func TestInconsistentPatternsFailBeforeAnythingRuns(t *testing.T) {
	for _, tt := range []struct {
		name, says string
		spoil      func(*bench.Pattern, *bench.Experiment)
	}{
		{"pattern name", "group/pattern", func(p *bench.Pattern, _ *bench.Experiment) { p.Name = "Toy" }},
		{"no summary", "no summary", func(p *bench.Pattern, _ *bench.Experiment) { p.Summary = "" }},
		{"no service", "no role \"service\"", func(p *bench.Pattern, _ *bench.Experiment) { delete(p.Roles, bench.ServiceRole) }},
		{"claim twice", `two claims are called "toy/good#1"`, func(p *bench.Pattern, _ *bench.Experiment) { p.Claims = append(p.Claims, p.Claims[0]) }},
		{"claim id", "not of the form", func(p *bench.Pattern, _ *bench.Experiment) { p.Claims[0].ID = "1" }},
		{"depends on nothing", "On names a condition", func(p *bench.Pattern, _ *bench.Experiment) { p.Claims[0].Expect = bench.DependsOn }},
		{"experiment twice", "two experiments", func(p *bench.Pattern, _ *bench.Experiment) { p.Experiments = append(p.Experiments, p.Experiments[0]) }},
		{"experiment of another pattern", "not of the form toy/good/question", func(_ *bench.Pattern, e *bench.Experiment) { e.Name = "toy/bad/x" }},
		{"variant twice", `two variants are called "small"`, func(_ *bench.Pattern, e *bench.Experiment) { e.Variants[1].Name = "small" }},
		{"no variant", "no control", func(_ *bench.Pattern, e *bench.Experiment) { e.Variants = nil }},
		{"levels without factor", "factor", func(_ *bench.Pattern, e *bench.Experiment) { e.Factor = "" }},
		{"level of no variant", `no variant "tiny"`, func(_ *bench.Pattern, e *bench.Experiment) { e.Levels[0].Variants = []string{"tiny"} }},
		{"unknown backend", "not a further role", func(_ *bench.Pattern, e *bench.Experiment) { e.Backends[0].Role = "disk" }},
		{"unknown claim", `no claim "toy/good#9"`, func(_ *bench.Pattern, e *bench.Experiment) { e.Checks[0].Claim = "toy/good#9" }},
		{"unknown variant asked", `no variant "huge"`, func(_ *bench.Pattern, e *bench.Experiment) { e.Checks[0].Of.Variant = "huge" }},
		{"unknown phase asked", `no phase "outage"`, func(_ *bench.Pattern, e *bench.Experiment) {
			e.Checks[0].Versus = &bench.Query{Phase: "outage", Metric: "x"}
		}},
		{"unknown op asked", `no operation "scan"`, func(_ *bench.Pattern, e *bench.Experiment) { e.Columns = []bench.Column{{Of: bench.Query{Op: "scan"}}} }},
		{"equal without band", "without a band", func(_ *bench.Pattern, e *bench.Experiment) { e.Checks[0].Rel = bench.Equal }},
		{"nothing judged", "is judged", func(_ *bench.Pattern, e *bench.Experiment) { e.Phases[0].Judged = false }},
		{"rate of no capacity", "nothing measures", func(_ *bench.Pattern, e *bench.Experiment) { e.Phases[0].Rate = bench.OfCapacity(1) }},
		{"invalid workload", "workload.slo", func(_ *bench.Pattern, e *bench.Experiment) { e.Workload.SLO = 0 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := toyPattern()
			tt.spoil(&p, &p.Experiments[0])
			promises := declared(p)
			errs := make([]error, 0, len(promises))
			for _, promise := range promises {
				errs = append(errs, promise.keep(t.Context()))
			}
			if err := errors.Join(errs...); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("the kit says %v, want %q", err, tt.says)
			}
		})
	}
}

func TestChecksMayDecideClaimsOfPatternsThatAreNamed(t *testing.T) {
	p := toyPattern()
	p.Experiments[0].Checks[0].Claim = "toy/other#1"
	other := bench.Pattern{Name: "toy/other", Title: "T", Summary: "S", Claims: []bench.Claim{{ID: "toy/other#1", Text: "So."}}}
	for _, promise := range append(declared(p, other), declared(other)...) {
		if err := promise.keep(t.Context()); err != nil {
			t.Errorf("%s: %v", promise.name, err)
		}
	}
	if err := consistent(p, p.Experiments[0], nil); err == nil || !strings.Contains(err.Error(), `no claim "toy/other#1"`) {
		t.Errorf("without the other pattern the kit says %v", err)
	}
}

func TestRequestsThatAreNotCountedAreFound(t *testing.T) {
	k := trial{subject: subjects(toyPattern())[0]}
	counter := func(n float64) map[string]*dto.MetricFamily {
		count := &dto.MetricFamily{Metric: []*dto.Metric{{Counter: &dto.Counter{Value: &n}}}}
		return map[string]*dto.MetricFamily{
			"shakedown_requests_total": count, "shakedown_request_seconds": {}, "shakedown_in_flight_requests": {},
		}
	}
	sent := 0.0
	for _, op := range k.workload().Ops {
		sent += float64(1 + keysOf(op))
	}
	if err := k.hasRED(counter(sent)); err != nil {
		t.Error(err)
	}
	if err := k.hasRED(counter(sent - 1)); err == nil {
		t.Error("a request that was not counted is not missed")
	}
	if err := k.hasRED(nil); err == nil || strings.Count(err.Error(), "/metrics has no") != 3 {
		t.Errorf("of a service without metrics the kit says %v", err)
	}
}

// recorder is a testing.TB that notes failures in place of failing.
type recorder struct {
	testing.TB
	errors []string
}

func (r *recorder) Helper()           {}
func (r *recorder) Error(args ...any) { r.errors = append(r.errors, fmt.Sprint(args...)) }

func TestABrokenPromiseFailsTheTest(t *testing.T) {
	r := &recorder{TB: t}
	promise{"kept", func(context.Context) error { return nil }}.report(t.Context(), r)
	promise{"broken", func(context.Context) error { return errors.New("it leaks") }}.report(t.Context(), r)
	if len(r.errors) != 1 || r.errors[0] != "it leaks" {
		t.Errorf("the test was told %q, want only what the broken promise says", r.errors)
	}
}
