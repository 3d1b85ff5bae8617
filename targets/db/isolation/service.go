package isolation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"shakedown/bench"
	"shakedown/internal/clock"
	"shakedown/targets/serve"
)

// An access is one operation of a transaction, as it is kept in the history.
type access struct {
	Key   int64   `json:"k"`
	Read  bool    `json:"r,omitempty"`
	Value int64   `json:"v"`
	List  []int64 `json:"l,omitempty"` // read, of list-append
}

// A txn is one transaction in the history: one attempt, of which a request may make several. Times are the machine's monotonic ones.
type txn struct {
	Name     string        `json:"name"`
	Ops      []access      `json:"ops"`
	Outcome  string        `json:"outcome"` // "ok", "failed" or "unsure"
	Invoke   time.Duration `json:"invoke_ns"`
	Complete time.Duration `json:"complete_ns"`
	Error    string        `json:"error,omitempty"`
}

// A service runs the transactions of one workload.
type service struct {
	server  *serve.Server
	config  Config
	client  client
	dep     *serve.Dependency
	work    func(ctx context.Context, w *worker) error
	rng     *rand.Rand
	numbers atomic.Int64
	values  atomic.Int64
}

func newService(ctx context.Context, env bench.Env, raw json.RawMessage) (bench.Service, error) {
	config, err := serve.Decode[Config](raw)
	if err != nil {
		return nil, err
	}
	s := serve.New(env)
	svc := &service{server: s, config: config, dep: s.Dependency(config.Engine), rng: s.Rand("transactions"), work: works[config.Workload]}
	if svc.client, err = newClient(ctx, s, config); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.Handle("txn", "PUT /txn/{key}", svc.answer)
	s.Handle("report", "GET /report", svc.report)
	return s, nil
}

// answer runs one transaction, as often as the configuration allows.
func (s *service) answer(ctx context.Context, r *http.Request) (serve.Answer, error) {
	key, err := serve.Key(r)
	if err != nil {
		return serve.Answer{}, err
	}
	var a serve.Answer
	for try := 0; ; try++ {
		w := &worker{service: s, key: key, try: try}
		err := s.attempt(ctx, w)
		if err == nil || !ended(err) || s.config.Retries >= 0 && try >= s.config.Retries {
			return a, err
		}
		a.Flags |= bench.Retried
		if err := s.wait(ctx, try); err != nil {
			return a, fmt.Errorf("waiting for another try: %w", err)
		}
	}
}

// wait is the backoff before another try: drawn between nothing and twice its mean, which doubles up to 32 times (full jitter).
func (s *service) wait(ctx context.Context, try int) error {
	if s.config.Backoff == 0 {
		return ctx.Err()
	}
	most := 2 * s.config.Backoff.D() << min(try, 5)
	return clock.Sleep(ctx, time.Duration(s.rng.Int64N(int64(most)+1)))
}

// attempt runs the transaction once, and keeps what it did in the history, whatever became of it.
func (s *service) attempt(ctx context.Context, w *worker) error {
	kept := txn{Name: fmt.Sprintf("T%d", s.numbers.Add(1)), Invoke: clock.Now()}
	if n := s.server.Env().Instance; n > 0 {
		kept.Name = fmt.Sprintf("%s@%d", kept.Name, n)
	}
	err := s.dep.Do(ctx, func(ctx context.Context) (err error) {
		if w.tx, err = s.client.begin(ctx); err != nil {
			return err
		}
		if err = s.work(ctx, w); err != nil {
			w.tx.rollback(context.WithoutCancel(ctx))
			return err
		}
		if err = w.tx.commit(ctx); err != nil && !said(err) {
			err = fmt.Errorf("%w: %w", serve.ErrUnsure, err)
		}
		return err
	})
	kept.Ops, kept.Complete = w.ops, clock.Now()
	switch {
	case err == nil:
		kept.Outcome = bench.OK.String()
	case errors.Is(err, serve.ErrUnsure):
		kept.Outcome = bench.Unsure.String()
	default:
		kept.Outcome, kept.Error = bench.Failed.String(), err.Error()
	}
	if len(kept.Ops) > 0 {
		s.server.Record(kept)
	}
	return err
}
