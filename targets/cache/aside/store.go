package aside

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"

	"shakedown/bench"
	"shakedown/internal/clock"
	"shakedown/targets/internal/items"
	"shakedown/targets/serve"
)

func (s *service) read(ctx context.Context, key int64) (entry, error) {
	raw, err := s.redis.Get(ctx, items.CacheKey(key)).Bytes()
	if err != nil {
		return entry{}, err
	}
	var e entry
	if err := json.Unmarshal(raw, &e); err != nil {
		return entry{}, fmt.Errorf("item %d in the cache: %w", key, err)
	}
	return e, nil
}

func (s *service) write(ctx context.Context, key int64, e entry, ttl time.Duration) error {
	raw, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if err := s.redis.Set(ctx, items.CacheKey(key), raw, ttl).Err(); err != nil {
		return fmt.Errorf("write item %d to the cache: %w", key, err)
	}
	return nil
}

// unlock deletes the lock only if it is still ours: the pattern of https://redis.io/docs/latest/commands/set/#patterns.
var unlock = redis.NewScript(`if redis.call("get", KEYS[1]) == ARGV[1] then return redis.call("del", KEYS[1]) end return 0`)

// locked lets one reader of all instances rebuild; the others wait for the entry, or for the lock.
func (s *service) locked(ctx context.Context, key int64) (entry, bool, error) {
	lock, token := items.LockKey(key), rand.Text()
	for {
		got, err := s.acquire(ctx, lock, token)
		if err != nil {
			return entry{}, false, err
		}
		if got {
			return s.rebuildLocked(ctx, key, lock, token)
		}
		select {
		case <-time.After(s.config.LockPoll.D()):
		case <-ctx.Done():
			return entry{}, false, ctx.Err()
		}
		if e, err := s.read(ctx, key); !errors.Is(err, redis.Nil) {
			return e, false, err
		}
	}
}

func (s *service) acquire(ctx context.Context, lock, token string) (bool, error) {
	err := s.redis.SetArgs(ctx, lock, token, redis.SetArgs{Mode: "NX", TTL: s.config.LockTTL.D()}).Err()
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	return err == nil, err
}

// release gives the lock up, also for a user who has left. A lock that cannot be given up ends with its time to live.
func (s *service) release(ctx context.Context, lock, token string) {
	_ = unlock.Run(context.WithoutCancel(ctx), s.redis, []string{lock}, token).Err()
}

// rebuildLocked rebuilds under the lock, unless somebody filled the cache between our miss and our lock.
func (s *service) rebuildLocked(ctx context.Context, key int64, lock, token string) (entry, bool, error) {
	defer s.release(ctx, lock, token)
	if e, err := s.read(ctx, key); !errors.Is(err, redis.Nil) {
		return e, false, err
	}
	e, err := s.rebuild(ctx, key)
	return e, true, err
}

// seed makes the table, and loads every key into the cache at the same moment.
func seed(ctx context.Context, env bench.Env, raw json.RawMessage) error {
	config, err := serve.Decode[Config](raw)
	if err != nil {
		return err
	}
	if err := items.SeedTable(ctx, env, config.Keys+1); err != nil {
		return err
	}
	rng := mrand.New(mrand.NewPCG(env.Seed, 0))
	return items.SeedCache(ctx, env, config.Keys+1, func(key int64) (items.Entry, error) {
		ttl, now := jittered(config.ttl(key).D(), config.Jitter, rng), clock.Now()
		value, err := json.Marshal(entry{Body: items.Body(key), ReadAt: now, Expires: now + ttl, Took: config.Rebuild.D()})
		return items.Entry{Value: value, TTL: ttl}, err
	})
}
