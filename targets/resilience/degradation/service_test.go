package degradation

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/sony/gobreaker/v2"

	"shakedown/bench"
	"shakedown/internal/units"
	"shakedown/targets/cache/aside"
	"shakedown/targets/internal/items"
	"shakedown/targets/resilience/breaker"
	"shakedown/targets/resilience/timeout"
	"shakedown/targets/serve"
	"shakedown/targets/targettest"
)

var engines targettest.Shared

func TestMain(m *testing.M) { os.Exit(engines.Main(m)) }

func TestPattern(t *testing.T) {
	targettest.Run(t, Pattern, &engines, aside.Pattern, breaker.Pattern, timeout.Pattern)
}

// build is a service on seeded engines; the cache is warm.
func build(t *testing.T, c Config) *service {
	t.Helper()
	c.TTL, c.Pool, c.Keys = 3600*units.Second, 4, 10
	env := bench.Env{Role: bench.ServiceRole, URLs: map[string]string{
		"postgres": engines.URL(t, "postgres"), "redis": engines.URL(t, "redis"),
	}}
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := seed(t.Context(), env, raw); err != nil {
		t.Fatal(err)
	}
	svc, err := open(t.Context(), env, raw)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = svc.server.Close() }) // its error says that the test lost the cache before
	return svc
}

// loseCache makes every further call to the cache fail.
func (s *service) loseCache(t *testing.T) {
	t.Helper()
	if err := s.redis.Close(); err != nil {
		t.Fatal(err)
	}
}

func (s *service) ask(ctx context.Context, key string) (serve.Answer, error) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.SetPathValue("key", key)
	return s.item(ctx, r)
}

// want checks an answer; a nil error wants an answer.
func want(t *testing.T, a serve.Answer, err error, flags bench.Flags, outcome bench.Outcome) {
	t.Helper()
	if err != nil || a.Body != items.Body(1) || a.Flags != flags || a.Outcome != outcome {
		t.Errorf("answered %v, flags %q, outcome %s, error %v; want flags %q, outcome %s", a.Body, a.Flags, a.Outcome, err, flags, outcome)
	}
}

const zero bench.Outcome = 0 // which means OK in an answer

func TestEachRungOfTheLadderAnswersWithLess(t *testing.T) {
	svc := build(t, Config{FallThrough: 1, StaleFor: 600 * units.Second, LocalKeys: 10})
	a, err := svc.ask(t.Context(), "1")
	want(t, a, err, bench.Hit, zero)
	svc.loseCache(t)
	a, err = svc.ask(t.Context(), "1")
	want(t, a, err, bench.Miss|bench.FellBack, zero)
	svc.slots <- struct{}{} // all that may fall through at once
	a, err = svc.ask(t.Context(), "1")
	want(t, a, err, bench.Miss|bench.Stale|bench.FellBack, bench.Degraded)
	if a.Value < 0 {
		t.Errorf("the copy is %d µs old", a.Value)
	}
	if a, err := svc.ask(t.Context(), "2"); !errors.Is(err, serve.ErrRefused) {
		t.Errorf("what no rung has is answered with %v, %v; want a refusal", a, err)
	}
	<-svc.slots
	a, err = svc.ask(t.Context(), "1")
	want(t, a, err, bench.Miss|bench.FellBack, zero)
}

func TestUsersSeeDegradedAnswersAsSuch(t *testing.T) {
	svc := build(t, Config{FallThrough: 1, StaleFor: 600 * units.Second, LocalKeys: 10})
	url := targettest.Serve(t, svc.server)
	targettest.Get(t, url+"/item/1")
	svc.loseCacheQuietly(t)
	svc.slots <- struct{}{}
	res := targettest.Get(t, url+"/item/1")
	if res.Status != http.StatusOK || res.Header.Get(serve.HeaderOutcome) != "degraded" || res.Body != items.Body(1) ||
		bench.ParseFlags(res.Header.Get(serve.HeaderFlags)) != bench.Miss|bench.Stale|bench.FellBack {
		t.Errorf("answered %d %q with %v", res.Status, res.Body, res.Header)
	}
}

// loseCacheQuietly loses the cache so that the service still closes its client in order.
func (s *service) loseCacheQuietly(t *testing.T) {
	t.Helper()
	s.breaker = newBreaker(s.server, Config{BreakerFailures: 1, BreakerOpen: 3600 * units.Second})
	if _, err := s.breaker.Execute(func() (string, error) { return "", errors.New("lost") }); err == nil {
		t.Fatal("the breaker swallowed a failure")
	}
}

func TestACopyThatIsTooOldIsNoAnswer(t *testing.T) {
	svc := build(t, Config{FallThrough: 1, StaleFor: 1, LocalKeys: 10})
	if _, err := svc.ask(t.Context(), "1"); err != nil {
		t.Fatal(err)
	}
	svc.loseCache(t)
	svc.slots <- struct{}{}
	if a, err := svc.ask(t.Context(), "1"); !errors.Is(err, serve.ErrRefused) {
		t.Errorf("answered %v, %v; want a refusal", a, err)
	}
}

func TestWithoutABoundEveryReadFallsThrough(t *testing.T) {
	svc := build(t, Config{})
	svc.loseCache(t)
	for range 3 {
		a, err := svc.ask(t.Context(), "1")
		want(t, a, err, bench.Miss|bench.FellBack, zero)
	}
}

func TestAMissingKeyIsFilledAndIsNoFailureToTheBreaker(t *testing.T) {
	svc := build(t, Config{Breaker: true, BreakerFailures: 1, BreakerOpen: 3600 * units.Second})
	if err := svc.redis.Del(t.Context(), items.CacheKey(1)).Err(); err != nil {
		t.Fatal(err)
	}
	a, err := svc.ask(t.Context(), "1")
	want(t, a, err, bench.Miss|bench.Rebuilt, zero)
	if s := svc.breaker.State(); s != gobreaker.StateClosed {
		t.Errorf("the breaker is %s", s)
	}
	a, err = svc.ask(t.Context(), "1")
	want(t, a, err, bench.Hit, zero)
	svc.loseCache(t)
	a, err = svc.ask(t.Context(), "1")
	want(t, a, err, bench.Miss|bench.FellBack, zero)
	if s := svc.breaker.State(); s != gobreaker.StateOpen {
		t.Errorf("after a failure the breaker is %s", s)
	}
}

func TestAUserWhoLeavesIsNoFailureToTheBreaker(t *testing.T) {
	svc := build(t, Config{Breaker: true, BreakerFailures: 1, BreakerOpen: 3600 * units.Second})
	ctx, leave := context.WithCancel(t.Context())
	leave()
	if _, err := svc.ask(ctx, "1"); !errors.Is(err, context.Canceled) {
		t.Errorf("a user who left got %v", err)
	}
	if s := svc.breaker.State(); s != gobreaker.StateClosed {
		t.Errorf("the breaker is %s", s)
	}
}
