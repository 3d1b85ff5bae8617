package queue

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"shakedown/bench"
	"shakedown/internal/clock"
	"shakedown/internal/units"
	"shakedown/targets/serve"
	"shakedown/targets/targettest"
)

var engines targettest.Shared

func TestMain(m *testing.M) { os.Exit(engines.Main(m)) }

func TestPattern(t *testing.T) { targettest.Run(t, hurried(Pattern), &engines) }

// hurried is the pattern with probes that measure for a moment, fewer jobs before and in the queue, and one configuration where others differ
// from it in such numbers only. The engines that tests share have no replicas.
func hurried(p bench.Pattern) bench.Pattern {
	different := map[string][]string{ // the variants that differ in more than numbers
		drainExperiment.Name: {fewWorkers}, priorityExperiment.Name: {noPriority, withPriority}, laterExperiment.Name: {often},
	}
	p.Experiments = slices.Clone(p.Experiments)
	for i := range p.Experiments {
		e := &p.Experiments[i]
		e.Variants, e.Levels = slices.Clone(e.Variants), slices.Clone(e.Levels)
		for i := range e.Variants {
			if c, ok := e.Variants[i].Config.(Config); ok {
				c.For, c.Backlog, c.Replicas = min(c.For, 50*units.Millisecond), min(c.Backlog, 2000), 0
				e.Variants[i].Config = c
			}
		}
		for i := range e.Levels {
			l := &e.Levels[i]
			l.Config = maps.Clone(l.Config)
			for name, most := range map[string]int{"backlog": 100, "past": 100, "prefetch": 1} {
				if n, ok := l.Config[name].(int); ok {
					l.Config[name] = min(n, most)
				}
			}
			if some := different[e.Name]; some != nil {
				l.Variants = some
			}
			if l.Config["backlog_due"] != nil {
				l.Config["backlog_due"] = hour
			}
		}
	}
	return p
}

// all are the brokers, each with the configuration of careful.
func all(t *testing.T, test func(*testing.T, Config)) {
	among(t, []string{redisBroker, postgresBroker, natsBroker, rabbitBroker}, test)
}

// among runs a test on the brokers that have what it is about.
func among(t *testing.T, brokers []string, test func(*testing.T, Config)) {
	for _, name := range brokers {
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

// serverOf is a process with the addresses of the engines.
func serverOf(t *testing.T, c Config) *serve.Server {
	t.Helper()
	s := serve.New(bench.Env{Role: workerRole, URLs: map[string]string{c.Broker: engines.URL(t, c.Broker)}})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
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

// awaitWaiting waits until so many jobs are in the queue: NATS and RabbitMQ hear of acknowledgements, and of what comes back, in their own time.
func awaitWaiting(t *testing.T, a admin, want int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		n, err := a.waiting(ctx)
		if err != nil {
			t.Fatalf("%d jobs wait, want %d: %v", n, want, err)
		}
		if n == want {
			return
		}
	}
}

func acknowledge(d delivery) error { return d.ack(context.Background()) }
func fail(d delivery) error        { return d.fail(context.Background(), 0) }

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
	among(t, []string{redisBroker, natsBroker, rabbitBroker}, func(t *testing.T, c Config) { // a table has no length
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

func TestABacklogWaitsInTheQueueWhenATrialBegins(t *testing.T) {
	all(t, func(t *testing.T, c Config) {
		c.Backlog = 3
		b, a := connect(t, c)
		if keys, _ := consumed(t, b, 1, acknowledge); !slices.Equal(keys, []int64{ofBacklog}) {
			t.Errorf("it was given %v first", keys)
		}
		awaitWaiting(t, a, 2)
		if l, _ := left(t, a); !slices.Equal(l, []int64{ofBacklog + 1, ofBacklog + 2}) {
			t.Errorf("left %v", l)
		}
	})
}

// waiting are brokers whose jobs can wait in the queue for their time: not RabbitMQ, as it is used here.
func waiting(t *testing.T, brokers []string, test func(*testing.T, Config)) {
	among(t, brokers, func(t *testing.T, c Config) {
		c.Backoff, c.BackoffMost, c.BackoffIn = units.Millisecond, units.Millisecond, inQueue
		test(t, c)
	})
}

// moving moves what is due in the background, where the broker wants that.
func moving(t *testing.T, b broker) {
	m, ok := b.(mover)
	if !ok {
		return
	}
	ctx, stop := context.WithCancel(t.Context())
	w := worker{config: Config{Poll: units.Millisecond}}
	done := make(chan struct{})
	go func() { defer close(done); w.moves(ctx, m) }()
	t.Cleanup(func() { stop(); <-done })
}

func TestAJobThatFailedIsNotGivenBeforeItsTime(t *testing.T) {
	waiting(t, []string{redisBroker, postgresBroker, natsBroker}, func(t *testing.T, c Config) {
		const wait = 30 * time.Millisecond
		b, _ := connect(t, c)
		moving(t, b)
		publish(t, b, 7)
		var failed, again time.Duration
		keys, attempts := consumed(t, b, 2, func(d delivery) error {
			if d.attempt == 1 {
				failed = clock.Now()
				return d.fail(context.Background(), wait)
			}
			again = clock.Now()
			return d.ack(context.Background())
		})
		if !slices.Equal(keys, []int64{7, 7}) || !slices.Equal(attempts, []int{1, 2}) {
			t.Errorf("jobs %v, attempts %v", keys, attempts)
		}
		if again-failed < wait {
			t.Errorf("it came again after %v, and was to wait for %v", again-failed, wait)
		}
	})
}

func TestAJobIsNotGivenBeforeItIsDueAndIsAccountedForUntilThen(t *testing.T) {
	waiting(t, []string{redisBroker, postgresBroker}, func(t *testing.T, c Config) { // JetStream delays what has failed only
		b, a := connect(t, c)
		moving(t, b)
		due := dueIn(30 * time.Millisecond)
		for _, j := range []job{{Key: 1, Due: dueIn(time.Hour)}, {Key: 2, Due: due}} {
			if err := b.publish(t.Context(), j); err != nil {
				t.Fatal(err)
			}
		}
		if n, err := a.waiting(t.Context()); err != nil || n != 2 {
			t.Errorf("%d wait, %v", n, err)
		}
		var at int64
		keys, _ := consumed(t, b, 1, func(d delivery) error {
			at = dueIn(0)
			return d.ack(context.Background())
		})
		if !slices.Equal(keys, []int64{2}) || at < due {
			t.Errorf("it was given %v, %v before it was due", keys, time.Duration(due-at))
		}
		if l, _ := left(t, a); !slices.Equal(l, []int64{1}) {
			t.Errorf("left %v", l)
		}
	})
}

func TestUrgentJobsAreGivenFirstWherePrioritiesAreKept(t *testing.T) {
	among(t, []string{redisBroker, postgresBroker, rabbitBroker}, func(t *testing.T, c Config) { // a stream of JetStream has no priorities
		c.Kind, c.Priority = "", kept
		b, a := connect(t, c)
		for key := range int64(6) {
			if err := b.publish(t.Context(), job{Key: key, Urgent: key%2 == 1}); err != nil {
				t.Fatal(err)
			}
		}
		keys, _ := consumed(t, b, 5, func(d delivery) error {
			if d.job.Urgent != (d.job.Key%2 == 1) {
				t.Errorf("job %d is said to be urgent: %v", d.job.Key, d.job.Urgent)
			}
			return d.ack(context.Background())
		})
		if !slices.Equal(keys, []int64{1, 3, 5, 0, 2}) {
			t.Errorf("it was given %v", keys)
		}
		var l []int64
		for l == nil { // RabbitMQ takes back in its own time
			l, _ = left(t, a)
		}
		if !slices.Equal(l, []int64{4}) {
			t.Errorf("left %v", l)
		}
	})
}

func TestBackoffDoublesUpToItsMostAndHalfOfItIsJitter(t *testing.T) {
	c := Config{Backoff: 100, BackoffMost: 1000}
	for failures, want := range map[int]time.Duration{1: 100, 2: 200, 4: 800, 5: 1000, 90: 1000} {
		if low, high := c.backoff(failures, 0), c.backoff(failures, 1); low != want/2 || high != want {
			t.Errorf("after %d failures: %d to %d, want half of %d to all of it", failures, low, high, want)
		}
	}
	if d := (Config{}).backoff(3, 0.5); d != 0 {
		t.Errorf("without backoff: %v", d)
	}
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

func TestAnAuditCountsHowOftenEachJobWasDone(t *testing.T) {
	s := state{effects: []int64{1, 1, 2, 3, 3, 3}}
	var samples []bench.Sample
	for key := range int64(4) {
		samples = append(samples, bench.Sample{Key: key + 1, Outcome: bench.OK})
	}
	a := s.countEach(Config{Queues: 2}, append(samples, bench.Sample{Key: 9, Outcome: bench.Failed}))
	if a.Numbers[auditEach] != 1.5 || a.Numbers[auditOther] != 3 || len(a.Examples) != 3 {
		t.Errorf("%+v", a)
	}
}

func TestEveryQueueIsGivenEveryJob(t *testing.T) {
	among(t, []string{natsBroker, rabbitBroker}, func(t *testing.T, c Config) { // the others have one queue only
		c.Queues = 2
		first, a := connect(t, c)
		publish(t, first, 1, 2)
		second, err := kinds[c.Broker].open(t.Context(), serverOf(t, c), c.consuming(1))
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range []broker{first, second} {
			if keys, _ := consumed(t, b, 2, acknowledge); !slices.Equal(keys, []int64{1, 2}) {
				t.Errorf("a queue gave %v", keys)
			}
		}
		awaitWaiting(t, a, 0)
		if l, _ := left(t, a); l != nil {
			t.Errorf("left %v", l)
		}
	})
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
		"backoff_most":          func(c *Config) { c.Backoff, c.BackoffIn = 1, inQueue },
		"backoff_in":            func(c *Config) { c.Backoff, c.BackoffMost = 1, 1 },
		"in which jobs wait":    func(c *Config) { c.Broker, c.Backoff, c.BackoffMost, c.BackoffIn = rabbitBroker, 1, 1, inQueue },
		"none of ignored":       func(c *Config) { c.Priority = "x" },
		"is kept in redis":      func(c *Config) { c.Broker, c.Priority = natsBroker, kept },
		"more than one; got":    func(c *Config) { c.Queues = 2 },
		"asked about them":      func(c *Config) { c.Broker, c.Replicas = natsBroker, 1 },
		"sync":                  func(c *Config) { c.Sync, c.Consumers = true, 0 },
		"0 to 2000000":          func(c *Config) { c.Backlog = -1 },
		"speak of the broker":   func(c *Config) { c.Past = 1 },
		"not in nats":           func(c *Config) { c.Broker, c.Delay = natsBroker, 1 },
		"needs a delay":         func(c *Config) { c.BacklogDue = 1 },
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

func TestAChannelOfAConnectionThatIsGoneIsAnError(t *testing.T) {
	if ch, err := channelOf(&amqp.Connection{}); ch != nil || err == nil { // one without an allocator, as a closed one is
		t.Errorf("%v, %v", ch, err)
	}
}
