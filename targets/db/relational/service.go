package relational

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shakedown/bench"
	"shakedown/targets/internal/crash"
	"shakedown/targets/internal/direct"
	"shakedown/targets/serve"
)

type service struct {
	server *serve.Server
	pool   *serve.Pool
	dep    *serve.Dependency
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
	svc := &service{server: s, dep: s.Dependency("postgres")}
	if svc.pool, err = s.Postgres(ctx, serve.PoolOptions{Max: config.Pool, Min: config.Pool}); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.Handle("write", "PUT /write/{key}", svc.write)
	return svc, nil
}

// write commits a row of its own, and acknowledges with its value.
func (s *service) write(ctx context.Context, r *http.Request) (serve.Answer, error) {
	key, err := serve.Key(r)
	if err != nil {
		return serve.Answer{}, err
	}
	value := crash.ValueOf(key)
	err = s.dep.Do(ctx, func(ctx context.Context) error {
		_, err := s.pool.Exec(ctx, `insert into shakedown_writes (key, value) values ($1, $2)`, key, value)
		return serve.PostgresDoubt(err)
	})
	return serve.Answer{Value: value}, err
}

// seed makes the table anew, for good: the trial's own setting may not be worth much. It has no key: a row that is there twice must show.
func seed(ctx context.Context, env bench.Env, _ json.RawMessage) error {
	err := direct.Postgres(ctx, env, func(c *pgx.Conn) error {
		_, err := c.Exec(ctx, `
			set synchronous_commit = on;
			drop table if exists shakedown_writes;
			create table shakedown_writes (key bigint not null, value bigint not null)`)
		return err
	})
	if err != nil {
		return fmt.Errorf("seed postgres: %w", err)
	}
	return nil
}

// undefinedTable is SQLSTATE 42P01 (PostgreSQL manual, appendix A).
const undefinedTable = "42P01"

// audit reads all rows, and accounts for every acknowledged commit.
func audit(ctx context.Context, env bench.Env, _ json.RawMessage, samples []bench.Sample) (bench.Audit, error) {
	stored := map[int64]bench.Stored{}
	err := direct.Postgres(ctx, env, func(c *pgx.Conn) error {
		rows, err := c.Query(ctx, `select key, value from shakedown_writes`)
		if err != nil {
			return err
		}
		var key, value int64
		_, err = pgx.ForEachRow(rows, []any{&key, &value}, func() error {
			stored[key] = bench.Stored{Value: value, Times: stored[key].Times + 1}
			return nil
		})
		return err
	})
	var said *pgconn.PgError
	gone := errors.As(err, &said) && said.Code == undefinedTable
	if err != nil && !gone {
		return bench.Audit{}, fmt.Errorf("reading postgres: %w", err)
	}
	found := bench.AccountForWrites(samples, 0, stored)
	if gone {
		found.Examples = append([]string{"the table itself is gone"}, found.Examples...)
	}
	return found, nil
}
