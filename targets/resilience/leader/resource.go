package leader

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"shakedown/bench"
	"shakedown/targets/serve"
)

// The resource is a register in PostgreSQL that counts the acts it has taken, and a table of them. The register's row lock puts all
// acts in one order; an act and its number are one statement.
const (
	schemaSQL = `
DROP TABLE IF EXISTS shakedown_leader, shakedown_leader_act;
DROP SEQUENCE IF EXISTS shakedown_leader_term;
CREATE SEQUENCE shakedown_leader_term;
CREATE TABLE shakedown_leader (seq bigint NOT NULL, term bigint NOT NULL, at timestamptz);
INSERT INTO shakedown_leader VALUES (0, 0);
CREATE TABLE shakedown_leader_act (seq bigint PRIMARY KEY, lease text NOT NULL, step bigint NOT NULL, term bigint NOT NULL)`

	actSQL = `
WITH taken AS (
	UPDATE shakedown_leader SET seq = seq + 1, term = $1, at = clock_timestamp() WHERE NOT $2 OR term <= $1 RETURNING seq
)
INSERT INTO shakedown_leader_act (seq, lease, step, term) SELECT seq, $3, $4, $1 FROM taken`

	latestSQL = `SELECT seq, coalesce(extract(epoch FROM clock_timestamp() - at) * 1000000, 0)::bigint FROM shakedown_leader`
)

// errRejected is what the resource says of a token that is older than one it has seen.
var errRejected = errors.New("the resource has seen a newer token")

// resource is what the leader acts on.
type resource struct {
	pool   *serve.Pool
	dep    *serve.Dependency
	fenced bool
}

// act writes what came of one piece of work; errRejected says that the resource did not take it.
func (r *resource) act(ctx context.Context, term int64, lease string, step int64) error {
	var taken int64
	err := r.dep.Do(ctx, func(ctx context.Context) error {
		tag, err := r.pool.Exec(ctx, actSQL, term, r.fenced, lease, step)
		taken = tag.RowsAffected()
		return err
	})
	if err == nil && taken == 0 {
		err = errRejected
	}
	return err
}

// latest is how many acts were taken, and how long ago the last of them was.
func (r *resource) latest(ctx context.Context) (acts int64, age time.Duration, err error) {
	err = r.dep.Do(ctx, func(ctx context.Context) error {
		var us int64
		err := r.pool.QueryRow(ctx, latestSQL).Scan(&acts, &us)
		age = time.Duration(us) * time.Microsecond
		return err
	})
	return acts, age, err
}

// withPostgres lends a connection that goes straight to the trial's PostgreSQL.
func withPostgres(ctx context.Context, env bench.Env, use func(*pgx.Conn) error) error {
	url, err := env.URL("postgres")
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	return use(conn)
}

// seed makes the resource anew. The stores of the role are emptied by the run.
func seed(ctx context.Context, env bench.Env, _ json.RawMessage) error {
	if env.URLs["postgres"] == "" {
		return nil // a probe of a store alone
	}
	return withPostgres(ctx, env, func(c *pgx.Conn) error {
		if _, err := c.Exec(ctx, schemaSQL); err != nil {
			return fmt.Errorf("seed postgres: %w", err)
		}
		return nil
	})
}
