package retry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"

	"github.com/sony/gobreaker/v2"

	"shakedown/bench"
	"shakedown/internal/clock"
	"shakedown/targets/serve"
)

// errTurnedAway is the dependency's 503: it did no work. What is left of the request then was refused, and did not fail.
var errTurnedAway = fmt.Errorf("%w by the dependency", serve.ErrRefused)

type service struct {
	config  Config
	server  *serve.Server
	url     string
	client  *http.Client
	dep     *serve.Dependency
	budget  *budget
	breaker *gobreaker.CircuitBreaker[struct{}]
	rng     *rand.Rand
}

func newService(_ context.Context, env bench.Env, raw json.RawMessage) (bench.Service, error) {
	svc, err := open(env, raw)
	if err != nil {
		return nil, err
	}
	return svc.server, nil
}

func open(env bench.Env, raw json.RawMessage) (*service, error) {
	config, err := serve.Decode[Config](raw)
	if err != nil {
		return nil, err
	}
	url, err := env.URL("backend")
	if err != nil {
		return nil, err
	}
	s := serve.New(env)
	svc := &service{
		config: config,
		server: s,
		url:    url,
		client: newClient(s),
		dep:    s.Dependency("backend"),
		budget: newBudget(config.BudgetRatio, config.BudgetBurst),
		rng:    s.Rand("backoff"),
	}
	if config.Policy == "breaker" {
		state := s.Breaker("backend")
		svc.breaker = gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
			Name:        "backend",
			Timeout:     config.BreakerOpen.D(),
			ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= config.BreakerFailures },
			// A user who leaves says nothing about the dependency.
			IsExcluded:    func(err error) bool { return errors.Is(err, context.Canceled) },
			OnStateChange: func(_ string, _, to gobreaker.State) { state.Set(serve.BreakerState(to.String())) },
		})
	}
	s.Ready("backend", serve.AnswersReady(url))
	s.Handle("order", "GET /order/{key}", svc.order)
	return svc, nil
}

// newClient keeps every connection it has made: the cost of connecting again after a time-out is part of the experiment,
// that of a small idle pool is not.
func newClient(s *serve.Server) *http.Client {
	transport := &http.Transport{MaxIdleConnsPerHost: 1024, DisableCompression: true}
	s.OnStop("http client", func(context.Context) error {
		transport.CloseIdleConnections()
		return nil
	})
	return &http.Client{Transport: transport}
}

func (s *service) order(ctx context.Context, r *http.Request) (serve.Answer, error) {
	key, err := serve.Key(r)
	if err != nil {
		return serve.Answer{}, err
	}
	s.budget.earn()
	for n := range s.config.Attempts {
		if n > 0 {
			if s.config.Policy == "budget" && !s.budget.spend() {
				break
			}
			if err := clock.Sleep(ctx, s.config.wait(n-1, s.rng)); err != nil {
				return serve.Answer{}, err
			}
		}
		if err = s.attempt(ctx, key); err == nil {
			return serve.Answer{Flags: retried(n)}, nil
		}
		if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
			return serve.Answer{}, fmt.Errorf("%w: %w", serve.ErrRefused, err)
		}
	}
	return serve.Answer{}, err
}

func retried(n int) bench.Flags {
	if n > 0 {
		return bench.Retried
	}
	return 0
}

func (s *service) attempt(ctx context.Context, key int64) error {
	if s.breaker == nil {
		return s.call(ctx, key)
	}
	_, err := s.breaker.Execute(func() (struct{}, error) { return struct{}{}, s.call(ctx, key) })
	return err
}

func (s *service) call(ctx context.Context, key int64) error {
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout.D())
	defer cancel()
	return s.dep.Do(ctx, func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/work/%d", s.url, key), nil)
		if err != nil {
			return err
		}
		resp, err := s.client.Do(req)
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return err
		}
		switch resp.StatusCode {
		case http.StatusOK:
			return nil
		case http.StatusServiceUnavailable:
			return errTurnedAway
		default:
			return fmt.Errorf("the dependency answered %s", resp.Status)
		}
	})
}
