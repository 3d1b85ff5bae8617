package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"shakedown/bench"
	"shakedown/internal/clock"
	"shakedown/targets/internal/crash"
	"shakedown/targets/serve"
)

// workerRole is the process that consumes.
const workerRole = "worker"

// worker takes jobs and works them off. What a job does is a row in PostgreSQL: its effect.
type worker struct {
	config  Config
	server  *serve.Server
	queue   broker
	effects *serve.Pool
}

func newWorker(ctx context.Context, env bench.Env, raw json.RawMessage) (bench.Service, error) {
	config, err := serve.Decode[Config](raw)
	if err != nil {
		return nil, err
	}
	w := &worker{config: config, server: serve.New(env)}
	if w.queue, err = kinds[config.Broker].open(ctx, w.server, config); err == nil {
		w.effects, err = w.server.Postgres(ctx, serve.PoolOptions{
			// A crash of PostgreSQL is no part of any experiment here.
			Max: config.Consumers + 2, RuntimeParams: map[string]string{"synchronous_commit": "off"},
		})
	}
	if err != nil {
		return nil, errors.Join(err, w.server.Close())
	}
	w.server.Go("consumers", w.run)
	return w.server, nil
}

// stopPoll is how often a worker looks whether an audit wants it to stop.
const stopPoll = 100 * time.Millisecond

// run lets the consumers work until the service ends, or until an audit wants to see what is left: they give back what they have then.
func (w *worker) run(ctx context.Context) error {
	working, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.consumers(working)
	}()
	for !w.told(ctx) && pause(ctx, stopPoll) {
	}
	stop()
	<-done
	if ctx.Err() == nil {
		if _, err := w.effects.Exec(ctx, `update shakedown_control set stopped = true`); err != nil && ctx.Err() == nil {
			return err
		}
	}
	<-ctx.Done()
	return nil
}

// told asks whether an audit has told the workers to stop.
func (w *worker) told(ctx context.Context) (stop bool) {
	err := w.effects.QueryRow(ctx, `select stop from shakedown_control`).Scan(&stop)
	return err == nil && stop
}

func (w *worker) consumers(ctx context.Context) {
	var group sync.WaitGroup
	for n := range w.config.Consumers {
		name := fmt.Sprintf("%s-%d", w.server.Env().Name(), n)
		group.Go(func() {
			for ctx.Err() == nil {
				if err := w.queue.consume(ctx, name, w.work); err != nil {
					pause(ctx, consumeAgain)
				}
			}
		})
	}
	group.Wait()
}

// consumeAgain is how long a consumer waits before it connects again.
const consumeAgain = 50 * time.Millisecond

// work is one attempt at a job: half of its time passes, its effect happens, the other half passes, and it is acknowledged.
func (w *worker) work(ctx context.Context, d delivery) {
	end := w.server.Span("attempt", d.job.Key)
	defer func() { end(float64(d.attempt)) }()
	half := w.config.half(d.job.Key)
	if half > 0 && !pause(ctx, half) {
		return
	}
	if w.config.fails(d.job.Key, d.attempt) {
		_ = d.fail(ctx) // the broker's side of consume knows of an error too
		return
	}
	age := w.server.Span("done", d.job.Key)
	if err := w.effect(ctx, d.job.Key); err != nil {
		_ = d.fail(ctx)
		return
	}
	age(time.Duration(int64(clock.Now()) - d.job.At).Seconds())
	if half > 0 && !pause(ctx, half) {
		return
	}
	_ = d.ack(ctx)
}

// effect records that a job was done. An idempotent consumer does so once for each key.
func (w *worker) effect(ctx context.Context, key int64) error {
	sql := `insert into shakedown_effects (key, value) values ($1, $2)`
	if w.config.Idempotent {
		sql += ` on conflict do nothing`
	}
	_, err := w.effects.Exec(ctx, sql, key, crash.ValueOf(key))
	return err
}
