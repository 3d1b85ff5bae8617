package queue

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"shakedown/internal/units"
)

// Config is how one variant passes jobs on and works them off. Producer and consumer are built from the same.
type Config struct {
	Broker string `json:"broker"` // "redis", "postgres", "rabbitmq" or "nats"
	// Kind of the queue, where the broker has several: RabbitMQ's is "classic" when left out, or "quorum".
	Kind string `json:"kind,omitempty"`
	// Ack is when a consumer acknowledges a job: "after" it is done, or "before" it begins, as soon as the job is received.
	Ack string `json:"ack"`
	// Idempotent: a consumer records the effect of a job only if there is none of that key yet.
	Idempotent bool `json:"idempotent,omitempty"`
	// Unconfirmed: the producer does not wait until the broker says that it has the job.
	Unconfirmed bool `json:"unconfirmed,omitempty"`
	// Consumers work at the same time, each at one job; each is given up to Prefetch jobs that it has not acknowledged.
	Consumers int `json:"consumers"`
	Prefetch  int `json:"prefetch"`
	// Queues is how many queues each job goes to; the consumers are shared out among them. 0 is one.
	Queues int `json:"queues,omitempty"`
	at     int // the queue that a connection consumes from
	// Work is what a job takes; its effect is there when half of it is over.
	Work units.Duration `json:"work"`
	// Uneven makes every fifth job take five times as long.
	Uneven bool `json:"uneven,omitempty"`
	// Poison: every so-manieth job fails, however often it is tried. Flaky: every so-manieth fails at its first attempt. 0 is none.
	Poison int64 `json:"poison,omitempty"`
	Flaky  int64 `json:"flaky,omitempty"`
	// Attempts is how often a job is tried before it is given up; 0 is for ever. One that is given up is dropped or, with DeadLetters,
	// moved to the queue of dead letters.
	Attempts    int    `json:"attempts,omitempty"`
	DeadLetters string `json:"dead_letters,omitempty"`
	// Backoff is how long a job that has failed for the first time waits until it is tried again, twice as long after each further failure and
	// at most BackoffMost, with jitter; 0 is not at all. It waits in the "queue" or, with its consumer, in the "consumer".
	Backoff     units.Duration `json:"backoff,omitempty"`
	BackoffMost units.Duration `json:"backoff_most,omitempty"`
	BackoffIn   string         `json:"backoff_in,omitempty"`
	// MaxLength bounds the queue, 0 is no bound; Overflow is what happens beyond it: the "oldest" job is dropped, or the new one "refused".
	MaxLength int    `json:"max_length,omitempty"`
	Overflow  string `json:"overflow,omitempty"`
	// Delay is how long after its acceptance a job is due. Poll is how often it is looked for jobs that are; 0 is 50 ms.
	Delay units.Duration `json:"delay,omitempty"`
	Poll  units.Duration `json:"poll,omitempty"`
	// Priority says what becomes of jobs that are urgent: their priority is "ignored", or "kept": they come before all others. There is no such job
	// when it is empty.
	Priority string `json:"priority,omitempty"`
	// Replicas is how many replicas of Redis must have a job before it counts as accepted (WAIT).
	Replicas int `json:"replicas,omitempty"`
	// Sync: the producer works the job off itself before it answers, at most Consumers at a time, and enqueues nothing.
	Sync bool `json:"sync,omitempty"`
	// Backlog is how many jobs wait in the queue already when a trial begins; nobody waits at its end until they are done.
	Backlog int `json:"backlog,omitempty"`
	// BacklogDue is how long after they were put there they are due; 0 is at once.
	BacklogDue units.Duration `json:"backlog_due,omitempty"`
	// Past is how many rows of jobs that were done already PostgreSQL's table has had before those of the backlog, and Snapshot whether a
	// transaction is open that began before they were deleted.
	Past     int  `json:"past,omitempty"`
	Snapshot bool `json:"snapshot,omitempty"`
	// For is how long a probe measures.
	For units.Duration `json:"for,omitempty"`
	// Order, when set, makes each request commit an order in PostgreSQL too, and says how its job gets into the queue.
	Order string `json:"order,omitempty"`
}

// The values of Ack, BackoffIn, Overflow, DeadLetters, Priority and Order.
const (
	ackBefore = "before"
	ackAfter  = "after"

	inQueue    = "queue"
	inConsumer = "consumer"

	dropOldest = "oldest"
	refuseNew  = "refused"

	dead      = "queue" // given-up jobs are moved to a queue
	deadFull  = "full"  // there is one, and it takes none: it is full
	deadKinds = "queue, full"

	ignored = "ignored"
	kept    = "kept"

	commitEnqueue = "commit-enqueue" // the order is committed, and then the job is enqueued
	enqueueCommit = "enqueue-commit" // the other way round
	outbox        = "outbox"         // the job is committed with the order, and a relay enqueues it
	inDatabase    = "in-database"    // the queue is a table of the database, and the job is committed with the order
)

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	switch {
	case kinds[c.Broker] == nil:
		return fmt.Errorf("broker: %q is none of redis, postgres, rabbitmq, nats", c.Broker)
	case c.Ack != ackBefore && c.Ack != ackAfter:
		return fmt.Errorf("ack: must be before or after, got %q", c.Ack)
	case c.Consumers < 0 || c.Consumers > 512:
		return fmt.Errorf("consumers: must be 0 to 512, got %d", c.Consumers)
	case c.Prefetch < 1 || c.Prefetch > 10000:
		return fmt.Errorf("prefetch: must be 1 to 10000, got %d", c.Prefetch)
	case c.Work < 0 || c.Poison < 0 || c.Flaky < 0 || c.Attempts < 0 || c.MaxLength < 0:
		return fmt.Errorf("work, poison, flaky, attempts and max_length must be ≥ 0")
	case !slices.Contains([]string{"", dead, deadFull}, c.DeadLetters):
		return fmt.Errorf("dead_letters: %q is none of %s", c.DeadLetters, deadKinds)
	case c.DeadLetters != "" && c.Attempts == 0:
		return fmt.Errorf("dead_letters: needs attempts, after which a job is given up")
	case !slices.Contains([]string{"", dropOldest, refuseNew}, c.Overflow) || (c.MaxLength > 0) != (c.Overflow != ""):
		return fmt.Errorf("overflow: must be oldest or refused where there is a max_length, got %q", c.Overflow)
	}
	if c.Sync && (c.Consumers == 0 || c.Order != "") {
		return errors.New("sync: needs consumers, and has no order")
	}
	if !slices.Contains([]string{"", ignored, kept}, c.Priority) {
		return fmt.Errorf("priority: %q is none of ignored, kept", c.Priority)
	}
	if c.Queues < 0 || c.Queues > 1 && c.Broker != natsBroker && c.Broker != rabbitBroker {
		return fmt.Errorf("queues: must be ≥ 0, and only nats and rabbitmq have more than one; got %d, broker %s", c.Queues, c.Broker)
	}
	if c.Replicas < 0 || c.Replicas > 0 && c.Broker != redisBroker {
		return fmt.Errorf("replicas: must be ≥ 0, and only redis can be asked about them; got %d, broker %s", c.Replicas, c.Broker)
	}
	if c.Priority == kept && (c.Broker == natsBroker || c.Kind == rabbitQuorum || c.waits() || c.MaxLength > 0) {
		return errors.New("priority: is kept in redis, postgres and classic queues of rabbitmq, without delays and a max_length")
	}
	return errors.Join(c.validateBackoff(), c.validateBacklog(), c.validateOrder())
}

func (c Config) validateBackoff() error {
	switch {
	case c.Backoff < 0 || (c.Backoff > 0) != (c.BackoffMost >= c.Backoff && c.BackoffMost > 0):
		return fmt.Errorf("backoff: must be 0, or at most backoff_most, got %v and %v", c.Backoff, c.BackoffMost)
	case (c.Backoff > 0) != (c.BackoffIn == inQueue || c.BackoffIn == inConsumer):
		return fmt.Errorf("backoff_in: must be queue or consumer where there is a backoff, got %q", c.BackoffIn)
	case c.BackoffIn == inQueue && c.Broker == rabbitBroker:
		return errors.New("backoff_in: RabbitMQ has no queue here in which jobs wait for their time")
	}
	return nil
}

func (c Config) validateBacklog() error {
	switch {
	case c.Backlog < 0 || c.Backlog > 2_000_000 || c.Past < 0 || c.Past > 2_000_000:
		return fmt.Errorf("backlog and past: must be 0 to 2000000, got %d and %d", c.Backlog, c.Past)
	case (c.Past > 0 || c.Snapshot) && c.Broker != postgresBroker:
		return fmt.Errorf("past and snapshot: speak of the broker postgres, not of %s", c.Broker)
	case c.For < 0 || c.Delay < 0 || c.Poll < 0 || c.BacklogDue < 0:
		return fmt.Errorf("for, delay, poll and backlog_due must be ≥ 0, got %v, %v, %v and %v", c.For, c.Delay, c.Poll, c.BacklogDue)
	case (c.Delay > 0 || c.BacklogDue > 0) && c.Broker != redisBroker && c.Broker != postgresBroker:
		return fmt.Errorf("delay and backlog_due: jobs can be due later in redis and postgres, not in %s", c.Broker)
	case c.BacklogDue > 0 && c.Delay == 0:
		return errors.New("backlog_due: needs a delay")
	}
	return nil
}

func (c Config) validateOrder() error {
	if !slices.Contains([]string{"", commitEnqueue, enqueueCommit, outbox, inDatabase}, c.Order) {
		return fmt.Errorf("order: %q is none of commit-enqueue, enqueue-commit, outbox, in-database", c.Order)
	}
	if c.Order == inDatabase && c.Broker != postgresBroker {
		return fmt.Errorf("order: in-database needs the broker postgres, not %s", c.Broker)
	}
	return nil
}

// queues is how many queues each job goes to.
func (c Config) queues() int { return max(1, c.Queues) }

// consuming is the configuration of a connection that consumes from the queue of that number.
func (c Config) consuming(at int) Config {
	c.at = at
	return c
}

// half is half of what a job takes.
func (c Config) half(key int64) time.Duration {
	if c.Uneven && key%5 == 4 {
		return 5 * c.Work.D() / 2
	}
	return c.Work.D() / 2
}

// fails says whether an attempt at a job does not succeed.
func (c Config) fails(key int64, attempt int) bool {
	return c.Poison > 0 && key%c.Poison == c.Poison-1 || c.Flaky > 0 && key%c.Flaky == c.Flaky-1 && attempt <= 1
}

// backoff is how long a job waits that has failed so often, with random in [0, 1): half of it is certain.
func (c Config) backoff(failures int, random float64) time.Duration {
	if c.Backoff == 0 {
		return 0
	}
	most := min(c.BackoffMost.D(), c.Backoff.D()<<min(failures-1, 20))
	return most/2 + time.Duration(random*float64(most/2))
}

// waits says whether jobs wait in the queue for their time.
func (c Config) waits() bool { return c.BackoffIn == inQueue || c.Delay > 0 }

// poll is how often it is looked for jobs that are due.
func (c Config) poll() time.Duration { return cmp.Or(c.Poll.D(), 50*time.Millisecond) }

// givesUp says whether a job that has failed so often is not tried again.
func (c Config) givesUp(attempts int) bool { return c.Attempts > 0 && attempts >= c.Attempts }
