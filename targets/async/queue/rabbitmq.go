package queue

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"shakedown/bench"
	"shakedown/targets/serve"
)

// The names of the queues.
const (
	rabbitQueue = "shakedown"
	rabbitDead  = "shakedown-dead"
)

const rabbitQuorum = "quorum"

// rabbitNamed is the name of a queue.
func rabbitNamed(queue int) string {
	if queue == 0 {
		return rabbitQueue
	}
	return fmt.Sprintf("%s-%d", rabbitQueue, queue)
}

// exchange is what jobs are published to: the default one, which leads to the queue of a name, or one that leads to all queues.
func (c Config) exchange() string {
	if c.queues() > 1 {
		return rabbitQueue
	}
	return ""
}

// rabbitNode is a queue of RabbitMQ. Its client does not connect again by itself.
type rabbitNode struct {
	config Config
	url    string

	mu     sync.Mutex
	conn   *amqp.Connection
	ch     *amqp.Channel // of producers; nil until the first of them comes
	failed error         // why the last attempt to connect failed
	at     time.Time     // and when
}

func openRabbit(ctx context.Context, s *serve.Server, c Config) (broker, error) {
	url, err := s.Env().URL(rabbitBroker)
	if err != nil {
		return nil, err
	}
	b := &rabbitNode{config: c, url: url}
	s.OnStop("rabbitmq", func(context.Context) error { return b.close() })
	s.Ready("rabbitmq", func(ctx context.Context) error {
		_, err := b.connection(ctx)
		return err
	})
	return b, ctx.Err()
}

func (b *rabbitNode) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conn == nil {
		return nil
	}
	_ = b.conn.CloseDeadline(time.Now().Add(time.Second)) // the node may be gone
	return nil
}

// connectAgain is how long nobody tries to connect after an attempt that failed.
const connectAgain = 50 * time.Millisecond

// connection is the one of this process, made anew when it has ended.
func (b *rabbitNode) connection(ctx context.Context) (*amqp.Connection, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.connected(ctx)
}

// connected is called with the lock.
func (b *rabbitNode) connected(ctx context.Context) (*amqp.Connection, error) {
	if b.conn != nil && !b.conn.IsClosed() {
		return b.conn, nil
	}
	if b.failed != nil && time.Since(b.at) < connectAgain {
		return nil, b.failed
	}
	b.conn, b.failed = dialRabbit(ctx, b.url)
	b.at, b.ch = time.Now(), nil
	return b.conn, b.failed
}

// dialRabbit connects, within a second.
func dialRabbit(ctx context.Context, url string) (*amqp.Connection, error) {
	return amqp.DialConfig(url, amqp.Config{Heartbeat: 10 * time.Second, Locale: "en_US", Dial: func(network, addr string) (net.Conn, error) {
		dialer := net.Dialer{Timeout: time.Second}
		conn, err := dialer.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return conn, conn.SetDeadline(time.Now().Add(2 * time.Second)) // of the handshake; the client takes it away afterwards
	}})
}

// channel is the one that producers share.
func (b *rabbitNode) channel(ctx context.Context) (*amqp.Channel, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	conn, err := b.connected(ctx)
	if err != nil {
		return nil, err
	}
	if b.ch != nil && !b.ch.IsClosed() {
		return b.ch, nil
	}
	if b.ch, err = channelOf(conn); err == nil && !b.config.Unconfirmed {
		err = b.ch.Confirm(false)
	}
	return b.ch, err
}

func (b *rabbitNode) publish(ctx context.Context, j job) error {
	ch, err := b.channel(ctx)
	if err != nil {
		return err // nothing was sent
	}
	confirmed, err := ch.PublishWithDeferredConfirmWithContext(ctx, b.config.exchange(), rabbitQueue, false, false, b.config.message(j))
	switch {
	case errors.Is(err, amqp.ErrClosed):
		return err // before it was sent
	case err != nil:
		return unsure(err)
	case b.config.Unconfirmed:
		return nil
	}
	took, err := confirmed.WaitContext(ctx)
	switch {
	case err != nil:
		return unsure(err)
	case !took && ch.IsClosed(): // the client reports what was not confirmed by then as refused
		return unsure(errGone)
	case !took:
		return fmt.Errorf("%w: the queue is full", serve.ErrRefused)
	}
	return nil
}

// message is a job as it is published.
func (c Config) message(j job) amqp.Publishing {
	m := amqp.Publishing{DeliveryMode: amqp.Persistent, Body: j.encode()}
	if c.Priority == kept && j.Urgent {
		m.Priority = 1
	}
	return m
}

// channelOf opens a channel. The client library (amqp091-go 1.16) dereferences nil when the connection is closed under it, which a broker
// that is killed does; the flag that is looked at first is set a moment earlier, so that a panic in between is the same news.
func channelOf(conn *amqp.Connection) (ch *amqp.Channel, err error) {
	defer func() {
		if recover() != nil {
			ch, err = nil, amqp.ErrClosed
		}
	}()
	if conn.IsClosed() {
		return nil, amqp.ErrClosed
	}
	return conn.Channel()
}

func (b *rabbitNode) consume(ctx context.Context, consumer string, work func(context.Context, delivery)) error {
	conn, err := b.connection(ctx)
	if err != nil {
		return err
	}
	ch, err := channelOf(conn)
	if err != nil {
		return err
	}
	defer func() { _ = ch.Close() }() // gives back what was not acknowledged
	if err := ch.Qos(b.config.Prefetch, 0, false); err != nil {
		return err
	}
	// Without the context: the client would cancel the consumer while the channel is being closed, and each would take the other's answer.
	deliveries, err := ch.Consume(rabbitNamed(b.config.at), consumer, b.config.Ack == ackBefore, false, false, false, nil)
	if err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case d, ok := <-deliveries:
			if !ok {
				return errGone
			}
			if err := b.deliver(ctx, d, work); err != nil {
				return err
			}
		}
	}
}

func (b *rabbitNode) deliver(ctx context.Context, d amqp.Delivery, work func(context.Context, delivery)) error {
	j, err := decodeJob(d.Body)
	if err != nil {
		return err
	}
	given := delivery{job: j, attempt: attemptOf(d), ack: settled, fail: tooLate}
	if b.config.Ack == ackAfter {
		given.ack = func(context.Context) error { return d.Ack(false) }
		given.fail = func(context.Context, time.Duration) error { return d.Nack(false, b.again(given.attempt)) }
	}
	work(ctx, given)
	return nil
}

// attemptOf is counted by quorum queues; others only say that it is not the first.
func attemptOf(d amqp.Delivery) int {
	if n, ok := d.Headers["x-delivery-count"].(int64); ok {
		return int(n) + 1
	}
	if d.Redelivered {
		return 2
	}
	return 1
}

// again says whether a job that has failed goes back into the queue. A quorum queue gives it up by itself, a classic one does not count.
func (b *rabbitNode) again(attempt int) bool {
	return b.config.Kind == rabbitQuorum || !b.config.givesUp(attempt)
}

// arguments are those that the queue is declared with.
func (c Config) arguments() amqp.Table {
	args := amqp.Table{}
	if c.Kind == rabbitQuorum {
		args["x-queue-type"] = rabbitQuorum
		if c.Attempts > 0 {
			args["x-delivery-limit"] = c.Attempts - 1 // how often it may come back
		}
	}
	if c.Priority == kept {
		args["x-max-priority"] = 1
	}
	if c.DeadLetters != "" {
		args["x-dead-letter-exchange"], args["x-dead-letter-routing-key"] = "", rabbitDead
	}
	if c.MaxLength > 0 {
		args["x-max-length"] = c.MaxLength
		args["x-overflow"] = map[string]string{dropOldest: "drop-head", refuseNew: "reject-publish"}[c.Overflow]
	}
	return args
}

type rabbitAdmin struct {
	config Config
	conn   *amqp.Connection
	ch     *amqp.Channel
}

func adminRabbit(ctx context.Context, env bench.Env, c Config) (admin, error) {
	url, err := env.URL(rabbitBroker)
	if err != nil {
		return nil, err
	}
	conn, err := dialRabbit(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("rabbitmq: %w", err)
	}
	ch, err := channelOf(conn)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("rabbitmq: %w", err), conn.Close())
	}
	return &rabbitAdmin{c, conn, ch}, nil
}

func (a *rabbitAdmin) close() error { return a.conn.Close() }

func (a *rabbitAdmin) reset(context.Context) error {
	if _, err := a.ch.QueueDelete(rabbitDead, false, false, false); err != nil {
		return err
	}
	if a.config.DeadLetters != "" {
		args := amqp.Table{}
		if a.config.DeadLetters == deadFull {
			args["x-max-length"], args["x-overflow"] = 0, "reject-publish"
		}
		if _, err := a.ch.QueueDeclare(rabbitDead, true, false, false, false, args); err != nil {
			return err
		}
	}
	if err := a.ch.ExchangeDelete(rabbitQueue, false, false); err != nil {
		return err
	}
	if a.config.queues() > 1 {
		if err := a.ch.ExchangeDeclare(rabbitQueue, amqp.ExchangeFanout, true, false, false, false, nil); err != nil {
			return err
		}
	}
	for at := range a.config.queues() {
		if err := a.declare(rabbitNamed(at)); err != nil {
			return err
		}
	}
	return nil
}

// declare makes a queue that jobs come to.
func (a *rabbitAdmin) declare(name string) error {
	if _, err := a.ch.QueueDelete(name, false, false, false); err != nil {
		return err
	}
	_, err := a.ch.QueueDeclare(name, true, false, false, false, a.config.arguments())
	if err == nil && a.config.queues() > 1 {
		err = a.ch.QueueBind(name, "", rabbitQueue, false, nil)
	}
	return err
}

// fill waits for the last confirm, which says that all before it are there.
func (a *rabbitAdmin) fill(ctx context.Context, jobs []job) error {
	if err := a.ch.Confirm(false); err != nil {
		return err
	}
	var last *amqp.DeferredConfirmation
	for _, j := range jobs {
		var err error
		if last, err = a.ch.PublishWithDeferredConfirmWithContext(ctx, a.config.exchange(), rabbitQueue, false, false, a.config.message(j)); err != nil {
			return err
		}
	}
	if last == nil {
		return nil
	}
	took, err := last.WaitContext(ctx)
	if err == nil && !took {
		err = errors.New("the queue refused a job")
	}
	return err
}

// waiting are the jobs that no consumer has.
func (a *rabbitAdmin) waiting(context.Context) (int, error) {
	var all int
	for at := range a.config.queues() {
		q, err := a.ch.QueueDeclarePassive(rabbitNamed(at), true, false, false, false, nil)
		if err != nil {
			return 0, err
		}
		all += q.Messages
	}
	return all, nil
}

func (a *rabbitAdmin) take(context.Context) (left, given []job, err error) {
	for at := range a.config.queues() {
		jobs, err := a.takeQueue(rabbitNamed(at))
		if err != nil {
			return nil, nil, err
		}
		left = append(left, jobs...)
	}
	if a.config.DeadLetters != "" {
		given, err = a.takeQueue(rabbitDead)
	}
	return left, given, err
}

func (a *rabbitAdmin) takeQueue(name string) (jobs []job, err error) {
	for {
		d, there, err := a.ch.Get(name, true)
		if err != nil || !there {
			return jobs, err
		}
		j, err := decodeJob(d.Body)
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, j)
	}
}
