package writethrough

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"shakedown/bench"
	"shakedown/internal/units"
	"shakedown/targets/internal/direct"
	"shakedown/targets/serve"
	"shakedown/targets/targettest"
)

var engines targettest.Shared

func TestMain(m *testing.M) { os.Exit(engines.Main(m)) }

func TestPattern(t *testing.T) { targettest.Run(t, Pattern, &engines) }

func environment(t *testing.T) bench.Env {
	return bench.Env{Role: bench.ServiceRole, Ops: []string{"write", "read"}, URLs: map[string]string{
		"postgres": engines.URL(t, "postgres"), "redis": engines.URL(t, "redis"),
	}}
}

// build is a service on seeded engines; the relay does not run by itself.
func build(t *testing.T, c Config) *service {
	t.Helper()
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := seed(t.Context(), environment(t), raw); err != nil {
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

// at is when the next sample of a test takes place.
type at struct{ now time.Duration }

// asked is the item that tests write and read.
const asked = 3

// ask has one request on it answered, and returns what the generator would have recorded.
func (s *service) ask(t *testing.T, clock *at, op bench.OpID) bench.Sample {
	t.Helper()
	r := httptest.NewRequest(http.MethodPut, "/", nil)
	r.SetPathValue("key", strconv.Itoa(asked))
	a, err := []serve.HandlerFunc{s.write, s.read}[op](t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	clock.now += 2 * time.Millisecond
	return bench.Sample{Op: op, Key: asked, Value: a.Value, Flags: a.Flags, Sent: clock.now, Done: clock.now + time.Millisecond, Outcome: bench.OK}
}

func (s *service) wants(t *testing.T, samples []bench.Sample, want map[string]float64) {
	t.Helper()
	raw, err := json.Marshal(s.config)
	if err != nil {
		t.Fatal(err)
	}
	a, err := audit(t.Context(), environment(t), raw, samples)
	if err != nil {
		t.Fatal(err)
	}
	for name, n := range want {
		if got, ok := a.Numbers[name]; !ok || got != n {
			t.Errorf("%s is %v, want %v: %v", name, got, n, a.Examples)
		}
	}
}

const (
	write bench.OpID = iota
	read
)

func TestAReaderSeesWhatWasWritten(t *testing.T) {
	for _, order := range orders {
		if order == expiry {
			continue // it promises nothing of the kind
		}
		t.Run(order, func(t *testing.T) {
			svc, clock := build(t, config(order, 10)), &at{}
			samples := []bench.Sample{svc.ask(t, clock, read), svc.ask(t, clock, write)}
			if order == outbox {
				if err := svc.relayOnce(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			samples = append(samples, svc.ask(t, clock, read))
			if samples[2].Value != samples[1].Value || samples[0].Value == samples[1].Value {
				t.Errorf("%d was read before, %d written, and %d read after", samples[0].Value, samples[1].Value, samples[2].Value)
			}
			svc.wants(t, samples, map[string]float64{auditDiffer: 0, auditNever: 0, auditStale: 0, auditReads: 2, auditWarm: 1})
		})
	}
}

func TestTheChangeWaitsInTheOutbox(t *testing.T) {
	svc, clock := build(t, config(outbox, 10)), &at{}
	samples := []bench.Sample{svc.ask(t, clock, write), svc.ask(t, clock, read)}
	if err := svc.relayOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	svc.wants(t, samples, map[string]float64{auditDiffer: 0, auditStale: 1})
}

// TestTwoWritersMeet lets the older of two values reach the cache last.
func TestTwoWritersMeet(t *testing.T) {
	for order, differ := range map[string]float64{databaseFirst: 1, versioned: 0} {
		t.Run(order, func(t *testing.T) {
			svc, clock := build(t, config(order, 10)), &at{}
			older, err := svc.upsert(t.Context(), asked, item{value: svc.nextValue()})
			if err != nil {
				t.Fatal(err)
			}
			samples := []bench.Sample{svc.ask(t, clock, write)}
			late := svc.set
			if order == versioned {
				late = svc.setNewer
			}
			if err := late(t.Context(), asked, older); err != nil {
				t.Fatal(err)
			}
			samples = append(samples, svc.ask(t, clock, read))
			svc.wants(t, samples, map[string]float64{auditDiffer: differ, auditStale: differ, auditNever: 0})
		})
	}
}

func TestWhatTheDatabaseRefusedIsReadAllTheSame(t *testing.T) {
	svc, clock := build(t, config(inTransaction, 10)), &at{}
	refused := errors.New("the commit is refused")
	err := svc.transaction(t.Context(), func(ctx context.Context, _ pgx.Tx) error {
		return errors.Join(svc.set(ctx, asked, item{value: svc.nextValue(), version: 2}), refused)
	})
	if !errors.Is(err, refused) {
		t.Fatal(err)
	}
	svc.wants(t, []bench.Sample{svc.ask(t, clock, read)}, map[string]float64{auditNever: 1, auditDiffer: 1, auditStale: 0})
}

func TestAnEntryThatExpiresDiffersNoLonger(t *testing.T) {
	for life, later := range map[units.Duration]float64{0: 1, 20 * units.Millisecond: 0} {
		t.Run(life.String(), func(t *testing.T) {
			c := config(databaseFirst, 10)
			c.Warm, c.TTL, c.Later = false, life, 200*units.Millisecond
			svc := build(t, c)
			if life > 0 {
				svc.config.TTL = units.Second // so that it is there at the first look
			}
			if err := svc.set(t.Context(), asked, item{value: 77, version: 9}); err != nil {
				t.Fatal(err)
			}
			if life > 0 {
				if err := svc.redis.PExpire(t.Context(), cacheKey(asked), 100*time.Millisecond).Err(); err != nil {
					t.Fatal(err)
				}
			}
			svc.wants(t, nil, map[string]float64{auditLater: later})
		})
	}
}

func TestAMissFillsTheCache(t *testing.T) {
	for _, order := range []string{aside, databaseFirst, versioned} {
		t.Run(order, func(t *testing.T) {
			c := config(order, 10)
			c.Warm = false
			svc, clock := build(t, c), &at{}
			if s := svc.ask(t, clock, read); s.Flags != bench.Miss || s.Value != 4 {
				t.Errorf("the first read: %+v", s)
			}
			if s := svc.ask(t, clock, read); s.Flags != bench.Hit || s.Value != 4 {
				t.Errorf("the second read: %+v", s)
			}
			svc.ask(t, clock, write)
			want := bench.Hit
			if order == aside {
				want = bench.Miss
			}
			if s := svc.ask(t, clock, read); s.Flags != want {
				t.Errorf("the read after a write: %+v", s)
			}
		})
	}
}

// TestWritesOfKeysThatNobodyReads writes as many new keys as there are others, which the cache has.
func TestWritesOfKeysThatNobodyReads(t *testing.T) {
	for order, want := range map[string]float64{aside: 0, databaseFirst: 0.5, present: 0} {
		t.Run(order, func(t *testing.T) {
			c := config(order, 10)
			c.Bytes = 100
			svc := build(t, c)
			for key := c.Keys; key < 2*c.Keys; key++ {
				if err := svc.store(t.Context(), key, item{value: svc.nextValue()}); err != nil {
					t.Fatal(err)
				}
			}
			svc.wants(t, nil, map[string]float64{auditUnread: want, auditDiffer: 0})
			if n, err := svc.redis.StrLen(t.Context(), cacheKey(0)).Result(); n != 100 || err != nil {
				t.Errorf("an entry has %d bytes, %v", n, err)
			}
		})
	}
}

func TestADamagedEntryIsAnErrorAndNoMiss(t *testing.T) {
	svc := build(t, config(databaseFirst, 10))
	if err := svc.redis.Set(t.Context(), cacheKey(1), "torn", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := svc.get(t.Context(), 1); err == nil || errors.Is(err, redis.Nil) {
		t.Errorf("reading it says %v", err)
	}
	if err := direct.Redis(environment(t), func(c *redis.Client) error { return c.Del(t.Context(), cacheKey(1)).Err() }); err != nil {
		t.Fatal(err)
	}
}

func TestConfigurationsThatMakeNoSenseAreRefused(t *testing.T) {
	for what, change := range map[string]func(*Config){
		"an order that nobody knows":   func(c *Config) { c.Order = "at once" },
		"a time to live in the past":   func(c *Config) { c.TTL = -1 },
		"nothing that renews an entry": func(c *Config) { c.Order = expiry },
		"no items":                     func(c *Config) { c.Keys = 0 },
		"no connections":               func(c *Config) { c.Pool = 0 },
		"a relay without a pause":      func(c *Config) { c.Relay = 0 },
		"an entry of a gigabyte":       func(c *Config) { c.Bytes = 1 << 30 },
		"an audit of an hour":          func(c *Config) { c.Later = 3600 * units.Second },
	} {
		c := config(outbox, 10)
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		if change(&c); c.Validate() == nil {
			t.Errorf("%s is accepted: %+v", what, c)
		}
	}
}
