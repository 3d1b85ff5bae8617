package degradation

import (
	"context"
	"encoding/json"

	"shakedown/bench"
	"shakedown/targets/internal/items"
	"shakedown/targets/serve"
)

// seed makes the table, and a warm cache: every item is in it.
func seed(ctx context.Context, env bench.Env, raw json.RawMessage) error {
	config, err := serve.Decode[Config](raw)
	if err != nil {
		return err
	}
	if err := items.SeedTable(ctx, env, config.Keys); err != nil {
		return err
	}
	return items.SeedCache(ctx, env, config.Keys, func(key int64) (items.Entry, error) {
		return items.Entry{Value: items.Body(key), TTL: config.TTL.D()}, nil
	})
}
