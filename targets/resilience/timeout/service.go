package timeout

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/redis/go-redis/v9"

	"shakedown/bench"
	"shakedown/targets/internal/items"
	"shakedown/targets/serve"
)

type service struct {
	redis  *redis.Client
	remote *serve.Dependency
}

// never is longer than any trial. go-redis would take 0 for five seconds of dialling, and for half a minute of waiting for its pool.
const never = 24 * time.Hour

func newService(_ context.Context, env bench.Env, raw json.RawMessage) (bench.Service, error) {
	config, err := serve.Decode[Config](raw)
	if err != nil {
		return nil, err
	}
	s := serve.New(env)
	svc := &service{remote: s.Dependency("redis")}
	if svc.redis, err = s.Redis(config.redisOptions()); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.Handle("item", "GET /item/{key}", svc.item)
	return s, nil
}

// redisOptions bound every step of a call, or none. The pool is large enough never to be what a request waits for.
func (c Config) redisOptions() serve.RedisOptions {
	o := serve.RedisOptions{PoolSize: 4096, UserTimeout: c.UserTimeout.D()}
	if c.Timeout == 0 {
		o.DialTimeout, o.PoolTimeout, o.ReadTimeout, o.WriteTimeout = never, never, -1, -1 // −1 waits for ever
	} else {
		t := c.Timeout.D()
		o.DialTimeout, o.PoolTimeout, o.ReadTimeout, o.WriteTimeout = t, t, t, t
	}
	return o
}

// item reads one item.
func (s *service) item(ctx context.Context, r *http.Request) (serve.Answer, error) {
	key, err := serve.Key(r)
	if err != nil {
		return serve.Answer{}, err
	}
	var body string
	err = s.remote.Do(ctx, func(ctx context.Context) (err error) {
		body, err = s.redis.Get(ctx, items.CacheKey(key)).Result()
		return err
	})
	return serve.Answer{Body: body}, err
}

func seed(ctx context.Context, env bench.Env, raw json.RawMessage) error {
	config, err := serve.Decode[Config](raw)
	if err != nil {
		return err
	}
	return items.SeedCache(ctx, env, config.Keys, func(key int64) (items.Entry, error) {
		return items.Entry{Value: items.Body(key)}, nil
	})
}
