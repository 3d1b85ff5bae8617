// Package items is the data that the caching patterns read: a table of items in PostgreSQL, and their keys in Redis.
// It is called by the patterns' seeds and services, and knows nothing of what they try out.
package items

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"shakedown/bench"
)

// Read is the query that reads the body of item $1 and takes $2 seconds. The sleep stands for a query that reads much, so
// that connections, and not processors, are what runs out.
const Read = `select body from shakedown_items, pg_sleep($2) where id = $1`

// CacheKey is where the cache keeps an item.
func CacheKey(key int64) string { return "shakedown:item:" + strconv.FormatInt(key, 10) }

// Body is what the table holds for an item.
func Body(key int64) string { return "item " + strconv.FormatInt(key, 10) }

// SeedTable makes the table of items 0…n−1 anew.
func SeedTable(ctx context.Context, env bench.Env, n int64) error {
	url, err := env.URL("postgres")
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("seed postgres: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	_, err = conn.Exec(ctx, fmt.Sprintf(`
		drop table if exists shakedown_items;
		create table shakedown_items (id bigint primary key, body text not null);
		insert into shakedown_items select id, 'item ' || id from generate_series(0, %d) as id;
		analyze shakedown_items`, n-1))
	if err != nil {
		return fmt.Errorf("seed postgres: %w", err)
	}
	return nil
}

// An Entry is what the cache holds for one item, and for how long.
type Entry struct {
	Value any // as go-redis takes it
	TTL   time.Duration
}

// SeedCache puts items 0…n−1 into the cache in one go, and removes the locks that an earlier trial may have left on them.
func SeedCache(ctx context.Context, env bench.Env, n int64, entry func(key int64) (Entry, error)) error {
	url, err := env.URL("redis")
	if err != nil {
		return err
	}
	opts, err := redis.ParseURL(url)
	if err != nil {
		return fmt.Errorf("seed redis: %w", err)
	}
	client := redis.NewClient(opts)
	defer func() { _ = client.Close() }()
	pipe := client.Pipeline()
	for key := range n {
		e, err := entry(key)
		if err != nil {
			return fmt.Errorf("seed redis: item %d: %w", key, err)
		}
		pipe.Set(ctx, CacheKey(key), e.Value, e.TTL)
		pipe.Del(ctx, LockKey(key))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("seed redis: %w", err)
	}
	return nil
}

// LockKey is where the lock on an item's rebuild is kept.
func LockKey(key int64) string { return CacheKey(key) + ":lock" }
