package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"shakedown/bench"
	"shakedown/targets/serve"
)

// The names of the streams, which are those of their subjects too, and of the consumer that all workers share.
const (
	natsQueue   = "shakedown"
	natsDead    = "shakedown-dead"
	natsWorkers = "workers"
)

// natsConsumer is what the workers of a queue share. All queues are one stream: each consumer is given all of it.
func natsConsumer(queue int) string {
	if queue == 0 {
		return natsWorkers
	}
	return fmt.Sprintf("%s-%d", natsWorkers, queue)
}

// natsWait is how long a consumer asks for jobs before it asks again.
const natsWait = 100 * time.Millisecond

// natsStream is a work queue of JetStream: what is acknowledged leaves the stream. What was given and is not acknowledged for a while is
// given again; the server does not notice that a consumer has died.
type natsStream struct {
	config Config
	conn   *nats.Conn
	js     jetstream.JetStream
}

func openNATS(_ context.Context, s *serve.Server, c Config) (broker, error) {
	url, err := s.Env().URL(natsBroker)
	if err != nil {
		return nil, err
	}
	conn, js, err := connectNATS(url)
	if err != nil {
		return nil, err
	}
	s.OnStop("nats", func(context.Context) error { conn.Close(); return nil })
	s.Ready("nats", func(ctx context.Context) error {
		_, err := js.AccountInfo(ctx)
		return err
	})
	return &natsStream{c, conn, js}, nil
}

// connectNATS makes a connection that comes back by itself, and meanwhile refuses what is published instead of keeping it.
func connectNATS(url string) (*nats.Conn, jetstream.JetStream, error) {
	conn, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond), nats.ReconnectJitter(0, 0),
		nats.Timeout(time.Second), nats.ReconnectBufSize(-1), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		return nil, nil, fmt.Errorf("nats: %w", err)
	}
	js, err := jetstream.New(conn)
	if err != nil {
		conn.Close()
	}
	return conn, js, err
}

func (b *natsStream) publish(ctx context.Context, j job) error {
	if b.config.Unconfirmed {
		return b.conn.Publish(natsQueue, j.encode())
	}
	_, err := b.js.Publish(ctx, natsQueue, j.encode(), jetstream.WithRetryAttempts(0))
	var said *jetstream.APIError
	switch {
	case err == nil, errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, nats.ErrConnectionClosed):
		return err // nothing was sent
	case errors.As(err, &said):
		return fmt.Errorf("%w: %w", serve.ErrRefused, err)
	}
	return unsure(err)
}

func (b *natsStream) consume(ctx context.Context, _ string, work func(context.Context, delivery)) error {
	consumer, err := b.js.Consumer(ctx, natsQueue, natsConsumer(b.config.at))
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		batch, err := consumer.Fetch(b.config.Prefetch, jetstream.FetchMaxWait(natsWait))
		if err != nil {
			return err
		}
		if err := b.batch(ctx, batch, work); err != nil {
			return err
		}
	}
	return nil
}

// batch has jobs worked off as they come; those that are acknowledged before, once all of the batch have come.
func (b *natsStream) batch(ctx context.Context, batch jetstream.MessageBatch, work func(context.Context, delivery)) error {
	var given int
	var early []jetstream.Msg
	for m := range batch.Messages() {
		given++
		if b.config.Ack == ackBefore {
			if err := m.DoubleAck(ctx); err != nil {
				return err
			}
			early = append(early, m)
		} else if err := b.deliver(ctx, m, work); err != nil {
			return err
		}
	}
	for _, m := range early {
		if err := b.deliver(ctx, m, work); err != nil {
			return err
		}
	}
	if given == 0 {
		return batch.Error()
	}
	return nil
}

func (b *natsStream) deliver(ctx context.Context, m jetstream.Msg, work func(context.Context, delivery)) error {
	j, err := decodeJob(m.Data())
	if err != nil {
		return err
	}
	meta, err := m.Metadata()
	if err != nil {
		return err
	}
	d := delivery{job: j, attempt: int(meta.NumDelivered), ack: settled, fail: tooLate}
	if b.config.Ack == ackAfter {
		d.ack = func(context.Context) error { return m.Ack() }
		d.fail = func(ctx context.Context, after time.Duration) error { return b.failed(ctx, m, d.attempt, after) }
	}
	work(ctx, d)
	return nil
}

// failed gives the job back. JetStream has no queue of dead letters: the consumer moves the job there itself. Without one the server
// gives it up after so many attempts, and keeps it in the stream, where nobody is given it any more.
func (b *natsStream) failed(ctx context.Context, m jetstream.Msg, attempt int, after time.Duration) error {
	if b.config.DeadLetters == "" || !b.config.givesUp(attempt) {
		if after > 0 {
			return m.NakWithDelay(after)
		}
		return m.Nak()
	}
	if _, err := b.js.Publish(ctx, natsDead, m.Data()); err != nil {
		return err // it comes again
	}
	return m.DoubleAck(ctx)
}

// ackWait is how long a consumer may take for what it was given at a time. Where a job that has failed waits with its consumer, so long, too.
func (c Config) ackWait() time.Duration {
	each := 2 * c.Work.D()
	if c.BackoffIn == inConsumer {
		each += c.BackoffMost.D()
	}
	return max(time.Second, time.Duration(c.Prefetch)*each)
}

type natsAdmin struct {
	config Config
	conn   *nats.Conn
	js     jetstream.JetStream
}

func adminNATS(_ context.Context, env bench.Env, c Config) (admin, error) {
	url, err := env.URL(natsBroker)
	if err != nil {
		return nil, err
	}
	conn, js, err := connectNATS(url)
	if err != nil {
		return nil, err
	}
	return &natsAdmin{c, conn, js}, nil
}

func (a *natsAdmin) close() error {
	a.conn.Close()
	return nil
}

// The server removes the files of a stream that was deleted after it has said that it is gone, and may not be able to make another of its
// name meanwhile (nats-server 2.15, fileStore.delete).
const (
	natsStoreFailed = jetstream.ErrorCode(10049) // JSStreamCreateErrF
	natsRemovesIn   = 5 * time.Second
)

// create makes a stream, as soon as the server can.
func (a *natsAdmin) create(ctx context.Context, c jetstream.StreamConfig) error {
	for deadline := time.Now().Add(natsRemovesIn); ; {
		_, err := a.js.CreateStream(ctx, c)
		var answer *jetstream.APIError
		if !errors.As(err, &answer) || answer.ErrorCode != natsStoreFailed || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (a *natsAdmin) reset(ctx context.Context) error {
	for _, name := range []string{natsQueue, natsDead} {
		if err := a.js.DeleteStream(ctx, name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			return err
		}
	}
	queue := jetstream.StreamConfig{Name: natsQueue, Subjects: []string{natsQueue}, Retention: jetstream.WorkQueuePolicy, Storage: jetstream.FileStorage}
	if a.config.queues() > 1 {
		queue.Retention = jetstream.InterestPolicy // a job leaves the stream when every consumer has acknowledged it
	}
	if a.config.MaxLength > 0 {
		queue.MaxMsgs = int64(a.config.MaxLength)
		queue.Discard = map[string]jetstream.DiscardPolicy{dropOldest: jetstream.DiscardOld, refuseNew: jetstream.DiscardNew}[a.config.Overflow]
	}
	if err := a.create(ctx, queue); err != nil {
		return err
	}
	if err := a.create(ctx, jetstream.StreamConfig{Name: natsDead, Subjects: []string{natsDead}, Storage: jetstream.FileStorage}); err != nil {
		return err
	}
	most := -1
	if a.config.Attempts > 0 {
		most = a.config.Attempts
	}
	for at := range a.config.queues() {
		if _, err := a.js.CreateConsumer(ctx, natsQueue, jetstream.ConsumerConfig{
			Durable: natsConsumer(at), AckPolicy: jetstream.AckExplicitPolicy, AckWait: a.config.ackWait(), MaxDeliver: most, MaxAckPending: 10000,
		}); err != nil {
			return err
		}
	}
	return nil
}

func (a *natsAdmin) fill(ctx context.Context, jobs []job) error {
	for _, j := range jobs {
		if _, err := a.js.PublishAsync(natsQueue, j.encode(), jetstream.WithStallWait(10*time.Second)); err != nil {
			return err
		}
	}
	select {
	case <-a.js.PublishAsyncComplete():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// waiting are all that are in the stream, those that consumers have included.
func (a *natsAdmin) waiting(ctx context.Context) (int, error) {
	s, err := a.js.Stream(ctx, natsQueue)
	if err != nil {
		return 0, err
	}
	return int(s.CachedInfo().State.Msgs), nil
}

func (a *natsAdmin) take(ctx context.Context) (left, given []job, err error) {
	if left, err = a.takeStream(ctx, natsQueue); err == nil {
		given, err = a.takeStream(ctx, natsDead)
	}
	return left, given, err
}

func (a *natsAdmin) takeStream(ctx context.Context, name string) (jobs []job, err error) {
	s, err := a.js.Stream(ctx, name)
	if err != nil {
		return nil, err
	}
	state := s.CachedInfo().State
	for seq := state.FirstSeq; seq <= state.LastSeq && state.Msgs > 0; seq++ {
		m, err := s.GetMsg(ctx, seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		j, err := decodeJob(m.Data)
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, j)
	}
	return jobs, s.Purge(ctx)
}
