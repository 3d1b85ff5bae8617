package writethrough

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"shakedown/bench"
	"shakedown/targets/internal/direct"
	"shakedown/targets/serve"
)

// prefix is that of all keys in Redis.
const prefix = "shakedown:wt:"

func cacheKey(key int64) string { return prefix + strconv.FormatInt(key, 10) }

// The table's alias tells a fault which statement is a whole transaction.
const (
	upsertAlone  = `insert into shakedown_wt_items as alone (key, value, version) values ($1, $2, 1) on conflict (key) do update set value = excluded.value, version = alone.version + 1 returning version`
	upsertWithin = `insert into shakedown_wt_items as within (key, value, version) values ($1, $2, 1) on conflict (key) do update set value = excluded.value, version = within.version + 1 returning version`
	// upsertAndNote writes the item and the note of the change in one statement, and so in one transaction.
	upsertAndNote = `with change as (` + upsertWithin + `) insert into shakedown_wt_outbox (key, value, version) select $1, $2, version from change`
)

// schema keeps every value that was ever committed, in the order of each key's row lock.
const schema = `
	drop table if exists shakedown_wt_items, shakedown_wt_history, shakedown_wt_outbox;
	create table shakedown_wt_items (key bigint primary key, value bigint not null, version bigint not null);
	create table shakedown_wt_history (id bigserial primary key, key bigint not null, value bigint not null);
	create table shakedown_wt_outbox (id bigserial primary key, key bigint not null, value bigint not null, version bigint not null);
	create or replace function shakedown_wt_remember() returns trigger language plpgsql as $$
		begin insert into shakedown_wt_history (key, value) values (new.key, new.value); return null; end $$;
	create trigger remember after insert or update on shakedown_wt_items for each row execute function shakedown_wt_remember()`

// seed makes the tables anew, removes what an earlier trial has left in Redis, and fills the cache where the variant wants that.
func seed(ctx context.Context, env bench.Env, raw json.RawMessage) error {
	config, err := serve.Decode[Config](raw)
	if err != nil {
		return err
	}
	err = direct.Postgres(ctx, env, func(c *pgx.Conn) error {
		if _, err := c.Exec(ctx, schema); err != nil {
			return err
		}
		_, err := c.Exec(ctx, `insert into shakedown_wt_items select key, key + 1, 1 from generate_series(0, $1::bigint - 1) as key`, config.Keys)
		return err
	})
	if err != nil {
		return fmt.Errorf("seed postgres: %w", err)
	}
	if env.URLs["redis"] == "" {
		return nil
	}
	if err := direct.RemoveKeys(ctx, env, prefix); err != nil || !config.Warm {
		return err
	}
	return direct.Redis(env, func(c *redis.Client) error {
		_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
			for key := range config.Keys {
				p.Set(ctx, cacheKey(key), config.entry(item{value: key + 1, version: 1}), config.TTL.D())
			}
			return nil
		})
		return err
	})
}

// entry is how an item stands in the cache, with what makes it as long as it must be; parseItem reads it.
func (c Config) entry(i item) string {
	text := fmt.Sprintf("%d %d ", i.version, i.value)
	return text + strings.Repeat(".", max(0, c.Bytes-len(text)))
}

func parseItem(text string) (i item, err error) {
	if n, err := fmt.Sscanf(text, "%d %d", &i.version, &i.value); err != nil || n != 2 {
		return item{}, fmt.Errorf("an item in the cache is damaged: %.40q", text)
	}
	return i, nil
}

func (s *service) get(ctx context.Context, key int64) (i item, err error) {
	err = s.cache.Do(ctx, func(ctx context.Context) error {
		text, err := s.redis.Get(ctx, cacheKey(key)).Result()
		if err != nil {
			return err
		}
		i, err = parseItem(text)
		return err
	})
	return i, err
}

func (s *service) set(ctx context.Context, key int64, i item) error {
	return s.cache.Do(ctx, func(ctx context.Context) error {
		return s.redis.Set(ctx, cacheKey(key), s.config.entry(i), s.config.TTL.D()).Err()
	})
}

// setPresent sets an item that the cache has.
func (s *service) setPresent(ctx context.Context, key int64, i item) error {
	return s.cache.Do(ctx, func(ctx context.Context) error {
		return s.redis.SetXX(ctx, cacheKey(key), s.config.entry(i), s.config.TTL.D()).Err()
	})
}

// newer sets an item unless the cache has the same or a newer version of it.
var newer = redis.NewScript(`
	local now = redis.call("get", KEYS[1])
	if now and tonumber(string.match(now, "^%d+")) >= tonumber(ARGV[1]) then return 0 end
	if tonumber(ARGV[3]) > 0 then redis.call("set", KEYS[1], ARGV[2], "px", ARGV[3]) else redis.call("set", KEYS[1], ARGV[2]) end
	return 1`)

func (s *service) setNewer(ctx context.Context, key int64, i item) error {
	return s.cache.Do(ctx, func(ctx context.Context) error {
		return newer.Run(ctx, s.redis, []string{cacheKey(key)}, i.version, s.config.entry(i), s.config.TTL.D().Milliseconds()).Err()
	})
}

// setAllNewer does the same for many, in two round trips.
func (s *service) setAllNewer(ctx context.Context, items map[int64]item) error {
	if len(items) == 0 {
		return nil
	}
	return s.cache.Do(ctx, func(ctx context.Context) error {
		if err := newer.Load(ctx, s.redis).Err(); err != nil { // a pipeline cannot fall back from EVALSHA to EVAL
			return err
		}
		_, err := s.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
			for key, i := range items {
				newer.EvalSha(ctx, p, []string{cacheKey(key)}, i.version, s.config.entry(i), s.config.TTL.D().Milliseconds())
			}
			return nil
		})
		return err
	})
}
