package aside

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"shakedown/bench"
	"shakedown/internal/units"
	"shakedown/targets/internal/items"
	"shakedown/targets/serve"
	"shakedown/targets/targettest"
)

var engines targettest.Shared

func TestMain(m *testing.M) { os.Exit(engines.Main(m)) }

func TestPattern(t *testing.T) { targettest.Run(t, Pattern, &engines) }

func TestXFetchRefreshesEarlyWithTheProbabilityOfThePaper(t *testing.T) {
	const draws = 10_000
	for _, tt := range []struct {
		name string
		gap  time.Duration // what is left of the entry's life
		took time.Duration
		beta float64
		want float64
	}{
		{"one rebuild ahead", 100, 100, 1, math.Exp(-1)},
		{"half a rebuild ahead", 50, 100, 1, math.Exp(-0.5)},
		{"five rebuilds ahead", 500, 100, 1, math.Exp(-5)},
		{"beta 2 is twice as eager", 100, 100, 2, math.Exp(-0.5)},
		{"beta ½ is half as eager", 100, 100, 0.5, math.Exp(-2)},
		{"at its end", 0, 100, 1, 1},
		{"past its end", -1, 100, 1, 1},
		{"what costs nothing is rebuilt when it ends", 1, 0, 1, 0},
		{"what costs nothing has ended", 0, 0, 1, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			now := time.Hour
			e := entry{Expires: now + tt.gap, Took: tt.took}
			refreshed := 0
			for i := range draws { // u on an even grid over (0, 1], so that the share is exact to a draw
				if e.refresh(now, tt.beta, float64(i+1)/draws) {
					refreshed++
				}
			}
			if got := float64(refreshed) / draws; math.Abs(got-tt.want) > 1.5/draws {
				t.Errorf("it refreshes in %.4f of all cases, want %.4f", got, tt.want)
			}
		})
	}
}

func TestJitterSpreadsTheTimeToLiveEvenlyAroundIt(t *testing.T) {
	const draws = 4000
	rng := rand.New(rand.NewPCG(1, 2))
	for _, jitter := range []float64{0.1, 0.5, 0.9} {
		low, sum := 0, 0.0
		for range draws {
			d := float64(jittered(time.Second, jitter, rng)) / float64(time.Second)
			if d < 1-jitter-1e-9 || d > 1+jitter+1e-9 {
				t.Fatalf("±%v: %v of the time to live", jitter, d)
			}
			if d < 1-jitter/2 {
				low++
			}
			sum += d
		}
		// A quarter is expected in the lowest quarter, ± 0.7 % (one standard deviation).
		if share, mean := float64(low)/draws, sum/draws; math.Abs(share-0.25) > 0.04 || math.Abs(mean-1) > 0.05*jitter {
			t.Errorf("±%v: %.3f of all draws are in the lowest quarter, their mean is %.3f", jitter, share, mean)
		}
	}
	if got := jittered(time.Second, 0, rng); got != time.Second {
		t.Errorf("without jitter a second becomes %v", got)
	}
}

// build is a service on seeded engines whose cache is empty.
func build(t *testing.T, c Config) *service {
	t.Helper()
	env := bench.Env{Role: bench.ServiceRole, URLs: map[string]string{
		"postgres": engines.URL(t, "postgres"), "redis": engines.URL(t, "redis"),
	}}
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := seed(t.Context(), env, raw); err != nil {
		t.Fatal(err)
	}
	svc, err := open(t.Context(), env, raw)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := svc.server.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := svc.redis.FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	return svc
}

func small(strategy string) Config {
	return Config{
		Strategy: strategy, TTL: units.Duration(time.Hour), HotTTL: units.Duration(time.Hour), Pool: 4, Keys: 3,
		LockTTL: units.Duration(time.Minute), LockPoll: units.Millisecond, Beta: 1,
	}
}

func (s *service) ask(t *testing.T, key string) serve.Answer {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/item/"+key, nil)
	r.SetPathValue("key", key)
	a, err := s.item(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAMissIsRebuiltOnceAndThenAHit(t *testing.T) {
	for _, strategy := range strategies {
		t.Run(strategy, func(t *testing.T) {
			svc := build(t, small(strategy))
			if a := svc.ask(t, "2"); a.Flags != bench.Miss|bench.Rebuilt || a.Body != items.Body(2) {
				t.Errorf("the first answer is %q with flags %s", a.Body, a.Flags)
			}
			if a := svc.ask(t, "2"); a.Flags != bench.Hit || a.Body != items.Body(2) || a.Value <= 0 {
				t.Errorf("the second answer is %q with flags %s, %d µs old", a.Body, a.Flags, a.Value)
			}
			if n := svc.redis.Exists(t.Context(), items.LockKey(2)).Val(); n != 0 {
				t.Error("the lock is still there")
			}
		})
	}
}

func TestALockIsGivenUpByItsHolderOnly(t *testing.T) {
	svc := build(t, small("lock"))
	ctx, lock := t.Context(), items.LockKey(1)
	take := func(token string, want bool) {
		t.Helper()
		got, err := svc.acquire(ctx, lock, token)
		if err != nil || got != want {
			t.Fatalf("%s takes the lock: %t, %v; want %t", token, got, err, want)
		}
	}
	take("first", true)
	take("second", false)
	svc.release(ctx, lock, "second")
	take("second", false)
	svc.release(ctx, lock, "first")
	take("second", true)
	svc.release(ctx, lock, "first") // late: its lock ran out, and another has it
	take("third", false)
	if ttl := svc.redis.PTTL(ctx, lock).Val(); ttl <= 0 {
		t.Errorf("the lock of a crashed holder would last %v", ttl)
	}
}

func TestALockIsGivenUpForAUserWhoLeft(t *testing.T) {
	svc := build(t, small("lock"))
	ctx, leave := context.WithCancel(t.Context())
	if _, err := svc.acquire(ctx, items.LockKey(1), "token"); err != nil {
		t.Fatal(err)
	}
	leave()
	svc.release(ctx, items.LockKey(1), "token")
	if n := svc.redis.Exists(t.Context(), items.LockKey(1)).Val(); n != 0 {
		t.Error("the lock is still there")
	}
}

func TestWhoWaitsForALockGetsWhatItsHolderBuilt(t *testing.T) {
	svc := build(t, small("lock"))
	if _, err := svc.acquire(t.Context(), items.LockKey(1), "holder"); err != nil {
		t.Fatal(err)
	}
	if err := svc.write(t.Context(), 1, entry{Body: "built by the holder"}, time.Hour); err != nil {
		t.Fatal(err)
	}
	e, rebuilt, err := svc.locked(t.Context(), 1)
	if err != nil || rebuilt || e.Body != "built by the holder" {
		t.Errorf("it got %q, rebuilt %t, %v", e.Body, rebuilt, err)
	}
}

func TestTheLeadersDepartureDoesNotFailItsFollowers(t *testing.T) {
	svc := build(t, small("singleflight"))
	unlock := holdItems(t)
	ctx, leave := context.WithCancel(t.Context())
	led, followed := make(chan error, 1), make(chan error, 1)
	go func() { _, _, err := svc.miss(ctx, 1); led <- err }()
	awaitBlocked(t)
	go func() { _, _, err := svc.miss(t.Context(), 1); followed <- err }()
	leave()
	unlock()
	if err := errors.Join(<-led, <-followed); err != nil {
		t.Error(err)
	}
	if _, err := svc.read(t.Context(), 1); err != nil {
		t.Errorf("what the leader read is not in the cache: %v", err)
	}
}

// holdItems keeps every read of an item waiting until it is told to stop.
func holdItems(t *testing.T) (unlock func()) {
	t.Helper()
	conn := connect(t)
	tx, err := conn.Begin(t.Context())
	if err == nil {
		_, err = tx.Exec(t.Context(), `lock table shakedown_items in access exclusive mode`)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := tx.Rollback(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// awaitBlocked returns once a query waits for a lock.
func awaitBlocked(t *testing.T) {
	t.Helper()
	conn := connect(t)
	for n := 0; n == 0; {
		if err := conn.QueryRow(t.Context(), `select count(*) from pg_locks where not granted`).Scan(&n); err != nil {
			t.Fatal(err)
		}
	}
}

func connect(t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), engines.URL(t, "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

func TestABrokenEntryIsAnErrorAndNoMiss(t *testing.T) {
	svc := build(t, small("plain"))
	if err := svc.redis.Set(t.Context(), items.CacheKey(1), "{", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := svc.read(t.Context(), 1); err == nil || errors.Is(err, redis.Nil) {
		t.Errorf("reading it says %v", err)
	}
}
