package queue

import (
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
	// MaxLength bounds the queue, 0 is no bound; Overflow is what happens beyond it: the "oldest" job is dropped, or the new one "refused".
	MaxLength int    `json:"max_length,omitempty"`
	Overflow  string `json:"overflow,omitempty"`
	// Order, when set, makes each request commit an order in PostgreSQL too, and says how its job gets into the queue.
	Order string `json:"order,omitempty"`
}

// The values of Ack, Overflow, DeadLetters and Order.
const (
	ackBefore = "before"
	ackAfter  = "after"

	dropOldest = "oldest"
	refuseNew  = "refused"

	dead      = "queue" // given-up jobs are moved to a queue
	deadFull  = "full"  // there is one, and it takes none: it is full
	deadKinds = "queue, full"

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
	case c.Consumers < 0 || c.Consumers > 64:
		return fmt.Errorf("consumers: must be 0 to 64, got %d", c.Consumers)
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
	return c.validateOrder()
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

// givesUp says whether a job that has failed so often is not tried again.
func (c Config) givesUp(attempts int) bool { return c.Attempts > 0 && attempts >= c.Attempts }
