package pooling

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shakedown/bench"
	"shakedown/targets/serve"
)

const accounts = 1000

// tooManyConnections is SQLSTATE 53300: PostgreSQL turns a client away at max_connections.
const tooManyConnections = "53300"

// eager is how many connections are made before the load; a larger pool makes the rest as it needs them, as pgxpool does.
const eager = 20

type service struct {
	server *serve.Server
	borrow func(ctx context.Context, use func(*pgx.Conn) error) error
	db     *serve.Dependency
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
	url, err := env.URL("postgres")
	if err != nil {
		return nil, err
	}
	s := serve.New(env)
	svc := &service{server: s, db: s.Dependency("postgres")}
	if n := config.size(runtime.NumCPU()); n > 0 {
		pool, err := serve.NewPostgresPool(ctx, s, "postgres", url, serve.PoolOptions{
			Max: n, Min: min(n, eager), AfterConnect: touch(config.Relations), ConnectTimeout: 30 * time.Second,
		})
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		svc.borrow = lend(pool)
	} else {
		if svc.borrow, err = connect(url); err != nil {
			return nil, errors.Join(err, s.Close())
		}
		s.Ready("postgres", func(ctx context.Context) error {
			return svc.borrow(ctx, func(conn *pgx.Conn) error { return conn.Ping(ctx) })
		})
	}
	s.Handle("transfer", "GET /transfer/{key}", svc.transfer)
	s.Handle("hot", "GET /hot/{key}", svc.hot)
	s.Handle("ping", "GET /ping/{key}", svc.ping)
	return svc, nil
}

// lend borrows a connection of the pool for each use.
func lend(pool *serve.Pool) func(context.Context, func(*pgx.Conn) error) error {
	return func(ctx context.Context, use func(*pgx.Conn) error) error {
		conn, err := pool.Acquire(ctx)
		if err != nil {
			return err
		}
		defer conn.Release()
		return use(conn.Conn())
	}
}

// connect makes a connection for each use, and ends it.
func connect(url string) (func(context.Context, func(*pgx.Conn) error) error, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	// A statement is used once: preparing it first would charge the control for what no such client does.
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	return func(ctx context.Context, use func(*pgx.Conn) error) error {
		conn, err := pgx.ConnectConfig(ctx, config.Copy())
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
		return use(conn)
	}, nil
}

// touch reads the given number of relations on a new connection, so that its caches hold them.
func touch(relations int) func(context.Context, *pgx.Conn) error {
	if relations == 0 {
		return nil
	}
	return func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, fmt.Sprintf(`
			do $$ begin
				for i in 1..%d loop execute 'select from shakedown_relation_' || i || ' where id = 1'; end loop;
			end $$`, relations))
		return err
	}
}

func (s *service) transfer(ctx context.Context, r *http.Request) (serve.Answer, error) {
	key, err := serve.Key(r)
	if err != nil {
		return serve.Answer{}, err
	}
	return serve.Answer{}, s.transact(ctx, key)
}

// hot is the same transaction, on the same row for everybody.
func (s *service) hot(ctx context.Context, _ *http.Request) (serve.Answer, error) {
	return serve.Answer{}, s.transact(ctx, 0)
}

// transact is a transaction of two queries, in four round trips: begin, select, update, commit. The row stays locked from
// the update to the commit, one round trip at least.
func (s *service) transact(ctx context.Context, key int64) error {
	return s.use(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		tx, err := conn.Begin(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
		var name string
		if err := tx.QueryRow(ctx, `select name from shakedown_accounts where id = $1`, key).Scan(&name); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `update shakedown_accounts set balance = balance + 1 where id = $1`, key); err != nil {
			return err
		}
		return tx.Commit(ctx)
	})
}

// ping is a tiny query; its span is what the database side of it takes, from asking for a connection to the answer.
func (s *service) ping(ctx context.Context, _ *http.Request) (serve.Answer, error) {
	defer s.server.Span("query", 0)(1)
	return serve.Answer{}, s.use(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		var one int
		return conn.QueryRow(ctx, `select 1`).Scan(&one)
	})
}

// use runs the queries on a connection; a server that is full is a refusal, not a failure.
func (s *service) use(ctx context.Context, queries func(context.Context, *pgx.Conn) error) error {
	err := s.borrow(ctx, func(conn *pgx.Conn) error {
		return s.db.Do(ctx, func(ctx context.Context) error { return queries(ctx, conn) })
	})
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && pgErr.Code == tooManyConnections {
		return fmt.Errorf("%w: %w", serve.ErrRefused, err)
	}
	return err
}
