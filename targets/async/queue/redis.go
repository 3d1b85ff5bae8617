package queue

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"shakedown/bench"
	"shakedown/targets/serve"
)

// The names of the streams and of the group of consumers.
const (
	redisQueue = "shakedown:queue"
	redisFirst = "shakedown:queue:urgent" // where priorities are kept
	redisDead  = "shakedown:queue:dead"
	redisLater = "shakedown:queue:later" // a sorted set: jobs that are not due yet, by when they are, in microseconds
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
	nodes  *serve.RedisNodes
}

func openRedis(_ context.Context, s *serve.Server, c Config) (broker, error) {
	nodes, err := s.RedisNodes(serve.RedisOptions{PoolSize: 64 + c.Consumers, DialTimeout: time.Second, ReadTimeout: time.Second, WriteTimeout: time.Second})
	if err != nil {
		return nil, err
	}
	return &redisStream{c, nodes}, nil
}

func (b *redisStream) publish(ctx context.Context, j job) error {
	return redisDoubt(b.nodes.On(func(c *redis.Client) error {
		switch {
		case b.config.Replicas > 0:
			return b.publishCopied(ctx, c, j)
		case b.config.MaxLength > 0 && b.config.Overflow == refuseNew:
			return b.publishBounded(ctx, c, j)
		case j.Due > 0:
			return later(ctx, c, j)
		}
		return b.add(ctx, c, j)
	}))
}

func (b *redisStream) add(ctx context.Context, in redis.Cmdable, j job) error {
	return in.XAdd(ctx, &redis.XAddArgs{Stream: b.config.streamOf(j), MaxLen: int64(b.config.MaxLength), Values: []any{redisJob, j.encode()}}).Err()
}

// copiedWithin is how long a producer waits for replicas.
const copiedWithin = 500 * time.Millisecond

// publishCopied appends a job that counts only once as many replicas have it as the configuration says. When they do not in time, it may be
// in the queue or not.
func (b *redisStream) publishCopied(ctx context.Context, c *redis.Client, j job) error {
	conn := c.Conn() // WAIT speaks of the writes of its own connection
	defer func() { _ = conn.Close() }()
	if err := b.add(ctx, conn, j); err != nil {
		return err
	}
	have, err := conn.Wait(ctx, b.config.Replicas, copiedWithin).Result()
	if err == nil && have < int64(b.config.Replicas) {
		err = fmt.Errorf("%d of %d replicas have the job", have, b.config.Replicas)
	}
	return unsure(err)
}

// later keeps a job until it is due.
func later(ctx context.Context, in redis.Cmdable, j job) error {
	return in.ZAdd(ctx, redisLater, redis.Z{Score: float64(j.Due / 1000), Member: j.encode()}).Err()
}

// moveDue appends jobs that are due to the stream, in the order in which they are.
var moveDue = redis.NewScript(`
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
for _, j in ipairs(due) do
	redis.call('XADD', KEYS[2], '*', 'job', j)
	redis.call('ZREM', KEYS[1], j)
end
return #due`)

// redisMove is how many jobs are moved at once: Redis does nothing else meanwhile.
const redisMove = 200

func (b *redisStream) move(ctx context.Context) (more bool, err error) {
	var n int
	err = b.nodes.On(func(c *redis.Client) (err error) {
		n, err = moveDue.Run(ctx, c, []string{redisLater, redisQueue}, dueIn(0)/1000, redisMove).Int()
		return err
	})
	return n == redisMove, err
}

// addUnlessFull appends a job unless the stream has as many as it may have.
var addUnlessFull = redis.NewScript(`
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('XADD', KEYS[1], '*', 'job', ARGV[2])
return 1`)

func (b *redisStream) publishBounded(ctx context.Context, c *redis.Client, j job) error {
	added, err := addUnlessFull.Run(ctx, c, []string{redisQueue}, b.config.MaxLength, j.encode()).Int()
	if err == nil && added == 0 {
		return fmt.Errorf("%w: the queue is full", serve.ErrRefused)
	}
	return err
}

// redisDoubt marks an error after which the command may have been carried out or not.
func redisDoubt(err error) error {
	var said redis.Error
	var dial *net.OpError
	if err == nil || errors.Is(err, serve.ErrRefused) || errors.Is(err, serve.ErrUnsure) || errors.As(err, &said) || errors.As(err, &dial) && dial.Op == "dial" {
		return err
	}
	return unsure(err)
}

// streams are those that jobs come from, the urgent ones first.
func (c Config) streams() []string {
	if c.Priority == kept {
		return []string{redisFirst, redisQueue}
	}
	return []string{redisQueue}
}

// streamOf is the one that a job belongs to.
func (c Config) streamOf(j job) string {
	if c.Priority == kept && j.Urgent {
		return redisFirst
	}
	return redisQueue
}

// entry is what a stream holds.
type entry struct {
	stream string
	redis.XMessage
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
				if err := b.done(ctx, e); err != nil {
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

// read returns the next entries of the first stream that has any, none when there are none for a while.
func (b *redisStream) read(ctx context.Context, consumer, from string) ([]entry, error) {
	streams := b.config.streams()
	if len(streams) > 1 {
		for _, stream := range streams {
			if entries, err := b.readOf(ctx, consumer, from, -1, stream); err != nil || len(entries) > 0 {
				return entries, err
			}
		}
	}
	return b.readOf(ctx, consumer, from, redisWait, streams...)
}

// readOf waits until one of the streams has an entry, or so long; a negative time is not at all.
func (b *redisStream) readOf(ctx context.Context, consumer, from string, wait time.Duration, streams ...string) ([]entry, error) {
	args := slices.Clone(streams)
	for range streams {
		args = append(args, from)
	}
	var found []redis.XStream
	err := b.nodes.On(func(c *redis.Client) (err error) {
		found, err = c.XReadGroup(ctx, &redis.XReadGroupArgs{
			Group: redisGroup, Consumer: consumer, Streams: args, Count: int64(b.config.Prefetch), Block: wait,
		}).Result()
		return err
	})
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	var entries []entry
	for _, s := range found {
		for _, m := range s.Messages {
			entries = append(entries, entry{s.Stream, m})
		}
	}
	return entries, err
}

// deliver has one job worked off. An acknowledgement that fails ends the consumer's turn: what it was given is given again.
func (b *redisStream) deliver(ctx context.Context, e entry, work func(context.Context, delivery)) error {
	if len(e.Values) == 0 { // it was dropped from the stream while it was on this consumer's list
		return b.done(ctx, e)
	}
	j, err := jobOf(e.XMessage)
	if err != nil {
		return err
	}
	var failed error
	d := delivery{job: j, attempt: j.Tries + 1, ack: settled, fail: tooLate}
	if b.config.Ack == ackAfter {
		d.ack = func(ctx context.Context) error {
			failed = b.done(ctx, e)
			return failed
		}
		d.fail = func(ctx context.Context, after time.Duration) error {
			failed = b.failed(ctx, e, j, after)
			return failed
		}
	}
	work(ctx, d)
	return failed
}

func jobOf(e redis.XMessage) (job, error) {
	text, _ := e.Values[redisJob].(string)
	return decodeJob([]byte(text))
}

// done takes an entry off the list of the consumer, and out of the stream.
func (b *redisStream) done(ctx context.Context, e entry) error {
	return b.atOnce(ctx, func(p redis.Pipeliner) { e.take(ctx, p) })
}

// atOnce makes a transaction of commands.
func (b *redisStream) atOnce(ctx context.Context, commands func(redis.Pipeliner)) error {
	return b.nodes.On(func(c *redis.Client) error {
		_, err := c.TxPipelined(ctx, func(p redis.Pipeliner) error {
			commands(p)
			return nil
		})
		return err
	})
}

func (e entry) take(ctx context.Context, p redis.Pipeliner) {
	p.XAck(ctx, e.stream, redisGroup, e.ID)
	p.XDel(ctx, e.stream, e.ID)
}

// failed appends the job anew, or to the dead letters, or nowhere, in one transaction with taking it away.
func (b *redisStream) failed(ctx context.Context, e entry, j job, after time.Duration) error {
	j.Tries++
	if after > 0 {
		j.Due = dueIn(after)
	}
	return b.atOnce(ctx, func(p redis.Pipeliner) {
		switch {
		case !b.config.givesUp(j.Tries) && after > 0:
			_ = later(ctx, p, j) // the transaction's error
		case !b.config.givesUp(j.Tries):
			p.XAdd(ctx, &redis.XAddArgs{Stream: e.stream, Values: []any{redisJob, j.encode()}})
		case b.config.DeadLetters != "":
			p.XAdd(ctx, &redis.XAddArgs{Stream: redisDead, Values: []any{redisJob, j.encode()}})
		}
		e.take(ctx, p)
	})
}

type redisAdmin struct {
	config Config
	client *redis.Client
}

func adminRedis(ctx context.Context, env bench.Env, c Config) (admin, error) {
	url, err := env.URL(redisBroker)
	if err != nil {
		return nil, err
	}
	urls := []string{url}
	for name, url := range env.URLs {
		if strings.HasPrefix(name, redisBroker+"-") { // after a failover any of them may be the primary
			urls = append(urls, url)
		}
	}
	for _, url := range urls {
		options, err := redis.ParseURL(url)
		if err != nil {
			return nil, fmt.Errorf("redis: %w", err)
		}
		client := redis.NewClient(options)
		role, err := client.Do(ctx, "ROLE").Slice()
		if err == nil && len(role) > 0 && role[0] == "master" {
			return redisAdmin{c, client}, nil
		}
		if err := errors.Join(err, client.Close()); err != nil {
			return nil, fmt.Errorf("redis: %w", err)
		}
	}
	return nil, errors.New("redis: no server is the primary")
}

func (a redisAdmin) close() error { return a.client.Close() }

func (a redisAdmin) reset(ctx context.Context) error {
	if err := a.client.Unlink(ctx, redisQueue, redisFirst, redisDead, redisLater).Err(); err != nil {
		return err
	}
	for _, stream := range a.config.streams() {
		if err := a.client.XGroupCreateMkStream(ctx, stream, redisGroup, "0").Err(); err != nil {
			return err
		}
	}
	return nil
}

// redisBatch is how many commands are sent at once.
const redisBatch = 1000

func (a redisAdmin) fill(ctx context.Context, jobs []job) error {
	for chunk := range slices.Chunk(jobs, redisBatch) {
		_, err := a.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, j := range chunk {
				if j.Due > 0 {
					_ = later(ctx, p, j) // the pipeline's error
					continue
				}
				p.XAdd(ctx, &redis.XAddArgs{Stream: redisQueue, Values: []any{redisJob, j.encode()}})
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// waiting are all that are in the stream, those that consumers have included, and those that are not due.
func (a redisAdmin) waiting(ctx context.Context) (int, error) {
	waiting, err := a.client.ZCard(ctx, redisLater).Result()
	for _, stream := range a.config.streams() {
		if err == nil {
			var n int64
			n, err = a.client.XLen(ctx, stream).Result()
			waiting += n
		}
	}
	return int(waiting), err
}

func (a redisAdmin) take(ctx context.Context) (left, given []job, err error) {
	for _, stream := range a.config.streams() {
		jobs, err := a.takeStream(ctx, stream)
		if err != nil {
			return nil, nil, err
		}
		left = append(left, jobs...)
	}
	later, err := a.takeLater(ctx)
	if err != nil {
		return nil, nil, err
	}
	given, err = a.takeStream(ctx, redisDead)
	return append(left, later...), given, err
}

func (a redisAdmin) takeLater(ctx context.Context) (jobs []job, err error) {
	for {
		popped, err := a.client.ZPopMin(ctx, redisLater, redisBatch).Result()
		if err != nil || len(popped) == 0 {
			return jobs, err
		}
		for _, z := range popped {
			text, _ := z.Member.(string)
			j, err := decodeJob([]byte(text))
			if err != nil {
				return nil, err
			}
			jobs = append(jobs, j)
		}
	}
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
