package writebehind

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	dto "github.com/prometheus/client_model/go"
	"github.com/redis/go-redis/v9"

	"shakedown/bench"
	"shakedown/internal/units"
	"shakedown/targets/internal/direct"
	"shakedown/targets/serve"
	"shakedown/targets/targettest"
)

var shared targettest.Shared

func TestMain(m *testing.M) { os.Exit(shared.Main(m)) }

func TestPattern(t *testing.T) { targettest.Run(t, Pattern, &shared) }

// build is a service on seeded engines whose flusher does not run by itself.
func build(t *testing.T, c Config) *service {
	t.Helper()
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := seed(t.Context(), environment(t), raw); err != nil {
		t.Fatal(err)
	}
	return restart(t, c)
}

// restart is another process of the same trial.
func restart(t *testing.T, c Config) *service {
	t.Helper()
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	svc, err := open(t.Context(), environment(t), raw)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := svc.server.Close(); err != nil {
			t.Error(err)
		}
	})
	return svc
}

func environment(t *testing.T) bench.Env {
	return bench.Env{Role: bench.ServiceRole, Ops: []string{"order", "count", "status", "read"}, URLs: map[string]string{
		"postgres": shared.URL(t, "postgres"), "redis": shared.URL(t, "redis"),
	}}
}

// ask has one request answered, and returns what the generator would have recorded.
func (s *service) ask(t *testing.T, op string, key int64) act {
	t.Helper()
	r := httptest.NewRequest(http.MethodPut, "/", nil)
	r.SetPathValue("key", strconv.FormatInt(key, 10))
	h := map[string]serve.HandlerFunc{"order": s.order, "count": s.count, "status": s.status, "read": s.read}[op]
	a, err := h(t.Context(), r)
	if err != nil {
		t.Fatalf("%s %d: %v", op, key, err)
	}
	return act{op: op, Sample: bench.Sample{Key: key, Value: a.Value, Outcome: bench.OK}}
}

// found is what the ledger says of the acts now.
func (s *service) found(t *testing.T, acts ...act) bench.Audit {
	t.Helper()
	var found bench.Audit
	if err := direct.Postgres(t.Context(), environment(t), func(c *pgx.Conn) error {
		return direct.Redis(environment(t), func(r *redis.Client) error {
			l, err := readLedger(t.Context(), c, r, s.config)
			found = account(l, acts)
			return err
		})
	}); err != nil {
		t.Fatal(err)
	}
	return found
}

func wants(t *testing.T, a bench.Audit, want map[string]float64) {
	t.Helper()
	for name, n := range want {
		if got, ok := a.Numbers[name]; !ok || got != n {
			t.Errorf("%s is %v, want %v; %v", name, got, n, a.Examples)
		}
	}
}

// all are configurations of every queue, with the flush that suits it.
func all() []Config {
	return []Config{
		base(queueNone, flushAdditive), base(queueMemory, flushAdditive), base(queuePop, flushAdditive), base(queueList, flushAdditive),
		base(queueStream, flushIdempotent), base(queueDirty, flushAbsolute),
	}
}

func TestWhatIsAcknowledgedIsFlushed(t *testing.T) {
	for _, c := range all() {
		t.Run(c.Queue, func(t *testing.T) {
			svc := build(t, c)
			acts := []act{svc.ask(t, "order", 1), svc.ask(t, "order", 2), svc.ask(t, "count", 7), svc.ask(t, "count", 7)}
			if svc.flusher != nil {
				if n := svc.found(t, acts...).Numbers[bench.AuditLost] + svc.found(t, acts...).Numbers[auditStuck]; n != 4 {
					t.Errorf("%v writes are not in the database yet, want all 4", n)
				}
				svc.flusher.round(t.Context())
			}
			a := svc.found(t, acts...)
			wants(t, a, map[string]float64{
				bench.AuditAcked: 4, bench.AuditLost: 0, auditStuck: 0, bench.AuditDoubled: 0, auditMissing: 0, auditError: 0, auditMoney: 5,
			})
			if n := svc.ask(t, "read", 7).Value; n != 2 {
				t.Errorf("the counter reads as %d", n)
			}
		})
	}
}

// TestAProcessThatDiesBetweenTwoSteps takes a batch, and either writes it or not, and then leaves the rest to another process.
func TestAProcessThatDiesBetweenTwoSteps(t *testing.T) {
	for _, c := range []struct {
		config        Config
		commits       bool
		lost, doubled float64
	}{
		{base(queueMemory, flushAdditive), false, 3, 0},
		{base(queuePop, flushAdditive), false, 3, 0},
		{base(queueList, flushAdditive), false, 0, 0},
		{base(queueStream, flushIdempotent), false, 0, 0},
		{base(queueDirty, flushAbsolute), false, 0, 0},
		{base(queueList, flushAdditive), true, 0, 3},
		{base(queueStream, flushAdditive), true, 0, 3},
		{base(queueStream, flushIdempotent), true, 0, 0},
		{base(queueDirty, flushAbsolute), true, 0, 0},
	} {
		t.Run(c.config.Queue+" "+c.config.Flush+" "+strconv.FormatBool(c.commits), func(t *testing.T) {
			svc := build(t, c.config)
			acts := []act{svc.ask(t, "order", 1), svc.ask(t, "order", 2), svc.ask(t, "count", 7)}
			batch, err := svc.flusher.queue.take(t.Context(), 10)
			if err != nil || len(batch) != 3 {
				t.Fatalf("it took %v, %v", batch, err)
			}
			if c.commits {
				if err := svc.writeBatch(t.Context(), batch); err != nil {
					t.Fatal(err)
				}
			}
			next := restart(t, c.config)
			next.flusher.round(t.Context())
			wants(t, next.found(t, acts...), map[string]float64{bench.AuditLost: c.lost, bench.AuditDoubled: c.doubled, auditStuck: 0})
		})
	}
}

func TestWhatTheMemoryHoldsIsWrittenWhenTheProcessEndsInOrder(t *testing.T) {
	svc := build(t, base(queueMemory, flushAdditive))
	acts := []act{svc.ask(t, "order", 1), svc.ask(t, "count", 1)}
	if err := svc.server.Close(); err != nil {
		t.Fatal(err)
	}
	wants(t, svc.found(t, acts...), map[string]float64{bench.AuditLost: 0})
}

func TestAnEntryThatIsRefused(t *testing.T) {
	for _, c := range []struct {
		config Config
		want   map[string]float64
	}{
		{poisoned(retryNever, 0), map[string]float64{bench.AuditLost: 3, auditDead: 0, auditStuck: 0}},
		{poisoned(retryLater, 2), map[string]float64{bench.AuditLost: 0, auditDead: 1, auditStuck: 0}},
	} {
		t.Run(c.config.Retry, func(t *testing.T) {
			svc := build(t, c.config)
			acts := []act{svc.ask(t, "order", 1), svc.ask(t, "order", 2), svc.ask(t, "count", 3)}
			svc.flusher.round(t.Context())
			for i := range svc.flusher.aside {
				svc.flusher.aside[i].due = 0
			}
			svc.flusher.round(t.Context())
			wants(t, svc.found(t, acts...), c.want)
		})
	}
	t.Run("retried without end", func(t *testing.T) {
		svc := build(t, poisoned(retryBlock, 0))
		acts := []act{svc.ask(t, "order", 1), svc.ask(t, "order", 2)}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); svc.flusher.round(ctx) }()
		for svc.failures(t) < 2 { // it has come to it, and does not get on
			if ctx.Err() != nil {
				t.Fatal(ctx.Err())
			}
		}
		wants(t, svc.found(t, acts...), map[string]float64{bench.AuditLost: 0, auditStuck: 2})
		cancel()
		<-ended
	})
}

// poisoned is a configuration whose order 2 is refused.
func poisoned(retry string, tries int) Config {
	c := base(queueStream, flushIdempotent).retrying(retry, tries)
	c.Poison = 3
	return c
}

func TestAnOlderStatusComesLast(t *testing.T) {
	for versions, overwritten := range map[bool]float64{false: 1, true: 0} {
		t.Run(strconv.FormatBool(versions), func(t *testing.T) {
			svc := build(t, setAside(versions))
			acts := []act{svc.ask(t, "status", 1)}
			old, err := svc.flusher.queue.take(t.Context(), 1)
			if err != nil {
				t.Fatal(err)
			}
			svc.flusher.setAside(t.Context(), attempt{batch: old}, errors.New("could not serialize"))
			acts = append(acts, svc.ask(t, "status", 1))
			if acts[0].Value >= acts[1].Value {
				t.Fatalf("versions %d and %d do not grow", acts[0].Value, acts[1].Value)
			}
			svc.flusher.round(t.Context()) // the newer one
			svc.flusher.aside[0].due = 0
			svc.flusher.round(t.Context())
			wants(t, svc.found(t, acts...), map[string]float64{auditOverwritten: overwritten})
		})
	}
}

func TestAnAnswerOfRedisThatNeverCameLeavesNothingBehind(t *testing.T) {
	svc := build(t, base(queueStream, flushIdempotent))
	acts := []act{svc.ask(t, "order", 1)}
	lost := streamQueue{redis: svc.redis, consumer: svc.server.Env().Name(), taken: map[int64]bool{}}
	if batch, err := lost.take(t.Context(), 1); err != nil || len(batch) != 1 { // delivered, to nobody
		t.Fatal(batch, err)
	}
	acts = append(acts, svc.ask(t, "order", 2))
	svc.flusher.round(t.Context())
	svc.flusher.round(t.Context())
	wants(t, svc.found(t, acts...), map[string]float64{bench.AuditLost: 0, auditStuck: 0})
}

func TestACleanEntryThatWasEvictedIsLoadedAndADirtyOneIsGone(t *testing.T) {
	svc := build(t, base(queueDirty, flushAbsolute))
	evict := func() {
		if err := svc.redis.Del(t.Context(), cacheKey(count, 7), cacheKey(order, 1)).Err(); err != nil {
			t.Fatal(err)
		}
	}
	acts := []act{svc.ask(t, "count", 7), svc.ask(t, "count", 7)}
	svc.flusher.round(t.Context())
	evict()
	acts = append(acts, svc.ask(t, "count", 7), svc.ask(t, "order", 1))
	svc.flusher.round(t.Context())
	wants(t, svc.found(t, acts...), map[string]float64{bench.AuditLost: 0, bench.AuditDoubled: 0})
	acts = append(acts, svc.ask(t, "count", 7))
	evict()
	svc.flusher.round(t.Context())
	wants(t, svc.found(t, acts...), map[string]float64{bench.AuditLost: 1})
}

func TestAStaleReadLacksWhatWasAcknowledgedBeforeItWasSent(t *testing.T) {
	at := func(op string, sent, done, value int64) act {
		return act{op: op, Sample: bench.Sample{Key: 1, Sent: ms(sent), Done: ms(done), Value: value, Outcome: bench.OK}}
	}
	a := account(ledger{counters: map[int64]int64{1: 2}}, []act{
		at("read", 0, 1, 0), at("count", 1, 2, 0), at("count", 3, 4, 0),
		at("read", 2, 9, 1), at("read", 3, 9, 1), at("read", 4, 9, 1), at("read", 5, 9, 1),
	})
	wants(t, a, map[string]float64{auditReads: 3, auditStale: 1, auditStaleShare: 1.0 / 3, bench.AuditLost: 0})
}

func TestTheNumberOfAStreamsIDIsInItsOrder(t *testing.T) {
	ids := []string{"1700000000000-0", "1700000000000-1", "1700000000000-1048575", "1700000000001-0"}
	var ns []int64
	for _, id := range ids {
		n, err := numberOf(id)
		if err != nil || idOf(n) != id {
			t.Errorf("%s became %d, and that %s: %v", id, n, idOf(n), err)
		}
		ns = append(ns, n)
	}
	if !slices.IsSorted(ns) {
		t.Errorf("%v are not in order", ns)
	}
	for _, id := range []string{"", "5", "a-1", "1-a", "1-1048576"} {
		if n, err := numberOf(id); err == nil {
			t.Errorf("%q is the number %d", id, n)
		}
	}
}

func TestADamagedEventIsAnError(t *testing.T) {
	e := event{id: 5, kind: count, key: -3, value: 1}
	if got, err := parseEvent(e.String()); err != nil || got != e {
		t.Errorf("%q became %+v, %v", e.String(), got, err)
	}
	for _, text := range []string{"", "5 c 1", "5 x 1 1", "5 cc 1 1", "five c 1 1", "5 c 1 one"} {
		if got, err := parseEvent(text); err == nil {
			t.Errorf("%q became %+v", text, got)
		}
	}
}

func TestConfigurationsThatMakeNoSenseAreRefused(t *testing.T) {
	for what, change := range map[string]func(*Config){
		"a queue that nobody knows":              func(c *Config) { c.Queue = "hope" },
		"no time between flushes":                func(c *Config) { c.Every = 0 },
		"batches of nothing":                     func(c *Config) { c.Batch = 0 },
		"events that are set":                    func(c *Config) { c.Flush = flushAbsolute },
		"a list whose batches are set aside":     func(c *Config) { c.Queue, c.Retry = queueList, retryLater },
		"counters in a cache that has none":      func(c *Config) { c.Queue, c.Read = queueMemory, readCache },
		"dead letters without batches set aside": func(c *Config) { c.Tries = 3 },
		"no queue and ids":                       func(c *Config) { c.Queue = queueNone },
		"a time to live in the past":             func(c *Config) { c.CleanTTL = -units.Second },
	} {
		c := base(queueStream, flushIdempotent)
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		if change(&c); c.Validate() == nil {
			t.Errorf("%s is accepted: %+v", what, c)
		}
	}
}

func ms(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// failures is how often a batch could not be written.
func (s *service) failures(t *testing.T) float64 {
	t.Helper()
	var m dto.Metric
	if err := s.flusher.failures.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}
