// Package direct lends seeds and audits connections that lead straight to a trial's engines, past the proxy and its faults.
// It is called by patterns, and knows nothing of what they store.
package direct

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"shakedown/bench"
)

// Postgres lends a connection to the trial's PostgreSQL, and closes it.
func Postgres(ctx context.Context, env bench.Env, use func(*pgx.Conn) error) error {
	url, err := env.URL("postgres")
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	return use(conn)
}

// Redis lends a client of the trial's Redis, and closes it.
func Redis(env bench.Env, use func(*redis.Client) error) error {
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

// scanned is how many keys one step of a scan looks at.
const scanned = 1000

// EachKeys calls do with the keys that begin with the prefix, some at a time.
func EachKeys(ctx context.Context, c *redis.Client, prefix string, do func(keys []string) error) error {
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

// RemoveKeys removes all keys that begin with the prefix: what an earlier trial has written.
func RemoveKeys(ctx context.Context, env bench.Env, prefix string) error {
	err := Redis(env, func(c *redis.Client) error {
		return EachKeys(ctx, c, prefix, func(keys []string) error { return c.Unlink(ctx, keys...).Err() })
	})
	if err != nil {
		return fmt.Errorf("seed redis: %w", err)
	}
	return nil
}
