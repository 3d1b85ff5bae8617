package keyvalue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"shakedown/bench"
	"shakedown/targets/internal/crash"
	"shakedown/targets/serve"
)

type service struct {
	config Config
	server *serve.Server
	redis  *redis.Client
	dep    *serve.Dependency
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
	s := serve.New(env)
	svc := &service{config: config, server: s, dep: s.Dependency("redis")}
	// Without retries: a write is sent once, and what becomes of it is told.
	if svc.redis, err = s.Redis(serve.RedisOptions{PoolSize: 256, ReadTimeout: 2 * time.Second, WriteTimeout: 2 * time.Second}); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.Handle("write", "PUT /write/{key}", svc.write)
	return svc, nil
}

// write stores the value of a key, which no other request writes, and acknowledges with it.
func (s *service) write(ctx context.Context, r *http.Request) (serve.Answer, error) {
	key, err := serve.Key(r)
	if err != nil {
		return serve.Answer{}, err
	}
	value := crash.ValueOf(key)
	err = s.dep.Do(ctx, func(ctx context.Context) error {
		return serve.RedisDoubt(s.redis.Set(ctx, redisKey(key), s.config.pad(value), 0).Err())
	})
	return serve.Answer{Value: value}, err
}

const prefix = "shakedown:kv:"

func redisKey(key int64) string { return prefix + strconv.FormatInt(key, 10) }

// pad writes a value with as many bytes as the configuration asks for.
func (c Config) pad(value int64) string {
	text := strconv.FormatInt(value, 10)
	return text + strings.Repeat(" ", c.Bytes-len(text))
}

// parse reads what redisKey and pad have written.
func parse(key, text string) (k, v int64, err error) {
	if k, err = strconv.ParseInt(strings.TrimPrefix(key, prefix), 10, 64); err != nil {
		return 0, 0, fmt.Errorf("key %q is none of ours", key)
	}
	if v, err = strconv.ParseInt(strings.TrimSpace(text), 10, 64); err != nil {
		return 0, 0, fmt.Errorf("the value of %s is damaged: %.40q", key, text)
	}
	return k, v, nil
}
