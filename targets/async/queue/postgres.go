package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shakedown/bench"
	"shakedown/internal/clock"
	"shakedown/targets/serve"
)

// postgresTable is a queue on a table: a consumer holds the rows of its jobs with SELECT … FOR UPDATE SKIP LOCKED until it has
// deleted them, in one transaction, which the server takes back when the consumer dies.
type postgresTable struct {
	config Config
	pool   *serve.Pool
}

func openPostgres(ctx context.Context, s *serve.Server, c Config) (broker, error) {
	url, err := s.Env().URL(postgresBroker)
	if err != nil {
		return nil, err
	}
	pool, err := serve.NewPostgresPool(ctx, s, "queue", url, serve.PoolOptions{Max: 16 + c.Consumers, ConnectTimeout: time.Second})
	if err != nil {
		return nil, err
	}
	return &postgresTable{c, pool}, nil
}

// execer is a pool or a transaction.
type execer interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

func (b *postgresTable) publish(ctx context.Context, j job) error {
	return postgresDoubt(b.insert(ctx, b.pool, j))
}

// insert enqueues a job as part of a transaction.
func (*postgresTable) insert(ctx context.Context, in execer, j job) error {
	_, err := in.Exec(ctx, `insert into shakedown_jobs (key, at, due, urgent) values ($1, $2, $3, $4)`, j.Key, j.At, j.Due, j.Urgent)
	return err
}

// postgresDoubt marks an error after which the statement may have been carried out or not.
func postgresDoubt(err error) error {
	var said *pgconn.PgError
	if err == nil || errors.As(err, &said) && said.Severity == "ERROR" || pgconn.SafeToRetry(err) {
		return err
	}
	return unsure(err)
}

func (b *postgresTable) consume(ctx context.Context, _ string, work func(context.Context, delivery)) error {
	for ctx.Err() == nil {
		found, err := b.batch(ctx, work)
		if err != nil {
			return err
		}
		if !found {
			_ = clock.Sleep(ctx, b.config.poll())
		}
	}
	return nil
}

// batch has up to Prefetch jobs worked off, and says whether there were any.
func (b *postgresTable) batch(ctx context.Context, work func(context.Context, delivery)) (bool, error) {
	if b.config.Ack == ackBefore {
		jobs, err := b.lock(ctx, b.pool, `delete from shakedown_jobs where id in (
			select id from shakedown_jobs `+b.config.next()+`) returning `+jobColumns)
		for _, j := range jobs {
			work(ctx, delivery{job: j.job, attempt: j.Tries + 1, ack: settled, fail: tooLate})
		}
		return len(jobs) > 0, err
	}
	tx, err := b.pool.Begin(ctx)
	if err != nil {
		return false, err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // of what was not committed
	jobs, err := b.lock(ctx, tx, `select `+jobColumns+` from shakedown_jobs `+b.config.next())
	for _, j := range jobs {
		work(ctx, delivery{
			job: j.job, attempt: j.Tries + 1,
			ack:  func(ctx context.Context) error { return b.delete(ctx, tx, j.id) },
			fail: func(ctx context.Context, after time.Duration) error { return b.failed(ctx, tx, j, after) },
		})
	}
	if err == nil {
		err = commit(ctx, tx)
	}
	return len(jobs) > 0, err
}

// next is how a consumer chooses its jobs and holds them.
func (c Config) next() string {
	if c.waits() {
		return `where due <= $2 order by due, id limit $1 for update skip locked`
	}
	if c.Priority == kept {
		return `order by urgent desc, id limit $1 for update skip locked`
	}
	return `order by id limit $1 for update skip locked`
}

// commit keeps what was acknowledged also when the consumer is to stop.
func commit(ctx context.Context, tx pgx.Tx) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	return tx.Commit(ctx)
}

// rowJob is a job with the id of its row.
type rowJob struct {
	job
	id int64
}

// jobColumns are those of a rowJob.
const jobColumns = `id, key, at, due, urgent, tries`

type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// lock runs a statement that returns rows of jobs.
func (b *postgresTable) lock(ctx context.Context, in querier, sql string) (jobs []rowJob, err error) {
	args := []any{b.config.Prefetch}
	if b.config.waits() {
		args = append(args, dueIn(0))
	}
	rows, err := in.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	var j rowJob
	_, err = pgx.ForEachRow(rows, []any{&j.id, &j.Key, &j.At, &j.Due, &j.Urgent, &j.Tries}, func() error {
		jobs = append(jobs, j)
		return nil
	})
	return jobs, err
}

func (*postgresTable) delete(ctx context.Context, in execer, id int64) error {
	_, err := in.Exec(ctx, `delete from shakedown_jobs where id = $1`, id)
	return err
}

func (b *postgresTable) failed(ctx context.Context, in execer, j rowJob, after time.Duration) error {
	j.Tries++
	if !b.config.givesUp(j.Tries) {
		if after > 0 {
			j.Due = dueIn(after)
		}
		_, err := in.Exec(ctx, `update shakedown_jobs set tries = $2, due = $3 where id = $1`, j.id, j.Tries, j.Due)
		return err
	}
	if b.config.DeadLetters != "" {
		if _, err := in.Exec(ctx, `insert into shakedown_dead (key, at, tries) values ($1, $2, $3)`, j.Key, j.At, j.Tries); err != nil {
			return err
		}
	}
	return b.delete(ctx, in, j.id)
}

type postgresAdmin struct {
	config Config
	conn   *pgx.Conn
}

func adminPostgres(ctx context.Context, env bench.Env, c Config) (admin, error) {
	conn, err := connectPostgres(ctx, env)
	if err != nil {
		return nil, err
	}
	return postgresAdmin{c, conn}, nil
}

// connectPostgres connects straight to the trial's PostgreSQL.
func connectPostgres(ctx context.Context, env bench.Env) (*pgx.Conn, error) {
	url, err := env.URL(postgresBroker)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	return conn, nil
}

func (a postgresAdmin) close() error { return a.conn.Close(context.Background()) }

func (a postgresAdmin) reset(ctx context.Context) error {
	index := ""
	switch {
	case a.config.waits():
		index = "create index on shakedown_jobs (due, id);"
	case a.config.Priority == kept:
		index = "create index on shakedown_jobs (urgent desc, id);"
	}
	_, err := a.conn.Exec(ctx, `
		drop table if exists shakedown_jobs, shakedown_dead;
		create table shakedown_jobs (
			id bigserial primary key, key bigint not null, at bigint not null, due bigint not null default 0,
			urgent bool not null default false, tries int not null default 0);
		`+index+`
		create table shakedown_dead (like shakedown_jobs including defaults);
		alter table shakedown_dead alter id drop not null, alter id drop default`)
	return err
}

func (a postgresAdmin) fill(ctx context.Context, jobs []job) error {
	_, err := a.conn.CopyFrom(ctx, pgx.Identifier{"shakedown_jobs"}, []string{"key", "at", "due"}, pgx.CopyFromSlice(len(jobs), func(i int) ([]any, error) {
		return []any{jobs[i].Key, jobs[i].At, jobs[i].Due}, nil
	}))
	return err
}

func (a postgresAdmin) waiting(ctx context.Context) (n int, err error) {
	err = a.conn.QueryRow(ctx, `select count(*) from shakedown_jobs`).Scan(&n)
	return n, err
}

func (a postgresAdmin) take(ctx context.Context) (left, given []job, err error) {
	if left, err = a.takeTable(ctx, "shakedown_jobs"); err == nil {
		given, err = a.takeTable(ctx, "shakedown_dead")
	}
	return left, given, err
}

func (a postgresAdmin) takeTable(ctx context.Context, table string) (jobs []job, err error) {
	rows, err := a.conn.Query(ctx, `delete from `+table+` returning key, at, tries`)
	if err != nil {
		return nil, err
	}
	var j job
	_, err = pgx.ForEachRow(rows, []any{&j.Key, &j.At, &j.Tries}, func() error {
		jobs = append(jobs, j)
		return nil
	})
	return jobs, err
}
