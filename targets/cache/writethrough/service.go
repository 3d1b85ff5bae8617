package writethrough

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"shakedown/bench"
	"shakedown/internal/clock"
	"shakedown/targets/serve"
)

type service struct {
	config   Config
	server   *serve.Server
	pool     *serve.Pool
	database *serve.Dependency
	redis    *redis.Client
	cache    *serve.Dependency
	counts   *serve.Cache
	values   atomic.Int64
}

// An item is what is stored under a key.
type item struct {
	value   int64 // no two writes of a trial have the same
	version int64 // how often the database has written the key; 0 where the writer does not know
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
	svc := &service{
		config: config, server: s, database: s.Dependency("postgres"), cache: s.Dependency("redis"), counts: s.Cache("items"),
	}
	svc.values.Store(int64(clock.Now())) // the clock has gone on since the process before this one
	if svc.pool, err = s.Postgres(ctx, serve.PoolOptions{Max: config.Pool, Min: config.Pool}); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	// The variant without a cache has a client too, so that all start under the same conditions.
	svc.redis, err = s.Redis(serve.RedisOptions{PoolSize: 64, ReadTimeout: 2 * time.Second, WriteTimeout: 2 * time.Second})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if config.Order == outbox {
		s.Go("relay", svc.relay)
	}
	s.Handle("write", "PUT /item/{key}", svc.write)
	s.Handle("read", "GET /item/{key}", svc.read)
	return svc, nil
}

// instanceBits tells the values of instances apart.
const instanceBits = 4

func (s *service) nextValue() int64 {
	return s.values.Add(1)<<instanceBits | int64(s.server.Env().Instance)&(1<<instanceBits-1)
}

// write gives the item a new value, and acknowledges with it.
func (s *service) write(ctx context.Context, r *http.Request) (serve.Answer, error) {
	key, err := serve.Key(r)
	if err != nil {
		return serve.Answer{}, err
	}
	i := item{value: s.nextValue()}
	return serve.Answer{Value: i.value}, s.store(ctx, key, i)
}

// store writes to the database and the cache in the variant's order.
func (s *service) store(ctx context.Context, key int64, i item) (err error) {
	switch s.config.Order {
	case cacheFirst:
		if err := s.set(ctx, key, i); err != nil {
			return serve.RedisDoubt(err)
		}
		_, err := s.upsert(ctx, key, i)
		return err
	case inTransaction:
		return s.transaction(ctx, func(ctx context.Context, tx pgx.Tx) error {
			if err := tx.QueryRow(ctx, upsertWithin, key, i.value).Scan(&i.version); err != nil {
				return err
			}
			return s.set(ctx, key, i)
		})
	case outbox:
		return s.database.Do(ctx, func(ctx context.Context) error {
			_, err := s.pool.Exec(ctx, upsertAndNote, key, i.value)
			return serve.PostgresDoubt(err)
		})
	}
	if i, err = s.upsert(ctx, key, i); err != nil {
		return err
	}
	switch s.config.Order {
	case aside:
		err = s.cache.Do(ctx, func(ctx context.Context) error { return s.redis.Del(ctx, cacheKey(key)).Err() })
	case databaseFirst:
		err = s.set(ctx, key, i)
	case present:
		err = s.setPresent(ctx, key, i)
	case versioned:
		err = s.setNewer(ctx, key, i)
	}
	if err != nil {
		return fmt.Errorf("%w: the database has it, the cache does not: %w", serve.ErrUnsure, err)
	}
	return nil
}

// upsert writes the item to the database in a transaction of its own.
func (s *service) upsert(ctx context.Context, key int64, i item) (item, error) {
	err := s.database.Do(ctx, func(ctx context.Context) error {
		return serve.PostgresDoubt(s.pool.QueryRow(ctx, upsertAlone, key, i.value).Scan(&i.version))
	})
	return i, err
}

func (s *service) transaction(ctx context.Context, do func(context.Context, pgx.Tx) error) error {
	return s.database.Do(ctx, func(ctx context.Context) error {
		return serve.PostgresDoubt(pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return do(ctx, tx) }))
	})
}

// read reads the item from the cache, if there is one, and answers with its value.
func (s *service) read(ctx context.Context, r *http.Request) (serve.Answer, error) {
	key, err := serve.Key(r)
	if err != nil {
		return serve.Answer{}, err
	}
	if !s.config.cached() {
		i, err := s.load(ctx, key)
		return serve.Answer{Value: i.value}, err
	}
	i, err := s.get(ctx, key)
	if err == nil {
		s.counts.Hit()
		return serve.Answer{Value: i.value, Flags: bench.Hit}, nil
	}
	if !errors.Is(err, redis.Nil) {
		return serve.Answer{}, fmt.Errorf("read the cache: %w", err)
	}
	s.counts.Miss()
	if i, err = s.load(ctx, key); err != nil {
		return serve.Answer{Flags: bench.Miss}, err
	}
	fill := s.set
	if s.config.Order == versioned || s.config.Order == outbox {
		fill = s.setNewer
	}
	return serve.Answer{Value: i.value, Flags: bench.Miss}, fill(ctx, key, i)
}

// load reads the item from the database.
func (s *service) load(ctx context.Context, key int64) (i item, err error) {
	err = s.database.Do(ctx, func(ctx context.Context) error {
		return s.pool.QueryRow(ctx, `select value, version from shakedown_wt_items where key = $1`, key).Scan(&i.value, &i.version)
	})
	return i, err
}

// relay takes changes from the outbox to the cache: at least once, and in any order that versions forgive. What it cannot take now it
// takes the next time.
func (s *service) relay(ctx context.Context) error {
	tick := time.NewTicker(s.config.Relay.D())
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			_ = s.relayOnce(ctx)
		}
	}
}

// relayOnce empties the outbox of what no other relay has.
func (s *service) relayOnce(ctx context.Context) error {
	return s.transaction(ctx, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `delete from shakedown_wt_outbox where id in
			(select id from shakedown_wt_outbox order by id limit 100 for update skip locked) returning key, value, version`)
		if err != nil {
			return err
		}
		changes := map[int64]item{}
		var key int64
		var i item
		if _, err := pgx.ForEachRow(rows, []any{&key, &i.value, &i.version}, func() error {
			if i.version > changes[key].version {
				changes[key] = i
			}
			return nil
		}); err != nil {
			return err
		}
		return s.setAllNewer(ctx, changes)
	})
}
