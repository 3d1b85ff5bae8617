package stack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	amqp "github.com/rabbitmq/amqp091-go"
)

func onRabbit(url string, f func(*amqp.Channel) error) error {
	conn, err := amqp.Dial(url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	return f(ch)
}

func putRabbit(ctx context.Context, url, v string) error {
	return onRabbit(url, func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclare("fact", true, false, false, false, nil)
		if err == nil {
			err = ch.Confirm(false)
		}
		if err != nil {
			return err
		}
		confirmed, err := ch.PublishWithDeferredConfirmWithContext(ctx, "", "fact", true, false, amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte(v)})
		if err != nil {
			return err
		}
		if ok, err := confirmed.WaitContext(ctx); err != nil || !ok {
			return fmt.Errorf("not confirmed: %w", err)
		}
		return nil
	})
}

func getRabbit(_ context.Context, url string) (v string, err error) {
	err = onRabbit(url, func(ch *amqp.Channel) error {
		d, ok, err := ch.Get("fact", false)
		if err == nil && !ok {
			err = errors.New("the queue is empty")
		}
		v = string(d.Body)
		return err
	})
	return v, err
}

func onNATS(url string, f func(jetstream.JetStream) error) error {
	conn, err := nats.Connect(url)
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	return f(js)
}

func putNATS(ctx context.Context, url, v string) error {
	return onNATS(url, func(js jetstream.JetStream) error {
		_, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: "fact", Subjects: []string{"fact"}})
		if err == nil {
			_, err = js.Publish(ctx, "fact", []byte(v))
		}
		return err
	})
}

func getNATS(ctx context.Context, url string) (v string, err error) {
	err = onNATS(url, func(js jetstream.JetStream) error {
		s, err := js.Stream(ctx, "fact")
		if err != nil {
			return err
		}
		m, err := s.GetLastMsgForSubject(ctx, "fact")
		if err != nil {
			return err
		}
		v = string(m.Data)
		return nil
	})
	return v, err
}

func TestBrokersCountWhatTheyHold(t *testing.T) {
	for _, tc := range []struct {
		kind  Kind
		held  string
		grown []string
	}{
		{rabbitKind{}, "shakedown_rabbitmq_messages_ready", []string{"shakedown_rabbitmq_memory_bytes"}},
		{natsKind{}, "shakedown_nats_messages_stored", []string{"shakedown_nats_memory_bytes", "shakedown_nats_stored_bytes"}},
	} {
		t.Run(tc.kind.Name(), func(t *testing.T) {
			ctx := t.Context()
			in := mustStart(t, tc.kind, options(t))
			if err := put[tc.kind.Name()](ctx, in.URL(), "one"); err != nil {
				t.Fatal(err)
			}
			stats, err := in.Stats(ctx)
			for err == nil && value(t, stats, tc.held, nil) != 1 && ctx.Err() == nil { // a node counts once a second
				stats, err = in.Stats(ctx)
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range tc.grown {
				if value(t, stats, name, nil) <= 0 {
					t.Errorf("%s is not above 0", name)
				}
			}
		})
	}
}

func TestResetEmptiesNATS(t *testing.T) {
	in := mustStart(t, natsKind{}, options(t))
	if err := put["nats"](t.Context(), in.URL(), "one"); err != nil {
		t.Fatal(err)
	}
	if err := in.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if v, err := get["nats"](t.Context(), in.URL()); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("after Reset: %q, %v", v, err)
	}
}

func TestJetStreamLosesWhatItHasNotSyncedWhenThePowerFails(t *testing.T) {
	for interval, want := range map[string]bool{"always": true, "2m": false} {
		o := withDisk(t)
		o.Settings = map[string]string{"jetstream.sync_interval": interval}
		in := mustStart(t, natsKind{}, o)
		if err := put["nats"](t.Context(), in.URL(), "kept"); err != nil {
			t.Fatal(err)
		}
		lost := losePower(t, in)
		v, err := get["nats"](t.Context(), in.URL())
		if (v == "kept") != want {
			t.Errorf("sync_interval %s: after a power loss the fact is %q, %v; lost %+v", interval, v, err, lost)
		}
	}
}

func TestPortsAreGivenOnce(t *testing.T) {
	taken, err := takePorts(50)
	if err != nil {
		t.Fatal(err)
	}
	defer loopback.give(taken...)
	unique := slices.Clone(taken)
	slices.Sort(unique)
	if len(slices.Compact(unique)) != 50 || unique[49] >= firstLocalPort() {
		t.Errorf("ports %v; want 50 below %d", taken, firstLocalPort())
	}
	for _, port := range taken {
		ln, err := net.Listen("tcp", loopbackAddr(port))
		if err != nil {
			t.Errorf("a port that was given is not free: %v", err)
			continue
		}
		_ = ln.Close()
	}
}
