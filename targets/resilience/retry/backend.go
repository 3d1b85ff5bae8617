package retry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/jackc/pgx/v5"

	"shakedown/bench"
	"shakedown/targets/serve"
)

const items = 1000

// seed makes the table that the dependency reads.
func seed(ctx context.Context, env bench.Env, _ json.RawMessage) error {
	url, err := env.URL("postgres")
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	_, err = conn.Exec(ctx, fmt.Sprintf(`
		drop table if exists shakedown_work;
		create table shakedown_work (id bigint primary key, body text not null);
		insert into shakedown_work select id, 'work ' || id from generate_series(0, %d) as id`, items-1))
	return err
}

// backend is the dependency: a queue before a fixed number of workers, each of which holds one database connection.
// A worker finishes what it took up, and takes up what is next in the queue, whether or not the caller still waits:
// the caller's departure is not seen in the queue, which is what lets useless work displace useful work.
type backend struct {
	jobs chan *job
	call func(ctx context.Context, key int64) error // what a worker does for one job
}

type job struct {
	key  int64
	done chan error
}

func newBackend(ctx context.Context, env bench.Env, raw json.RawMessage) (bench.Service, error) {
	config, err := serve.Decode[BackendConfig](raw)
	if err != nil {
		return nil, err
	}
	s := serve.New(env)
	pool, err := s.Postgres(ctx, serve.PoolOptions{Max: config.Slots, Min: config.Slots, AfterConnect: prepare})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	b := &backend{jobs: make(chan *job, config.Queue), call: query(pool, s.Dependency("postgres"))}
	for n := range config.Slots {
		s.Go(fmt.Sprintf("worker %d", n), b.work)
	}
	s.Handle("work", "GET /work/{key}", b.handle)
	return s, nil
}

func (b *backend) handle(ctx context.Context, r *http.Request) (serve.Answer, error) {
	key, err := serve.Key(r)
	if err != nil {
		return serve.Answer{}, err
	}
	j := &job{key: key, done: make(chan error, 1)}
	select {
	case b.jobs <- j:
	default:
		return serve.Answer{}, fmt.Errorf("%w: the queue is full", serve.ErrRefused)
	}
	select {
	case err := <-j.done:
		return serve.Answer{}, err
	case <-ctx.Done():
		return serve.Answer{}, ctx.Err()
	}
}

func (b *backend) work(ctx context.Context) error {
	for {
		select {
		case j := <-b.jobs:
			j.done <- b.call(ctx, j.key)
		case <-ctx.Done():
			return nil
		}
	}
}

// statement is the query of a call, by its prepared name.
const statement = "work"

// prepare readies a connection before the first call: preparing on the first use would halve the capacity of a cold start, and
// an overload is what this experiment wants to begin itself.
func prepare(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Prepare(ctx, statement, `select body from shakedown_work where id = $1`)
	return err
}

func query(pool *serve.Pool, dep *serve.Dependency) func(context.Context, int64) error {
	return func(ctx context.Context, key int64) error {
		return dep.Do(ctx, func(ctx context.Context) error {
			var body string
			return pool.QueryRow(ctx, statement, key).Scan(&body)
		})
	}
}
