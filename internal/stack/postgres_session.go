package stack

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"shakedown/chaos"
)

var (
	_ chaos.SQLEngine = (*pgServer)(nil)
	_ chaos.Member    = (*pgServer)(nil)
	_ chaos.Group     = (*Group)(nil)
)

// Ours is nil for a server of the run.
func (s *pgServer) Ours() error { return ours(s.own) }

func ours(o *own) error {
	if o == nil {
		return ErrNotOurs
	}
	return nil
}

// Group is that of the server and those that follow it, or nil.
func (s *pgServer) Group() chaos.Group { return s.group.orNil() }

func (s *pgServer) joined(g *Group) { s.group = g }

// sessionSQL turns off, for one session, what would end it while it idles or waits; what this version does not know it leaves out.
const sessionSQL = `SELECT count(set_config(name, '0', false)) FROM pg_settings WHERE name IN
	('idle_session_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout', 'statement_timeout', 'lock_timeout')`

// Session opens a connection of its own, which counts as the harness's.
func (s *pgServer) Session(ctx context.Context) (chaos.SQLSession, error) {
	conn, err := pgx.ConnectConfig(ctx, s.config.Copy())
	if err == nil {
		if _, err = conn.Exec(ctx, sessionSQL); err != nil {
			_ = conn.Close(ctx)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("a session on %s: %w", s.name, err)
	}
	return pgSession{conn}, nil
}

// pgSession is one connection.
type pgSession struct{ conn *pgx.Conn }

func (s pgSession) PID() int { return int(s.conn.PgConn().PID()) }

func (s pgSession) Exec(ctx context.Context, sql string, args ...any) (int64, error) {
	tag, err := s.conn.Exec(ctx, sql, args...)
	return tag.RowsAffected(), err
}

func (s pgSession) Row(ctx context.Context, sql string, args []any, into ...any) error {
	return s.conn.QueryRow(ctx, sql, args...).Scan(into...)
}

func (s pgSession) Close(ctx context.Context) error { return s.conn.Close(ctx) }
