package writebehind

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
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
	flusher  *flusher // nil without a queue
	ids      atomic.Int64

	transactions prometheus.Counter
	rows         *prometheus.CounterVec
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
	svc := &service{config: config, server: s, database: s.Dependency("postgres"), cache: s.Dependency("redis")}
	// No other process of the trial, and none before it, has these ids: the clock of the machine has gone on.
	svc.ids.Store(int64(clock.Now()))
	if svc.pool, err = s.Postgres(ctx, serve.PoolOptions{Max: config.Pool, Min: config.Pool}); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	// Without retries: a write is sent once, and what becomes of it is told. Variants without a use for Redis have a client too, so that
	// all start under the same conditions.
	svc.redis, err = s.Redis(serve.RedisOptions{PoolSize: 64, ReadTimeout: 2 * time.Second, WriteTimeout: 2 * time.Second})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if q := svc.newQueue(); q != nil {
		svc.flusher = newFlusher(svc, q)
		s.Go("flusher", svc.flusher.run)
		s.OnStop("flusher", svc.stop)
	}
	svc.countWrites()
	s.Handle("order", "PUT /order/{key}", svc.order)
	s.Handle("count", "POST /count/{key}", svc.count)
	s.Handle("read", "GET /count/{key}", svc.read)
	s.Handle("status", "PUT /status/{key}", svc.status)
	return svc, nil
}

// countWrites makes the counters of what the database was asked to write.
func (s *service) countWrites() {
	s.transactions = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "shakedown_write_transactions_total", Help: "Transactions that wrote something and were committed.",
	})
	s.rows = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "shakedown_written_rows_total", Help: "Rows that they wrote."}, []string{"kind"})
	s.server.Registry().MustRegister(s.transactions, s.rows)
}

// written counts a committed transaction.
func (s *service) written(rows map[kind]int) {
	for _, k := range []kind{order, count, status} {
		s.rows.WithLabelValues(k.String()).Add(float64(rows[k]))
	}
	s.transactions.Inc()
}

func (s *service) newQueue() queue {
	switch s.config.Queue {
	case queueMemory:
		return &memoryQueue{}
	case queuePop, queueList:
		return &listQueue{redis: s.redis, pop: s.config.Queue == queuePop}
	case queueStream:
		return &streamQueue{redis: s.redis, consumer: s.server.Env().Name(), counters: s.config.Read == readCache, taken: map[int64]bool{}}
	case queueDirty:
		return &dirtyQueue{redis: s.redis, bytes: s.config.Bytes, ttl: s.config.CleanTTL, load: s.counter}
	}
	return nil
}

// stop writes what is in the memory of a process that ends in order. What is in Redis waits there for the next one.
func (s *service) stop(ctx context.Context) error {
	if s.config.Queue == queueMemory {
		s.flusher.drain(ctx)
	}
	return nil
}

// order writes an order of its own, and acknowledges with its amount.
func (s *service) order(ctx context.Context, r *http.Request) (serve.Answer, error) {
	return s.acknowledge(ctx, r, order, s.config.amount)
}

// count adds one to a counter.
func (s *service) count(ctx context.Context, r *http.Request) (serve.Answer, error) {
	a, err := s.acknowledge(ctx, r, count, func(int64) int64 { return 1 })
	a.Value = 0
	return a, err
}

func (s *service) acknowledge(ctx context.Context, r *http.Request, k kind, value func(key int64) int64) (serve.Answer, error) {
	key, err := serve.Key(r)
	if err != nil {
		return serve.Answer{}, err
	}
	e := event{kind: k, key: key, value: value(key)}
	if s.flusher != nil {
		_, err := s.put(ctx, e)
		return serve.Answer{Value: e.value}, err
	}
	err = s.database.Do(ctx, func(ctx context.Context) error {
		_, err := s.pool.Exec(ctx, write[k], e.key, e.value)
		return serve.PostgresDoubt(err)
	})
	if err == nil {
		s.written(map[kind]int{k: 1})
		err = s.refresh(ctx, e)
	}
	return serve.Answer{Value: e.value}, err
}

// refresh takes an increment that the database has to the cache, when counters are read from there.
func (s *service) refresh(ctx context.Context, e event) error {
	if e.kind != count || s.config.Read != readCache {
		return nil
	}
	return s.cache.Do(ctx, func(ctx context.Context) error {
		if err := s.redis.IncrBy(ctx, cacheKey(count, e.key), e.value).Err(); err != nil {
			return fmt.Errorf("%w: the database has it, the cache does not: %w", serve.ErrUnsure, err)
		}
		return nil
	})
}

// put leaves an event to the flusher.
func (s *service) put(ctx context.Context, e event) (event, error) {
	e.id = s.ids.Add(1)
	if e.kind == status {
		e.value = e.id
	}
	if s.config.Queue == queueMemory {
		e, err := s.flusher.queue.put(ctx, e)
		s.flusher.backlog.Add(1)
		return e, err
	}
	err := s.cache.Do(ctx, func(ctx context.Context) (err error) {
		if e, err = s.flusher.queue.put(ctx, e); errors.Is(err, errNotWritten) {
			return err
		}
		return serve.RedisDoubt(err)
	})
	if err == nil {
		s.flusher.backlog.Add(1)
	}
	return e, err
}

// status overwrites what a key has, and acknowledges with the version.
func (s *service) status(ctx context.Context, r *http.Request) (serve.Answer, error) {
	key, err := serve.Key(r)
	if err != nil {
		return serve.Answer{}, err
	}
	if s.flusher != nil {
		e, err := s.put(ctx, event{kind: status, key: key})
		return serve.Answer{Value: e.id}, err
	}
	var version int64
	err = s.database.Do(ctx, func(ctx context.Context) error {
		return serve.PostgresDoubt(s.pool.QueryRow(ctx, overwrite, key).Scan(&version))
	})
	return serve.Answer{Value: version}, err
}

// read reads a counter from where the variant says, and answers with it.
func (s *service) read(ctx context.Context, r *http.Request) (serve.Answer, error) {
	key, err := serve.Key(r)
	if err != nil {
		return serve.Answer{}, err
	}
	if s.config.Read == readDatabase {
		n, err := s.counter(ctx, key)
		return serve.Answer{Value: n}, err
	}
	var n int64
	err = s.cache.Do(ctx, func(ctx context.Context) (err error) {
		n, err = s.redis.Get(ctx, cacheKey(count, key)).Int64()
		return err
	})
	if errors.Is(err, redis.Nil) {
		n, err = s.counter(ctx, key)
	}
	return serve.Answer{Value: n}, err
}

// counter is what the database has of a counter; 0 when it has none.
func (s *service) counter(ctx context.Context, key int64) (n int64, err error) {
	err = s.database.Do(ctx, func(ctx context.Context) error {
		return s.pool.QueryRow(ctx, `select n from shakedown_wb_counters where key = $1`, key).Scan(&n)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return n, err
}
