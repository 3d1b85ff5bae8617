package writebehind

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// streamQueue is a stream in Redis with a consumer group (https://redis.io/docs/latest/develop/data-types/streams/). What was
// delivered and not acknowledged stays pending for the consumer, which has the same name when its process is back.
type streamQueue struct {
	redis    *redis.Client
	consumer string
	counters bool // counters are kept in the cache too, for readers

	ready     bool           // the group is there
	recovered bool           // everything that was pending has been taken again
	last      string         // the ID of the last pending entry that was taken again
	taken     map[int64]bool // what the flusher has, and has not settled
}

// field is the name of the only field of an entry. The entry's ID is the event's.
const field = "e"

func (q *streamQueue) put(ctx context.Context, e event) (event, error) {
	add := &redis.XAddArgs{Stream: queueKey, Values: []any{field, e.String()}}
	var id *redis.StringCmd
	var err error
	if q.counters && e.kind == count {
		_, err = q.redis.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.IncrBy(ctx, cacheKey(count, e.key), e.value)
			id = p.XAdd(ctx, add)
			return nil
		})
	} else {
		id = q.redis.XAdd(ctx, add)
		err = id.Err()
	}
	if err != nil {
		return e, err
	}
	e.id, err = numberOf(id.Val())
	return e, err
}

// take gives what is pending first, when the process or its connection is new: an answer of Redis that was lost on its way made
// entries pending that nobody has seen.
func (q *streamQueue) take(ctx context.Context, n int) ([]event, error) {
	batch, err := q.read(ctx, n)
	if err != nil {
		q.ready = false
		return nil, err
	}
	for _, e := range batch {
		q.taken[e.id] = true
	}
	return batch, nil
}

func (q *streamQueue) read(ctx context.Context, n int) ([]event, error) {
	if err := q.join(ctx); err != nil {
		return nil, err
	}
	for !q.recovered {
		batch, err := q.next(ctx, q.last, n)
		if err != nil {
			return nil, err
		}
		q.recovered = len(batch) == 0
		if !q.recovered {
			q.last = idOf(batch[len(batch)-1].id)
		}
		batch = slices.DeleteFunc(batch, func(e event) bool { return q.taken[e.id] })
		if len(batch) > 0 {
			return batch, nil
		}
	}
	return q.next(ctx, ">", n)
}

// join makes the group, which reads the stream from its beginning.
func (q *streamQueue) join(ctx context.Context) error {
	if q.ready {
		return nil
	}
	err := q.redis.XGroupCreateMkStream(ctx, queueKey, groupName, "0").Err()
	if err != nil && !strings.HasPrefix(err.Error(), "BUSYGROUP") {
		return fmt.Errorf("making the consumer group: %w", err)
	}
	q.ready, q.recovered, q.last = true, false, "0"
	return nil
}

// next reads what comes after the ID: of what is pending, or, when it is ">", of what nobody was given yet.
func (q *streamQueue) next(ctx context.Context, after string, n int) ([]event, error) {
	streams, err := q.redis.XReadGroup(ctx, &redis.XReadGroupArgs{
		Group: groupName, Consumer: q.consumer, Streams: []string{queueKey, after}, Count: int64(n), Block: -1,
	}).Result()
	if err != nil {
		return nil, nothing(err)
	}
	var batch []event
	for _, s := range streams {
		for _, m := range s.Messages {
			e, err := eventOf(m)
			if err != nil {
				return nil, err
			}
			batch = append(batch, e)
		}
	}
	return batch, nil
}

func eventOf(m redis.XMessage) (event, error) {
	text, _ := m.Values[field].(string)
	e, err := parseEvent(text)
	if err != nil {
		return e, err
	}
	e.id, err = numberOf(m.ID)
	if e.kind == status {
		e.value = e.id // the order of a stream is the order of its IDs
	}
	return e, err
}

// settle acknowledges, and removes from the stream, which holds what is to be written and nothing else.
func (q *streamQueue) settle(ctx context.Context, batch []event) error {
	ids := make([]string, len(batch))
	for i, e := range batch {
		ids[i] = idOf(e.id)
	}
	_, err := q.redis.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.XAck(ctx, queueKey, groupName, ids...)
		p.XDel(ctx, queueKey, ids...)
		return nil
	})
	if err == nil {
		for _, e := range batch {
			delete(q.taken, e.id)
		}
	}
	return err
}
