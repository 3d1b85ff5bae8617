package writebehind

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shakedown/bench"
	"shakedown/targets/internal/direct"
	"shakedown/targets/serve"
)

// schema has no key on orders, unless they are overwritten, so that one that is there twice shows. The check on amounts is what users
// of a write-behind service learn of too late.
const schema = `
	drop table if exists shakedown_wb_orders, shakedown_wb_counters, shakedown_wb_statuses, shakedown_wb_seen, shakedown_wb_dead;
	create table shakedown_wb_orders (key bigint not null, amount bigint not null check (amount > 0));
	create table shakedown_wb_counters (key bigint primary key, n bigint not null);
	create table shakedown_wb_statuses (key bigint primary key, version bigint not null);
	create table shakedown_wb_seen (id bigint primary key);
	create table shakedown_wb_dead (id bigint primary key, kind text not null, key bigint not null, value bigint not null, why text not null)`

// seed makes the tables anew, and removes what an earlier trial has left in Redis.
func seed(ctx context.Context, env bench.Env, raw json.RawMessage) error {
	config, err := serve.Decode[Config](raw)
	if err != nil {
		return err
	}
	err = direct.Postgres(ctx, env, func(c *pgx.Conn) error {
		if _, err := c.Exec(ctx, schema); err != nil || config.Flush != flushAbsolute {
			return err
		}
		_, err := c.Exec(ctx, `alter table shakedown_wb_orders add primary key (key)`)
		return err
	})
	if err != nil {
		return fmt.Errorf("seed postgres: %w", err)
	}
	if env.URLs["redis"] == "" {
		return nil
	}
	return direct.RemoveKeys(ctx, env, prefix)
}

// write is how the database takes one event, by itself and at once.
var write = map[kind]string{
	order: `insert into shakedown_wb_orders (key, amount) values ($1, $2)`,
	count: `insert into shakedown_wb_counters as old (key, n) values ($1, $2) on conflict (key) do update set n = old.n + excluded.n`,
}

// overwrite gives a status its next version, which the database draws.
const overwrite = `insert into shakedown_wb_statuses as old (key, version) values ($1, 1)
	on conflict (key) do update set version = old.version + 1 returning version`

// writeBatch writes events in one transaction.
func (s *service) writeBatch(ctx context.Context, batch []event) error {
	var rows map[kind]int
	err := s.database.Do(ctx, func(ctx context.Context) error {
		return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
			if s.config.Flush == flushIdempotent {
				var err error
				if batch, err = unseen(ctx, tx, batch); err != nil {
					return err
				}
			}
			var statements pgx.Batch
			rows = s.queueStatements(&statements, batch)
			return tx.SendBatch(ctx, &statements).Close()
		})
	})
	if err == nil {
		s.written(rows)
	}
	return err
}

// unseen remembers the events, and returns those that were not remembered before.
func unseen(ctx context.Context, tx pgx.Tx, batch []event) ([]event, error) {
	ids := make([]int64, len(batch))
	for i, e := range batch {
		ids[i] = e.id
	}
	rows, err := tx.Query(ctx, `insert into shakedown_wb_seen select unnest($1::bigint[]) on conflict do nothing returning id`, ids)
	if err != nil {
		return nil, err
	}
	fresh, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, err
	}
	is := map[int64]bool{}
	for _, id := range fresh {
		is[id] = true
	}
	var some []event
	for _, e := range batch {
		if is[e.id] {
			some = append(some, e)
		}
	}
	return some, nil
}

// columns are keys and values of rows of one table.
type columns struct{ keys, values []int64 }

func (c *columns) add(key, value int64) {
	c.keys, c.values = append(c.keys, key), append(c.values, value)
}

// queueStatements queues one statement for each table that the events are about. Events about one key of a counter or status become
// one row: increments are added up, and of statuses the last one counts.
func (s *service) queueStatements(b *pgx.Batch, batch []event) (rows map[kind]int) {
	var orders, counters, statuses columns
	sums, last := map[int64]int64{}, map[int64]int64{}
	for _, e := range batch {
		switch e.kind {
		case order:
			orders.add(e.key, e.value)
		case count:
			sums[e.key] += e.value
		case status:
			last[e.key] = e.value
		}
	}
	for key, n := range sums {
		counters.add(key, n)
	}
	for key, version := range last {
		statuses.add(key, version)
	}
	for _, t := range []struct {
		sql  string
		rows columns
	}{{s.sqlOf(order), orders}, {s.sqlOf(count), counters}, {s.sqlOf(status), statuses}} {
		if len(t.rows.keys) > 0 {
			b.Queue(t.sql, t.rows.keys, t.rows.values)
		}
	}
	return map[kind]int{order: len(orders.keys), count: len(counters.keys), status: len(statuses.keys)}
}

// sqlOf is the statement that writes many rows of one table.
func (s *service) sqlOf(k kind) string {
	sql := map[kind]string{
		order:  `insert into shakedown_wb_orders as old (key, amount) select * from unnest($1::bigint[], $2::bigint[])`,
		count:  `insert into shakedown_wb_counters as old (key, n) select * from unnest($1::bigint[], $2::bigint[]) on conflict (key) do update set n = `,
		status: `insert into shakedown_wb_statuses as old (key, version) select * from unnest($1::bigint[], $2::bigint[]) on conflict (key) do update set version = excluded.version`,
	}[k]
	absolute := s.config.Flush == flushAbsolute
	switch {
	case k == order && absolute:
		return sql + ` on conflict (key) do update set amount = excluded.amount`
	case k == count && absolute:
		return sql + `excluded.n`
	case k == count:
		return sql + `old.n + excluded.n`
	case k == status && s.config.Versions:
		return sql + ` where old.version < excluded.version`
	}
	return sql
}

// bury puts an event that the database refuses among the dead letters.
func (s *service) bury(ctx context.Context, e event, why error) error {
	return s.database.Do(ctx, func(ctx context.Context) error {
		_, err := s.pool.Exec(ctx, `insert into shakedown_wb_dead (id, kind, key, value, why) values ($1, $2, $3, $4, $5) on conflict do nothing`,
			e.id, string(rune(e.kind)), e.key, e.value, why.Error())
		return err
	})
}

// refused says whether the database will never take it, however often it is asked: SQLSTATE classes 22, data exception, and 23,
// integrity constraint violation (PostgreSQL manual, appendix A).
func refused(err error) bool {
	var said *pgconn.PgError
	return errors.As(err, &said) && len(said.Code) == 5 && (said.Code[:2] == "22" || said.Code[:2] == "23")
}
