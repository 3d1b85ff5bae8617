package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
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
	queues  []broker
	effects *serve.Pool
	jitter  *rand.Rand
}

func newWorker(ctx context.Context, env bench.Env, raw json.RawMessage) (bench.Service, error) {
	config, err := serve.Decode[Config](raw)
	if err != nil {
		return nil, err
	}
	w := &worker{config: config, server: serve.New(env)}
	for at := range config.queues() {
		b, err := kinds[config.Broker].open(ctx, w.server, config.consuming(at))
		if err != nil {
			return nil, errors.Join(err, w.server.Close())
		}
		w.queues = append(w.queues, b)
	}
	if err := w.connect(ctx); err != nil {
		return nil, errors.Join(err, w.server.Close())
	}
	w.server.Go("consumers", w.run)
	if m, ok := w.queues[0].(mover); ok && config.waits() {
		w.server.Go("mover", func(ctx context.Context) error { w.moves(ctx, m); return nil })
	}
	return w.server, nil
}

// connect is to where effects go.
func (w *worker) connect(ctx context.Context) (err error) {
	w.jitter = w.server.Rand("jitter")
	w.effects, err = w.server.Postgres(ctx, serve.PoolOptions{
		// A crash of PostgreSQL is no part of any experiment here.
		Max: w.config.Consumers + 2, RuntimeParams: map[string]string{"synchronous_commit": "off"},
	})
	return err
}

// moves has jobs moved that are due.
func (w *worker) moves(ctx context.Context, m mover) {
	for ctx.Err() == nil {
		if more, err := m.move(ctx); (err != nil || !more) && clock.Sleep(ctx, w.config.poll()) != nil {
			return
		}
	}
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
	for !w.told(ctx) && clock.Sleep(ctx, stopPoll) == nil {
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
				if err := w.queues[n%len(w.queues)].consume(ctx, name, w.work); err != nil {
					_ = clock.Sleep(ctx, consumeAgain)
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
	if d.job.Due > 0 {
		w.server.Span("late", d.job.Key)(time.Duration(int64(clock.Now()) - d.job.Due).Seconds())
	}
	if d.attempt > 1 {
		w.server.Span("again", d.job.Key)(float64(d.attempt))
	}
	half := w.config.half(d.job.Key)
	if half > 0 && clock.Sleep(ctx, half) != nil {
		return
	}
	if w.config.fails(d.job.Key, d.attempt) {
		w.failed(ctx, d)
		return
	}
	age := w.server.Span("done", d.job.Key)
	if err := w.effect(ctx, d.job.Key); err != nil {
		w.failed(ctx, d)
		return
	}
	seconds := time.Duration(int64(clock.Now()) - d.job.At).Seconds()
	age(seconds)
	if w.config.Priority != "" {
		w.server.Span(map[bool]string{true: "urgent", false: "ordinary"}[d.job.Urgent], d.job.Key)(seconds)
	}
	if half > 0 && clock.Sleep(ctx, half) != nil {
		return
	}
	_ = d.ack(ctx)
}

// failed gives the job back, to be tried again after its backoff. The broker's side of consume knows of an error too.
func (w *worker) failed(ctx context.Context, d delivery) {
	after := w.config.backoff(d.attempt, w.jitter.Float64())
	if w.config.BackoffIn == inConsumer {
		if clock.Sleep(ctx, after) != nil {
			return // the broker gives it to somebody else
		}
		after = 0
	}
	_ = d.fail(ctx, after)
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
