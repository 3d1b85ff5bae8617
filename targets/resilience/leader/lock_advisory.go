package leader

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"shakedown/internal/clock"
	"shakedown/targets/serve"
)

// advisoryKey is the number that the lock goes by.
const advisoryKey = 7052

// advisoryLock is a lock that a session of PostgreSQL holds until it ends, on a connection of its own. PostgreSQL ends a session that has
// been silent for a TTL (idle_session_timeout, version 14), which makes a lease of it: else a leader that is stopped, or cut off,
// would keep the role for as long as its kernel answers.
type advisoryLock struct {
	config   Config
	sessions *serve.Pool
}

var _ lock = (*advisoryLock)(nil)

// await only waits: to try the lock is to look.
func (l *advisoryLock) await(ctx context.Context) error { return clock.Sleep(ctx, l.config.Retry.D()) }

func (l *advisoryLock) acquire(ctx context.Context, token string) (*grant, error) {
	conn, err := l.sessions.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	g := &grant{token: token, store: conn}
	var got bool
	if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, advisoryKey).Scan(&got); err != nil || !got {
		if err != nil {
			g.end(ctx) // nobody knows whether the session has the lock
		}
		conn.Release()
		return nil, err
	}
	// The time-out begins with the role: contenders look more often than that, and idle connections are nobody's lease.
	if _, err = conn.Exec(ctx, fmt.Sprintf(`SET idle_session_timeout = %d`, l.config.TTL.D().Milliseconds())); err == nil {
		err = conn.QueryRow(ctx, `SELECT nextval('shakedown_leader_term')`).Scan(&g.term)
	}
	if err != nil {
		g.end(ctx)
		conn.Release()
		return nil, err
	}
	return g, nil
}

func (l *advisoryLock) renew(ctx context.Context, g *grant) error {
	_, err := g.session().Exec(ctx, `SELECT 1`)
	if err != nil && g.session().Conn().IsClosed() && ctx.Err() == nil {
		return errors.Join(errLost, err) // and with the session went the lock
	}
	return err
}

// release ends the session, whatever it is in the middle of, and with it the lock.
func (l *advisoryLock) release(ctx context.Context, g *grant) error {
	g.end(ctx)
	g.session().Release()
	return nil
}

func (g *grant) session() *pgxpool.Conn {
	conn, _ := g.store.(*pgxpool.Conn)
	return conn
}

func (g *grant) end(ctx context.Context) {
	_ = g.session().Conn().Close(ctx) // a server that is gone cannot be told
}

// sessionOptions are those of connections that hold the lock: few, and without statements that a pooler would have to know.
func sessionOptions() serve.PoolOptions {
	return serve.PoolOptions{Max: 3, QueryMode: pgx.QueryExecModeExec}
}
