package isolation

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shakedown/targets/serve"
)

// The tables of the service's workloads. Both engines hold a list as text, so that an append is one statement.
const (
	listTable = "shakedown_lists"
	cellTable = "shakedown_cells"
)

// A tx is one transaction. Statements are written with ? for their arguments.
type tx interface {
	// one reads a single value.
	one(ctx context.Context, into any, statement string, args ...any) error
	exec(ctx context.Context, statement string, args ...any) error
	commit(ctx context.Context) error
	rollback(ctx context.Context)
}

// A client begins transactions of one level.
type client interface {
	begin(ctx context.Context) (tx, error)
}

// newClient makes the pool that the configuration wants.
func newClient(ctx context.Context, s *serve.Server, c Config) (client, error) {
	if c.Engine == onPostgres {
		pool, err := s.Postgres(ctx, serve.PoolOptions{Max: c.Pool, Min: c.Pool})
		return &pgClient{pool, pgx.TxOptions{IsoLevel: pgx.TxIsoLevel(c.Level)}}, err
	}
	url, err := s.Env().URL(onMariaDB)
	if err != nil {
		return nil, err
	}
	db, err := serve.NewMariaDBPool(s, onMariaDB, url, c.Pool)
	return &mariaClient{db, &sql.TxOptions{Isolation: sqlLevels[c.Level]}}, err
}

var sqlLevels = map[string]sql.IsolationLevel{
	readUncommitted: sql.LevelReadUncommitted, readCommitted: sql.LevelReadCommitted, repeatableRead: sql.LevelRepeatableRead,
	serializable: sql.LevelSerializable,
}

type pgClient struct {
	pool    *serve.Pool
	options pgx.TxOptions
}

func (c *pgClient) begin(ctx context.Context) (tx, error) {
	t, err := c.pool.BeginTx(ctx, c.options)
	return pgTx{t}, err
}

type pgTx struct{ tx pgx.Tx }

func (t pgTx) one(ctx context.Context, into any, statement string, args ...any) error {
	return t.tx.QueryRow(ctx, dollars(statement), args...).Scan(into)
}

func (t pgTx) exec(ctx context.Context, statement string, args ...any) error {
	_, err := t.tx.Exec(ctx, dollars(statement), args...)
	return err
}

func (t pgTx) commit(ctx context.Context) error { return t.tx.Commit(ctx) }

func (t pgTx) rollback(ctx context.Context) { _ = t.tx.Rollback(ctx) }

// dollars writes the arguments of a statement as PostgreSQL does.
func dollars(statement string) string {
	var b strings.Builder
	n := 0
	for part := range strings.SplitSeq(statement, "?") {
		if n > 0 {
			fmt.Fprintf(&b, "$%d", n)
		}
		n++
		b.WriteString(part)
	}
	return b.String()
}

type mariaClient struct {
	db      *sql.DB
	options *sql.TxOptions
}

func (c *mariaClient) begin(ctx context.Context) (tx, error) {
	// The driver would roll back when the request's context ends, and answer its commit before the server has: the transaction itself has
	// no deadline but the statements'.
	t, err := c.db.BeginTx(context.WithoutCancel(ctx), c.options)
	return mariaTx{t}, err
}

type mariaTx struct{ tx *sql.Tx }

func (t mariaTx) one(ctx context.Context, into any, statement string, args ...any) error {
	return t.tx.QueryRowContext(ctx, statement, args...).Scan(into)
}

func (t mariaTx) exec(ctx context.Context, statement string, args ...any) error {
	_, err := t.tx.ExecContext(ctx, statement, args...)
	return err
}

func (t mariaTx) commit(context.Context) error { return t.tx.Commit() }

func (t mariaTx) rollback(context.Context) { _ = t.tx.Rollback() }

// ended says whether the engine ended the transaction so that it may be tried again: a conflict that it saw, or a deadlock.
func ended(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "40001" || pg.Code == "40P01" // PostgreSQL manual, appendix A
	}
	var maria *mysql.MySQLError
	return errors.As(err, &maria) && (maria.Number == 1213 || maria.Number == 1205 || maria.Number == 1020) // "MariaDB Error Codes"
}

// said says whether the engine itself has answered, so that what became of the transaction is known.
func said(err error) bool {
	var pg *pgconn.PgError
	var maria *mysql.MySQLError
	return errors.As(err, &pg) && pg.Severity == "ERROR" || errors.As(err, &maria)
}
