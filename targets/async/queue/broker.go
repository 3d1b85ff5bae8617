package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"shakedown/bench"
	"shakedown/internal/clock"
	"shakedown/targets/serve"
)

// A job is what goes through a queue.
type job struct {
	Key int64 `json:"key"`
	// At is when it was accepted, by the clock that all processes share, in nanoseconds, and Due when it may begin; 0 is at once.
	At  int64 `json:"at"`
	Due int64 `json:"due,omitempty"`
	// Urgent jobs come before all others where the broker keeps priorities.
	Urgent bool `json:"urgent,omitempty"`
	// Tries is how often it has failed, where the broker does not count that itself.
	Tries int `json:"tries,omitempty"`
}

func (j job) encode() []byte {
	raw, _ := json.Marshal(j) // three numbers
	return raw
}

func decodeJob(body []byte) (job, error) {
	var j job
	if err := json.Unmarshal(body, &j); err != nil {
		return job{}, fmt.Errorf("a job that is none of ours: %.40q", body)
	}
	return j, nil
}

// A broker is a connection to a queue, for producers and consumers. Its methods may be called from many goroutines.
type broker interface {
	// publish returns nil once the broker has said that it has the job, or, unconfirmed, once the job is on its way. An error that is
	// serve.ErrUnsure leaves open whether it has it; serve.ErrRefused says that it did not want it.
	publish(ctx context.Context, j job) error
	// consume gives jobs to one consumer, one after the other, until ctx ends. The error says what went wrong with the connection;
	// consume may be called again then, and the broker gives again what was not acknowledged.
	consume(ctx context.Context, consumer string, work func(context.Context, delivery)) error
}

// A delivery is a job as a consumer is given it.
type delivery struct {
	job     job
	attempt int // 1 for the first
	// ack tells the broker that the job is done. Where a consumer acknowledges before it begins, it was told already.
	ack func(context.Context) error
	// fail tells the broker that it is not: it is tried again, after a while, or given up.
	fail func(ctx context.Context, after time.Duration) error
}

// kind is one sort of broker.
type kind struct {
	// open connects a process to the broker.
	open func(ctx context.Context, s *serve.Server, c Config) (broker, error)
	// admin connects straight to it, to prepare a trial and to look at what it has left.
	admin func(ctx context.Context, env bench.Env, c Config) (admin, error)
}

// admin makes queues and looks into them.
type admin interface {
	// reset makes the queues as the configuration wants them, without a job.
	reset(ctx context.Context) error
	// waiting is how many jobs the queue has, as far as the broker counts them without an effort.
	waiting(ctx context.Context) (int, error)
	// fill puts many jobs into the queue at once, in their order.
	fill(ctx context.Context, jobs []job) error
	// take empties the queue and that of dead letters, and returns what was in them.
	take(ctx context.Context) (left, given []job, err error)
	close() error
}

// The names of brokers are those of engines.
const (
	redisBroker    = "redis"
	postgresBroker = "postgres"
	rabbitBroker   = "rabbitmq"
	natsBroker     = "nats"
)

var kinds = map[string]*kind{
	redisBroker:    {openRedis, adminRedis},
	postgresBroker: {openPostgres, adminPostgres},
	rabbitBroker:   {openRabbit, adminRabbit},
	natsBroker:     {openNATS, adminNATS},
}

// A mover is a broker whose jobs that are to wait are somewhere else until they are due: somebody has to move them.
type mover interface {
	// move puts jobs that are due into the queue, up to some number, and says whether there may be more.
	move(ctx context.Context) (more bool, err error)
}

// settled is the acknowledgement of a job that was acknowledged before it began.
func settled(context.Context) error { return nil }

// tooLate is the failure of such a job.
func tooLate(context.Context, time.Duration) error { return nil }

// dueIn is the time by the clock that all processes share.
func dueIn(d time.Duration) int64 { return int64(clock.Now() + d) }

// unsure says of an error that the job may be in the queue or not.
func unsure(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", serve.ErrUnsure, err)
}

// errGone is why a consumer begins anew.
var errGone = errors.New("the connection to the broker has ended")
