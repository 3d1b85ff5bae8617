package keyvalue

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/redis/go-redis/v9"

	"shakedown/bench"
	"shakedown/targets/internal/direct"
)

// seed removes what an earlier trial has written.
func seed(ctx context.Context, env bench.Env, _ json.RawMessage) error {
	return direct.RemoveKeys(ctx, env, prefix)
}

// audit reads all that is stored, and accounts for every acknowledged write.
func audit(ctx context.Context, env bench.Env, _ json.RawMessage, samples []bench.Sample) (bench.Audit, error) {
	stored := map[int64]bench.Stored{}
	err := direct.Redis(env, func(c *redis.Client) error {
		return direct.EachKeys(ctx, c, prefix, func(keys []string) error {
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
