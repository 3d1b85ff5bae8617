package degradation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/sony/gobreaker/v2"

	"shakedown/bench"
	"shakedown/targets/internal/items"
	"shakedown/targets/serve"
)

type service struct {
	config  Config
	server  *serve.Server
	redis   *redis.Client
	pool    *serve.Pool
	cache   *serve.Cache
	remote  *serve.Dependency // the cache
	db      *serve.Dependency
	breaker *gobreaker.CircuitBreaker[string]
	slots   chan struct{} // for falling through; nil: unbounded
	local   *local        // nil: no local copy
}

func newService(ctx context.Context, env bench.Env, raw json.RawMessage) (bench.Service, error) {
	svc, err := open(ctx, env, raw)
	if err != nil {
		return nil, err
	}
	return svc.server, nil
}

func open(ctx context.Context, env bench.Env, raw json.RawMessage) (*service, error) {
	config, err := serve.Decode[Config](raw)
	if err != nil {
		return nil, err
	}
	s := serve.New(env)
	svc := &service{config: config, server: s, cache: s.Cache("items"), remote: s.Dependency("redis"), db: s.Dependency("postgres")}
	if svc.pool, err = s.Postgres(ctx, serve.PoolOptions{Max: config.Pool, Min: config.Pool}); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if svc.redis, err = s.Redis(config.redisOptions()); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if config.FallThrough > 0 {
		svc.slots = make(chan struct{}, config.FallThrough)
	}
	if config.StaleFor > 0 {
		svc.local = newLocal(config.LocalKeys, config.StaleFor.D())
	}
	if config.Breaker {
		svc.breaker = newBreaker(s, config)
	}
	s.Handle("item", "GET /item/{key}", svc.item)
	s.Handle("account", "GET /account/{key}", svc.account)
	return svc, nil
}

// redisOptions bound every step of a call by the cache's timeout; a timeout of 0 waits for an answer for ever, which go-redis
// writes as −1. The client's own pool is large enough never to be what a request waits for, nor to have as many failed dials as
// it has slots: go-redis then refuses to dial for a second. (A dead server behind the proxy fails no dial: the proxy accepts.)
func (c Config) redisOptions() serve.RedisOptions {
	timeout := c.CacheTimeout.D()
	if timeout == 0 {
		timeout = -1
	}
	return serve.RedisOptions{PoolSize: 4096, DialTimeout: c.CacheTimeout.D(), ReadTimeout: timeout, WriteTimeout: timeout}
}

func newBreaker(s *serve.Server, config Config) *gobreaker.CircuitBreaker[string] {
	state := s.Breaker("redis")
	return gobreaker.NewCircuitBreaker[string](gobreaker.Settings{
		Name:        "redis",
		Timeout:     config.BreakerOpen.D(),
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= config.BreakerFailures },
		// A key that is not in the cache is an answer, not a failure.
		IsSuccessful: func(err error) bool { return err == nil || errors.Is(err, redis.Nil) },
		// A user who leaves says nothing about the cache.
		IsExcluded:    func(err error) bool { return errors.Is(err, context.Canceled) },
		OnStateChange: func(_ string, _, to gobreaker.State) { state.Set(serve.BreakerState(to.String())) },
	})
}

// item answers from the cache; when that fails from the database, as far as the fall-through allows; then from the local copy.
func (s *service) item(ctx context.Context, r *http.Request) (serve.Answer, error) {
	key, err := serve.Key(r)
	if err != nil {
		return serve.Answer{}, err
	}
	body, err := s.cached(ctx, key)
	if err == nil {
		s.cache.Hit()
		s.keep(key, body)
		return serve.Answer{Body: body, Flags: bench.Hit}, nil
	}
	s.cache.Miss()
	missing := errors.Is(err, redis.Nil)
	if body, err = s.fallThrough(ctx, key); err == nil {
		s.keep(key, body)
		if missing {
			s.fill(ctx, key, body)
			return serve.Answer{Body: body, Flags: bench.Miss | bench.Rebuilt}, nil
		}
		return serve.Answer{Body: body, Flags: bench.Miss | bench.FellBack}, nil
	}
	if s.local != nil {
		if body, age, ok := s.local.get(key); ok {
			return serve.Answer{
				Body: body, Outcome: bench.Degraded, Flags: bench.Miss | bench.Stale | bench.FellBack, Value: age.Microseconds(),
			}, nil
		}
	}
	return serve.Answer{}, err
}

func (s *service) keep(key int64, body string) {
	if s.local != nil {
		s.local.put(key, body)
	}
}

func (s *service) cached(ctx context.Context, key int64) (string, error) {
	get := func() (body string, err error) {
		err = s.remote.Do(ctx, func(ctx context.Context) error {
			body, err = s.redis.Get(ctx, items.CacheKey(key)).Result()
			return err
		})
		return body, err
	}
	if s.breaker == nil {
		return get()
	}
	return s.breaker.Execute(get)
}

// fill puts a value back into the cache; a cache that does not take it is no reason to fail the request.
func (s *service) fill(ctx context.Context, key int64, body string) {
	_ = s.remote.Do(ctx, func(ctx context.Context) error {
		return s.redis.Set(ctx, items.CacheKey(key), body, s.config.TTL.D()).Err()
	})
}

func (s *service) fallThrough(ctx context.Context, key int64) (string, error) {
	if s.slots != nil {
		select {
		case s.slots <- struct{}{}:
			defer func() { <-s.slots }()
		default:
			return "", fmt.Errorf("%w: %d reads are falling through already", serve.ErrRefused, cap(s.slots))
		}
	}
	return s.query(ctx, key, s.config.ItemCost.D())
}

// account is the endpoint that never used the cache.
func (s *service) account(ctx context.Context, r *http.Request) (serve.Answer, error) {
	key, err := serve.Key(r)
	if err != nil {
		return serve.Answer{}, err
	}
	body, err := s.query(ctx, key, s.config.OtherCost.D())
	return serve.Answer{Body: body}, err
}

func (s *service) query(ctx context.Context, key int64, cost time.Duration) (body string, err error) {
	err = s.db.Do(ctx, func(ctx context.Context) error {
		return s.pool.QueryRow(ctx, items.Read, key, cost.Seconds()).Scan(&body)
	})
	return body, err
}
