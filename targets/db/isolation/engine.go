package isolation

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"shakedown/bench"
	"shakedown/targets/serve"
)

// The levels of the SQL standard, the weakest first, as both engines spell them.
const (
	readUncommitted = "read uncommitted"
	readCommitted   = "read committed"
	repeatableRead  = "repeatable read"
	serializable    = "serializable"
)

var levels = []string{readUncommitted, readCommitted, repeatableRead, serializable}

// The engines, by the names of package stack.
const (
	onPostgres = "postgres"
	onMariaDB  = "mariadb"
)

// A row is one of the pairs of the table: a key and its value.
type row struct{ id, v int64 }

// A result is what a statement came to: the rows that it read, or how many it changed.
type result struct {
	rows    []row
	changed int64
	err     error // the engine's own words
}

// A session is one connection, which runs one transaction at a time.
type session interface {
	// exec runs a statement. Statements that read give rows of two whole numbers.
	exec(ctx context.Context, statement string, reads bool) result
	close(ctx context.Context)
}

// A server opens sessions, and can tell which of them wait for a lock.
type server interface {
	open(ctx context.Context) (session, error)
	// begin are the statements that begin a transaction of a level.
	begin(level string) []string
	// waits says whether a session waits for a lock that another session holds, as the engine itself tells.
	waits(ctx context.Context, s session) (bool, error)
	// lookEvery is how often the engine may be asked that.
	lookEvery() time.Duration
	close(ctx context.Context) error
}

// connect leads to one of the trial's engines.
func connect(ctx context.Context, env bench.Env, engine string) (server, error) {
	url, err := env.URL(engine)
	if err != nil {
		return nil, err
	}
	if engine == onPostgres {
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			return nil, fmt.Errorf("postgres: %w", err)
		}
		return &pgServer{url: url, conn: conn}, nil
	}
	db, err := serve.OpenMariaDB(url)
	if err != nil {
		return nil, err
	}
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("mariadb: %w", err), db.Close())
	}
	return &mariaServer{db}, nil
}

// pgServer asks PostgreSQL. Its connection is used by one goroutine.
type pgServer struct {
	url  string
	conn *pgx.Conn
}

func (s *pgServer) open(ctx context.Context) (session, error) {
	conn, err := pgx.Connect(ctx, s.url)
	if err != nil {
		return nil, err
	}
	return &pgSession{conn}, nil
}

func (*pgServer) begin(level string) []string { return []string{"begin isolation level " + level} }

// waits asks pg_blocking_pids (PostgreSQL manual, "System Information Functions"), which knows row locks and the queue for them.
func (s *pgServer) waits(ctx context.Context, of session) (yes bool, err error) {
	pid := of.(*pgSession).conn.PgConn().PID()
	err = s.conn.QueryRow(ctx, "select cardinality(pg_blocking_pids($1)) > 0", pid).Scan(&yes)
	return yes, err
}

func (*pgServer) lookEvery() time.Duration { return 2 * time.Millisecond }

func (s *pgServer) close(ctx context.Context) error { return s.conn.Close(ctx) }

type pgSession struct{ conn *pgx.Conn }

func (s *pgSession) exec(ctx context.Context, statement string, reads bool) (r result) {
	if !reads {
		tag, err := s.conn.Exec(ctx, statement)
		return result{changed: tag.RowsAffected(), err: err}
	}
	rows, err := s.conn.Query(ctx, statement)
	if err != nil {
		return result{err: err}
	}
	r.rows, r.err = pgx.CollectRows(rows, func(at pgx.CollectableRow) (row, error) {
		var x row
		err := at.Scan(&x.id, &x.v)
		return x, err
	})
	return r
}

func (s *pgSession) close(ctx context.Context) { _ = s.conn.Close(ctx) }

// mariaServer asks MariaDB.
type mariaServer struct{ db *sql.DB }

func (s *mariaServer) open(ctx context.Context) (session, error) {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	m := &mariaSession{conn: conn}
	err = conn.QueryRowContext(ctx, "select connection_id()").Scan(&m.id)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return m, nil
}

func (*mariaServer) begin(level string) []string {
	return []string{"set transaction isolation level " + level, "start transaction"}
}

// waits asks information_schema.innodb_trx (MariaDB manual, "Information Schema INNODB_TRX Table").
func (s *mariaServer) waits(ctx context.Context, of session) (yes bool, err error) {
	const ask = "select count(*) > 0 from information_schema.innodb_trx where trx_mysql_thread_id = ? and trx_state = 'LOCK WAIT'"
	err = s.db.QueryRowContext(ctx, ask, of.(*mariaSession).id).Scan(&yes)
	return yes, err
}

// lookEvery is more than the 0.1 s for which InnoDB answers from what it has said before.
func (*mariaServer) lookEvery() time.Duration { return 110 * time.Millisecond }

func (s *mariaServer) close(context.Context) error { return s.db.Close() }

type mariaSession struct {
	conn *sql.Conn
	id   int64
}

func (s *mariaSession) exec(ctx context.Context, statement string, reads bool) (r result) {
	if !reads {
		done, err := s.conn.ExecContext(ctx, statement)
		if err != nil {
			return result{err: err}
		}
		r.changed, r.err = done.RowsAffected()
		return r
	}
	rows, err := s.conn.QueryContext(ctx, statement)
	if err != nil {
		return result{err: err}
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var x row
		if err := rows.Scan(&x.id, &x.v); err != nil {
			return result{err: err}
		}
		r.rows = append(r.rows, x)
	}
	return result{rows: r.rows, err: rows.Err()}
}

// close ends the connection itself: what is left of a transaction must not go to the next user of a pool.
func (s *mariaSession) close(context.Context) {
	_ = s.conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = s.conn.Close()
}

// rowsText is rows as people read them, in the order of their keys: "1:11 2:20".
func rowsText(rows []row) string {
	if len(rows) == 0 {
		return "nothing"
	}
	rows = slices.Clone(rows)
	slices.SortFunc(rows, func(a, b row) int { return int(a.id - b.id) })
	parts := make([]string, len(rows))
	for i, r := range rows {
		parts[i] = fmt.Sprintf("%d:%d", r.id, r.v)
	}
	return strings.Join(parts, " ")
}
