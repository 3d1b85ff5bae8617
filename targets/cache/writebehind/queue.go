package writebehind

import (
	"context"
	"errors"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Keys in Redis.
const (
	prefix    = "shakedown:wb:"
	queueKey  = prefix + "queue" // the list or stream
	dirtyKey  = prefix + "dirty" // the set of entries that the database does not have
	groupName = "flushers"
)

// A queue holds acknowledged writes until the database has them. put may be called by many, the rest by one flusher.
type queue interface {
	// put returns once the event is in the queue, with the id that it has there.
	put(ctx context.Context, e event) (event, error)
	// take returns the oldest events, n at most, that are neither settled nor taken and set aside.
	take(ctx context.Context, n int) ([]event, error)
	// settle lets go of events that were taken and have been written.
	settle(ctx context.Context, batch []event) error
}

// memoryQueue is a slice. What is in it, or was taken from it, ends with the process.
type memoryQueue struct {
	mu     sync.Mutex
	events []event
}

func (q *memoryQueue) put(_ context.Context, e event) (event, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.events = append(q.events, e)
	return e, nil
}

func (q *memoryQueue) take(_ context.Context, n int) ([]event, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n = min(n, len(q.events))
	batch := q.events[:n:n]
	q.events = q.events[n:]
	return batch, nil
}

func (*memoryQueue) settle(context.Context, []event) error { return nil }

// listQueue is a list in Redis with one consumer.
type listQueue struct {
	redis *redis.Client
	pop   bool // a batch leaves the list when it is taken, and not when it is settled
}

func (q *listQueue) put(ctx context.Context, e event) (event, error) {
	return e, q.redis.RPush(ctx, queueKey, e.String()).Err()
}

func (q *listQueue) take(ctx context.Context, n int) ([]event, error) {
	var texts []string
	var err error
	if q.pop {
		texts, err = q.redis.LPopCount(ctx, queueKey, n).Result()
	} else {
		texts, err = q.redis.LRange(ctx, queueKey, 0, int64(n)-1).Result()
	}
	if err != nil {
		return nil, nothing(err)
	}
	batch := make([]event, len(texts))
	for i, text := range texts {
		if batch[i], err = parseEvent(text); err != nil {
			return nil, err
		}
	}
	return batch, nil
}

func (q *listQueue) settle(ctx context.Context, batch []event) error {
	if q.pop {
		return nil
	}
	return q.redis.LTrim(ctx, queueKey, int64(len(batch)), -1).Err()
}

// nothing is the error, unless it says that there is nothing.
func nothing(err error) error {
	if errors.Is(err, redis.Nil) {
		return nil
	}
	return err
}
