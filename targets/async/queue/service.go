package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"

	"shakedown/bench"
	"shakedown/internal/clock"
	"shakedown/targets/internal/crash"
	"shakedown/targets/serve"
)

// producer takes requests and enqueues a job for each.
type producer struct {
	config Config
	server *serve.Server
	queue  broker
	dep    *serve.Dependency
	orders *serve.Pool // nil without orders
	inline *inline     // nil where jobs are enqueued
}

func newProducer(ctx context.Context, env bench.Env, raw json.RawMessage) (bench.Service, error) {
	p, err := openProducer(ctx, env, raw)
	if err != nil {
		return nil, err
	}
	return p.server, nil
}

func openProducer(ctx context.Context, env bench.Env, raw json.RawMessage) (*producer, error) {
	config, err := serve.Decode[Config](raw)
	if err != nil {
		return nil, err
	}
	s := serve.New(env)
	p := &producer{config: config, server: s, dep: s.Dependency(config.Broker)}
	if err := p.connect(ctx, env); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.Handle("job", "POST /job/{key}", p.accepts(false))
	s.Handle("urgent", "POST /urgent/{key}", p.accepts(true))
	return p, nil
}

func (p *producer) connect(ctx context.Context, env bench.Env) (err error) {
	if p.queue, err = kinds[p.config.Broker].open(ctx, p.server, p.config); err != nil {
		return err
	}
	if p.config.Sync {
		if p.inline, err = newInline(ctx, p.server, p.config); err != nil {
			return err
		}
	}
	worker, err := env.URL(workerRole)
	if err != nil {
		return err
	}
	p.server.Ready("worker", serve.AnswersReady(worker)) // a trial begins when somebody works
	if p.config.Order == "" {
		return nil
	}
	if p.orders, err = p.server.Postgres(ctx, serve.PoolOptions{Max: 64}); err != nil {
		return err
	}
	if p.config.Order == outbox {
		p.server.Go("relay", p.relay)
	}
	return nil
}

// accepts takes a job of a key that no other request has, and acknowledges it with the value that its effect will have.
func (p *producer) accepts(urgent bool) serve.HandlerFunc {
	return func(ctx context.Context, r *http.Request) (serve.Answer, error) {
		key, err := serve.Key(r)
		if err != nil {
			return serve.Answer{}, err
		}
		j := job{Key: key, At: int64(clock.Now()), Urgent: urgent}
		if p.config.Delay > 0 {
			j.Due = j.At + int64(p.config.Delay)
		}
		return serve.Answer{Value: crash.ValueOf(key)}, p.accept(ctx, j)
	}
}

func (p *producer) accept(ctx context.Context, j job) (err error) {
	switch p.config.Order {
	case "":
		if p.inline != nil {
			err = p.inline.do(ctx, j)
		} else {
			err = p.enqueue(ctx, j)
		}
	case commitEnqueue:
		if err = p.commit(ctx, j, nil); err == nil {
			err = p.enqueue(ctx, j)
		}
	case enqueueCommit:
		if err = p.enqueue(ctx, j); err == nil {
			err = p.commit(ctx, j, nil)
		}
	case outbox:
		err = p.commit(ctx, j, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, `insert into shakedown_outbox (key, at) values ($1, $2)`, j.Key, j.At)
			return err
		})
	case inDatabase:
		err = p.commit(ctx, j, func(tx pgx.Tx) error { return (*postgresTable)(nil).insert(ctx, tx, j) })
	}
	return err
}

func (p *producer) enqueue(ctx context.Context, j job) error {
	return p.dep.Do(ctx, func(ctx context.Context) error { return p.queue.publish(ctx, j) })
}

// commit writes the order of a job, and what goes with it, in one transaction.
func (p *producer) commit(ctx context.Context, j job, with func(pgx.Tx) error) error {
	return postgresDoubt(pgx.BeginFunc(ctx, p.orders, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `insert into shakedown_orders (key) values ($1)`, j.Key); err != nil || with == nil {
			return err
		}
		return with(tx)
	}))
}

// relayWait is how long the relay waits when the outbox is empty.
const relayWait = 20 * time.Millisecond

// relay enqueues what is in the outbox and then deletes it. When it dies in between, or the commit fails, it enqueues it again.
func (p *producer) relay(ctx context.Context) error {
	for ctx.Err() == nil {
		sent, err := p.relayBatch(ctx)
		if err != nil || sent == 0 {
			_ = clock.Sleep(ctx, relayWait)
		}
	}
	return nil
}

const relayBatch = 50

func (p *producer) relayBatch(ctx context.Context) (sent int, err error) {
	err = pgx.BeginFunc(ctx, p.orders, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `delete from shakedown_outbox where id in (
			select id from shakedown_outbox order by id limit $1 for update skip locked) returning key, at`, relayBatch)
		if err != nil {
			return err
		}
		jobs, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (j job, err error) {
			err = row.Scan(&j.Key, &j.At)
			return j, err
		})
		if err != nil {
			return err
		}
		sent = len(jobs)
		for _, j := range jobs {
			if err := p.enqueue(ctx, j); err != nil {
				return fmt.Errorf("relaying %d: %w", j.Key, err)
			}
		}
		return nil
	})
	return sent, err
}
