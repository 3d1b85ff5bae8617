package queue

import (
	"context"
	"errors"

	"shakedown/targets/serve"
)

// inline is a producer that works jobs off itself while the user waits, as many at a time as a worker has consumers.
type inline struct {
	worker worker
	slots  chan struct{}
}

func newInline(ctx context.Context, s *serve.Server, c Config) (*inline, error) {
	in := &inline{worker: worker{config: c, server: s}, slots: make(chan struct{}, c.Consumers)}
	return in, in.worker.connect(ctx)
}

// do waits for its turn and works the job off. It fails when the job does, or when the user has gone before it was done.
func (in *inline) do(ctx context.Context, j job) error {
	select {
	case in.slots <- struct{}{}:
		defer func() { <-in.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	err := errors.New("the job was not done")
	in.worker.work(ctx, delivery{
		job: j, attempt: 1,
		ack:  func(context.Context) error { err = nil; return nil },
		fail: tooLate,
	})
	return err
}
