package queue

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/redis/go-redis/v9"

	"shakedown/bench"
	"shakedown/targets/serve"
)

// The names of the streams and of the group of consumers.
const (
	redisQueue = "shakedown:queue"
	redisDead  = "shakedown:queue:dead"
	redisGroup = "workers"
)

// redisJob is the field of a stream's entry that holds the job.
const redisJob = "job"

// redisWait is how long a consumer asks for a job before it asks again.
const redisWait = 100 * time.Millisecond

// redisStream is a queue on a stream of Redis with a group of consumers. What a consumer was given and did not acknowledge stays on
// its own list; a consumer that begins anew asks for that first. Redis counts no attempts of its own: a job that has failed is
// appended anew, with one try more.
type redisStream struct {
	config Config
	client *redis.Client
}

func openRedis(_ context.Context, s *serve.Server, c Config) (broker, error) {
	client, err := s.Redis(serve.RedisOptions{PoolSize: 64 + c.Consumers, DialTimeout: time.Second, ReadTimeout: time.Second, WriteTimeout: time.Second})
	if err != nil {
		return nil, err
	}
	return &redisStream{c, client}, nil
}

func (b *redisStream) publish(ctx context.Context, j job) error {
	if b.config.MaxLength > 0 && b.config.Overflow == refuseNew {
		return b.publishBounded(ctx, j)
	}
	err := b.client.XAdd(ctx, &redis.XAddArgs{Stream: redisQueue, MaxLen: int64(b.config.MaxLength), Values: []any{redisJob, j.encode()}}).Err()
	return redisDoubt(err)
}

// addUnlessFull appends a job unless the stream has as many as it may have.
var addUnlessFull = redis.NewScript(`
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('XADD', KEYS[1], '*', 'job', ARGV[2])
return 1`)

func (b *redisStream) publishBounded(ctx context.Context, j job) error {
	added, err := addUnlessFull.Run(ctx, b.client, []string{redisQueue}, b.config.MaxLength, j.encode()).Int()
	if err == nil && added == 0 {
		return fmt.Errorf("%w: the queue is full", serve.ErrRefused)
	}
	return redisDoubt(err)
}

// redisDoubt marks an error after which the command may have been carried out or not.
func redisDoubt(err error) error {
	var said redis.Error
	var dial *net.OpError
	if err == nil || errors.As(err, &said) || errors.As(err, &dial) && dial.Op == "dial" {
		return err
	}
	return unsure(err)
}

func (b *redisStream) consume(ctx context.Context, consumer string, work func(context.Context, delivery)) error {
	for from := "0"; ctx.Err() == nil; { // first what it was given before, then what is new
		entries, err := b.read(ctx, consumer, from)
		if err != nil {
			return err
		}
		if from == "0" && len(entries) == 0 {
			from = ">"
		}
		if b.config.Ack == ackBefore {
			for _, e := range entries {
				if err := b.done(ctx, e.ID); err != nil {
					return err
				}
			}
		}
		for _, e := range entries {
			if err := b.deliver(ctx, e, work); err != nil {
				return err
			}
		}
	}
	return nil
}

// read returns the next entries, none when there are none for a while.
func (b *redisStream) read(ctx context.Context, consumer, from string) ([]redis.XMessage, error) {
	streams, err := b.client.XReadGroup(ctx, &redis.XReadGroupArgs{
		Group: redisGroup, Consumer: consumer, Streams: []string{redisQueue, from}, Count: int64(b.config.Prefetch), Block: redisWait,
	}).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil || len(streams) == 0 {
		return nil, err
	}
	return streams[0].Messages, nil
}

// deliver has one job worked off. An acknowledgement that fails ends the consumer's turn: what it was given is given again.
func (b *redisStream) deliver(ctx context.Context, e redis.XMessage, work func(context.Context, delivery)) error {
	if len(e.Values) == 0 { // it was dropped from the stream while it was on this consumer's list
		return b.done(ctx, e.ID)
	}
	j, err := jobOf(e)
	if err != nil {
		return err
	}
	var failed error
	keep := func(settle func(context.Context) error) func(context.Context) error {
		return func(ctx context.Context) error {
			failed = settle(ctx)
			return failed
		}
	}
	d := delivery{job: j, attempt: j.Tries + 1, ack: settled, fail: settled}
	if b.config.Ack == ackAfter {
		d.ack = keep(func(ctx context.Context) error { return b.done(ctx, e.ID) })
		d.fail = keep(func(ctx context.Context) error { return b.failed(ctx, e.ID, j) })
	}
	work(ctx, d)
	return failed
}

func jobOf(e redis.XMessage) (job, error) {
	text, _ := e.Values[redisJob].(string)
	return decodeJob([]byte(text))
}

// done takes an entry off the list of the consumer, and out of the stream.
func (b *redisStream) done(ctx context.Context, id string) error {
	_, err := b.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.XAck(ctx, redisQueue, redisGroup, id)
		p.XDel(ctx, redisQueue, id)
		return nil
	})
	return err
}

// failed appends the job anew, or to the dead letters, or nowhere, in one transaction with taking it away.
func (b *redisStream) failed(ctx context.Context, id string, j job) error {
	j.Tries++
	_, err := b.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		switch {
		case !b.config.givesUp(j.Tries):
			p.XAdd(ctx, &redis.XAddArgs{Stream: redisQueue, Values: []any{redisJob, j.encode()}})
		case b.config.DeadLetters != "":
			p.XAdd(ctx, &redis.XAddArgs{Stream: redisDead, Values: []any{redisJob, j.encode()}})
		}
		p.XAck(ctx, redisQueue, redisGroup, id)
		p.XDel(ctx, redisQueue, id)
		return nil
	})
	return err
}

type redisAdmin struct{ client *redis.Client }

func adminRedis(_ context.Context, env bench.Env, _ Config) (admin, error) {
	url, err := env.URL(redisBroker)
	if err != nil {
		return nil, err
	}
	options, err := redis.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	return redisAdmin{redis.NewClient(options)}, nil
}

func (a redisAdmin) close() error { return a.client.Close() }

func (a redisAdmin) reset(ctx context.Context) error {
	if err := a.client.Unlink(ctx, redisQueue, redisDead).Err(); err != nil {
		return err
	}
	return a.client.XGroupCreateMkStream(ctx, redisQueue, redisGroup, "0").Err()
}

func (a redisAdmin) waiting(ctx context.Context) (int, error) {
	n, err := a.client.XLen(ctx, redisQueue).Result()
	return int(n), err
}

func (a redisAdmin) take(ctx context.Context) (left, given []job, err error) {
	if left, err = a.takeStream(ctx, redisQueue); err == nil {
		given, err = a.takeStream(ctx, redisDead)
	}
	return left, given, err
}

func (a redisAdmin) takeStream(ctx context.Context, stream string) ([]job, error) {
	entries, err := a.client.XRange(ctx, stream, "-", "+").Result()
	if err != nil {
		return nil, err
	}
	jobs := make([]job, 0, len(entries))
	for _, e := range entries {
		j, err := jobOf(e)
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, j)
	}
	return jobs, a.client.XTrimMaxLen(ctx, stream, 0).Err()
}
