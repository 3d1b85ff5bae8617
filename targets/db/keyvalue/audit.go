package keyvalue

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/redis/go-redis/v9"

	"shakedown/bench"
)

// scanned is how many keys one step of a scan looks at.
const scanned = 1000

// withRedis lends a client that goes straight to the trial's Redis.
func withRedis(env bench.Env, use func(*redis.Client) error) error {
	url, err := env.URL("redis")
	if err != nil {
		return err
	}
	options, err := redis.ParseURL(url)
	if err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	client := redis.NewClient(options)
	defer func() { _ = client.Close() }()
	return use(client)
}

// each calls do with the keys of the pattern, some at a time.
func each(ctx context.Context, c *redis.Client, do func(keys []string) error) error {
	for cursor := uint64(0); ; {
		keys, next, err := c.Scan(ctx, cursor, prefix+"*", scanned).Result()
		if err == nil && len(keys) > 0 {
			err = do(keys)
		}
		if err != nil || next == 0 {
			return err
		}
		cursor = next
	}
}

// seed removes what an earlier trial has written.
func seed(ctx context.Context, env bench.Env, _ json.RawMessage) error {
	return withRedis(env, func(c *redis.Client) error {
		if err := each(ctx, c, func(keys []string) error { return c.Unlink(ctx, keys...).Err() }); err != nil {
			return fmt.Errorf("seed redis: %w", err)
		}
		return nil
	})
}

// audit reads all that is stored, and accounts for every acknowledged write.
func audit(ctx context.Context, env bench.Env, _ json.RawMessage, samples []bench.Sample) (bench.Audit, error) {
	stored := map[int64]bench.Stored{}
	err := withRedis(env, func(c *redis.Client) error {
		return each(ctx, c, func(keys []string) error {
			values, err := c.MGet(ctx, keys...).Result()
			if err != nil {
				return err
			}
			for i, key := range keys {
				text, _ := values[i].(string) // nothing when it has gone since
				k, v, err := parse(key, text)
				if err != nil {
					return err
				}
				stored[k] = bench.Stored{Value: v}
			}
			return nil
		})
	})
	if err != nil {
		return bench.Audit{}, fmt.Errorf("reading redis: %w", err)
	}
	return bench.AccountForWrites(samples, 0, stored), nil
}
