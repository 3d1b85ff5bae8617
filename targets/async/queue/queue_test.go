package queue

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"shakedown/bench"
	"shakedown/targets/serve"
	"shakedown/targets/targettest"
)

var engines targettest.Shared

func TestMain(m *testing.M) { os.Exit(engines.Main(m)) }

func TestPattern(t *testing.T) { targettest.Run(t, Pattern, &engines) }

// all are the brokers, each with the configuration of careful.
func all(t *testing.T, test func(*testing.T, Config)) {
	for _, name := range []string{redisBroker, postgresBroker, natsBroker, rabbitBroker} {
		t.Run(name, func(t *testing.T) {
			test(t, with(func(c *Config) { c.Broker, c.Kind, c.Work, c.Prefetch = name, kindOf(name), 0, 1 }))
		})
	}
}

func env(t *testing.T, c Config) (bench.Env, json.RawMessage) {
	t.Helper()
	e := bench.Env{Role: bench.ServiceRole, URLs: map[string]string{}}
	for _, name := range []string{postgresBroker, c.Broker} {
		e.URLs[name] = engines.URL(t, name)
	}
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := seed(t.Context(), e, raw); err != nil {
		t.Fatal(err)
	}
	return e, raw
}

// connect opens a broker as a process would, and an admin.
func connect(t *testing.T, c Config) (broker, admin) {
	t.Helper()
	e, _ := env(t, c)
	s := serve.New(e)
	b, err := kinds[c.Broker].open(t.Context(), s, c)
	if err != nil {
		t.Fatal(err)
	}
	a, err := kinds[c.Broker].admin(t.Context(), e, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(a.close(), s.Close()); err != nil {
			t.Error(err)
		}
	})
	return b, a
}

func publish(t *testing.T, b broker, keys ...int64) {
	t.Helper()
	for _, key := range keys {
		if err := b.publish(t.Context(), job{Key: key}); err != nil {
			t.Fatal(err)
		}
	}
}

// consumed lets one consumer work until it was given n jobs, and returns their keys and attempts.
func consumed(t *testing.T, b broker, n int, settle func(delivery) error) (keys []int64, attempts []int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for len(keys) < n && ctx.Err() == nil {
		err := b.consume(ctx, "test", func(_ context.Context, d delivery) {
			if len(keys) == n {
				return
			}
			keys, attempts = append(keys, d.job.Key), append(attempts, d.attempt)
			if err := settle(d); err != nil {
				t.Error(err)
			}
			if len(keys) == n {
				cancel()
			}
		})
		if err != nil && ctx.Err() == nil {
			t.Fatal(err)
		}
	}
	if len(keys) < n {
		t.Fatalf("it was given %v, want %d jobs", keys, n)
	}
	return keys, attempts
}

func acknowledge(d delivery) error { return d.ack(context.Background()) }
func fail(d delivery) error        { return d.fail(context.Background()) }

func left(t *testing.T, a admin) (left, given []int64) {
	t.Helper()
	l, g, err := a.take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range l {
		left = append(left, j.Key)
	}
	for _, j := range g {
		given = append(given, j.Key)
	}
	slices.Sort(left)
	slices.Sort(given)
	return left, given
}

func TestWhatIsAcknowledgedLeavesTheQueueAndWhatIsNotStays(t *testing.T) {
	all(t, func(t *testing.T, c Config) {
		b, a := connect(t, c)
		publish(t, b, 1, 2, 3)
		if keys, attempts := consumed(t, b, 2, acknowledge); !slices.Equal(keys, []int64{1, 2}) || !slices.Equal(attempts, []int{1, 1}) {
			t.Errorf("jobs %v, attempts %v", keys, attempts)
		}
		l, g := left(t, a)
		// RabbitMQ takes back what a consumer had fetched some time after that has gone.
		for deadline := time.Now().Add(10 * time.Second); l == nil && g == nil && time.Now().Before(deadline); l, g = left(t, a) {
			time.Sleep(10 * time.Millisecond)
		}
		if !slices.Equal(l, []int64{3}) || g != nil {
			t.Errorf("left %v, given up %v", l, g)
		}
	})
}

func TestWhatIsAcknowledgedBeforeTheWorkIsGoneWhenTheWorkFails(t *testing.T) {
	all(t, func(t *testing.T, c Config) {
		c.Ack = ackBefore
		b, a := connect(t, c)
		publish(t, b, 1)
		consumed(t, b, 1, fail)
		if l, g := left(t, a); l != nil || g != nil {
			t.Errorf("left %v, given up %v", l, g)
		}
	})
}

func TestAJobThatFailsComesAgainAndIsGivenUpAsConfigured(t *testing.T) {
	for _, letters := range []string{"", dead} {
		all(t, func(t *testing.T, c Config) {
			c.Attempts, c.DeadLetters = 3, letters
			b, a := connect(t, c)
			publish(t, b, 7)
			if keys, attempts := consumed(t, b, 3, fail); !slices.Equal(keys, []int64{7, 7, 7}) || !slices.Equal(attempts, []int{1, 2, 3}) {
				t.Errorf("jobs %v, attempts %v", keys, attempts)
			}
			var l, g []int64
			for l == nil && g == nil && letters == dead { // RabbitMQ moves it in its own time
				l, g = left(t, a)
			}
			if letters == "" {
				l, g = left(t, a)
			}
			switch {
			case letters == dead && (l != nil || !slices.Equal(g, []int64{7})):
				t.Errorf("with a queue of dead letters: left %v, given up %v", l, g)
			case letters == "" && c.Broker == natsBroker && !slices.Equal(l, []int64{7}):
				t.Errorf("JetStream keeps what it gives up; left %v", l)
			case letters == "" && c.Broker != natsBroker && l != nil:
				t.Errorf("without: left %v", l)
			}
		})
	}
}

func TestAFullQueueRefusesOrDropsTheOldest(t *testing.T) {
	all(t, func(t *testing.T, c Config) {
		if c.Broker == postgresBroker {
			t.Skip("a table has no length")
		}
		c.MaxLength, c.Overflow = 2, refuseNew
		b, a := connect(t, c)
		var refused int
		for key := range int64(10) {
			if err := b.publish(t.Context(), job{Key: key}); errors.Is(err, serve.ErrRefused) {
				refused++
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if l, _ := left(t, a); len(l) != 10-refused || refused == 0 || len(l) > 3 { // a quorum queue refuses a little late
			t.Errorf("%d refused, left %v", refused, l)
		}
		c.Overflow = dropOldest
		b, a = connect(t, c)
		publish(t, b, 1, 2, 3, 4)
		if l, _ := left(t, a); !slices.Equal(l, []int64{3, 4}) {
			t.Errorf("left %v, want the newest two", l)
		}
	})
}

func TestAnAuditFindsEachJobWhereItIs(t *testing.T) {
	s := state{effects: []int64{1, 3, 3}, left: []job{{Key: 4}, {Key: 3}}, given: []job{{Key: 5}}, orders: setOf([]int64{1, 3, 4, 6})}
	var samples []bench.Sample
	for key := range int64(6) {
		samples = append(samples, bench.Sample{Key: key + 1, Value: key + 2, Outcome: bench.OK})
	}
	a := s.account(Config{Order: commitEnqueue}, samples)
	for number, want := range map[string]float64{
		bench.AuditAcked: 6, bench.AuditLost: 2, bench.AuditDoubled: 1, bench.AuditChanged: 0, auditWaiting: 2, auditDead: 1,
		auditNoJob: 1, auditGhost: 1, bench.AuditOvertaken: 0,
	} {
		if a.Numbers[number] != want {
			t.Errorf("%s: %v, want %v", number, a.Numbers[number], want)
		}
	}
	said := strings.Join(a.Examples, "\n")
	for _, example := range []string{"lost: key 2,", "lost: key 6,", "doubled: key 3,", "order 6 is committed", "the job of order 5"} {
		if !strings.Contains(said, example) {
			t.Errorf("no example %q in\n%s", example, said)
		}
	}
}

func TestConfigurationsThatMakeNoSense(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"broker":                func(c *Config) { c.Broker = "kafka" },
		"ack":                   func(c *Config) { c.Ack = "" },
		"consumers":             func(c *Config) { c.Consumers = -1 },
		"prefetch":              func(c *Config) { c.Prefetch = 0 },
		"≥ 0":                   func(c *Config) { c.Poison = -1 },
		"needs attempts":        func(c *Config) { c.DeadLetters = dead },
		"none of queue, full":   func(c *Config) { c.DeadLetters = "x" },
		"overflow":              func(c *Config) { c.MaxLength = 1 },
		"order":                 func(c *Config) { c.Order = "x" },
		"needs the broker post": func(c *Config) { c.Order = inDatabase },
	} {
		if err := with(change).Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if err := careful().Validate(); err != nil {
		t.Error(err)
	}
}

func TestPoisonFailsAlwaysAndFlakyOnce(t *testing.T) {
	c := Config{Poison: 10, Flaky: 4}
	for _, tc := range []struct {
		key     int64
		attempt int
		fails   bool
	}{{9, 1, true}, {9, 100, true}, {8, 1, false}, {3, 1, true}, {3, 2, false}, {0, 1, false}} {
		if got := c.fails(tc.key, tc.attempt); got != tc.fails {
			t.Errorf("key %d, attempt %d: fails %v", tc.key, tc.attempt, got)
		}
	}
}

func TestAttemptsAreCountedByQuorumQueuesOnly(t *testing.T) {
	for _, tc := range []struct {
		d    amqp.Delivery
		want int
	}{
		{amqp.Delivery{}, 1},
		{amqp.Delivery{Redelivered: true}, 2},
		{amqp.Delivery{Redelivered: true, Headers: amqp.Table{"x-delivery-count": int64(4)}}, 5},
	} {
		if got := attemptOf(tc.d); got != tc.want {
			t.Errorf("%+v: %d, want %d", tc.d, got, tc.want)
		}
	}
}
