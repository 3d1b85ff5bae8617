package aside

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/singleflight"

	"shakedown/bench"
	"shakedown/internal/clock"
	"shakedown/targets/internal/items"
	"shakedown/targets/serve"
)

// hotKey is the key that everybody reads.
const hotKey = 0

// rebuildBound is how long a rebuild on behalf of many may take: more than any user waits.
const rebuildBound = 30 * time.Second

type service struct {
	config Config
	server *serve.Server
	redis  *redis.Client
	pool   *serve.Pool
	cache  *serve.Cache
	dep    *serve.Dependency
	group  singleflight.Group
	rng    *rand.Rand
}

// An entry is what the cache holds for one key. Times are those of the machine's monotonic clock, which all
// instances share.
type entry struct {
	Body    string        `json:"body"`
	ReadAt  time.Duration `json:"read_at"` // when the database was asked
	Expires time.Duration `json:"expires"`
	Took    time.Duration `json:"took"` // the rebuild, for early refresh
}

func newService(ctx context.Context, env bench.Env, raw json.RawMessage) (bench.Service, error) {
	svc, err := open(ctx, env, raw)
	if err != nil {
		return nil, err
	}
	return svc.server, nil
}

func open(ctx context.Context, env bench.Env, raw json.RawMessage) (*service, error) {
	config, err := serve.Decode[Config](raw)
	if err != nil {
		return nil, err
	}
	s := serve.New(env)
	svc := &service{config: config, server: s, cache: s.Cache("items"), dep: s.Dependency("postgres"), rng: s.Rand("cache")}
	// Every connection exists before the load: connecting is not what this experiment measures.
	if svc.pool, err = s.Postgres(ctx, serve.PoolOptions{Max: config.Pool, Min: config.Pool}); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if svc.redis, err = s.Redis(serve.RedisOptions{PoolSize: 64, ReadTimeout: time.Second, WriteTimeout: time.Second}); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.Handle("item", "GET /item/{key}", svc.item)
	return svc, nil
}

func (s *service) item(ctx context.Context, r *http.Request) (serve.Answer, error) {
	key, err := serve.Key(r)
	if err != nil {
		return serve.Answer{}, err
	}
	e, err := s.read(ctx, key)
	switch {
	case err == nil && !s.refreshEarly(e):
		s.cache.Hit()
		return answer(e, bench.Hit), nil
	case err == nil, errors.Is(err, redis.Nil):
		s.cache.Miss()
	default:
		return serve.Answer{}, fmt.Errorf("read the cache: %w", err)
	}
	e, rebuilt, err := s.miss(ctx, key)
	if err != nil {
		return serve.Answer{}, err
	}
	flags := bench.Miss
	if rebuilt {
		flags |= bench.Rebuilt
	}
	return answer(e, flags), nil
}

func answer(e entry, flags bench.Flags) serve.Answer {
	return serve.Answer{Body: e.Body, Flags: flags, Value: (clock.Now() - e.ReadAt).Microseconds()}
}

// refreshEarly decides by chance whether this reader rebuilds an entry that has not expired yet: XFetch, of A. Vattani,
// F. Chierichetti, K. Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", VLDB 2015, section 4.
func (s *service) refreshEarly(e entry) bool {
	if s.config.Strategy != "xfetch" {
		return false
	}
	return e.refresh(clock.Now(), s.config.Beta, 1-s.rng.Float64())
}

// refresh is the decision at the time now, given u, a draw from (0, 1]: it is taken with probability e^(−gap ÷ (β × took)),
// where the gap is what is left of the entry's life.
func (e entry) refresh(now time.Duration, beta, u float64) bool {
	early := -float64(e.Took) * beta * math.Log(u)
	return early >= float64(e.Expires-now)
}

// miss gets what the cache does not have, the strategy's way, and says whether this reader rebuilt it.
func (s *service) miss(ctx context.Context, key int64) (entry, bool, error) {
	switch s.config.Strategy {
	case "singleflight":
		leader := false
		v, err, _ := s.group.Do(strconv.FormatInt(key, 10), func() (any, error) {
			leader = true
			// The leader's departure must not fail those who wait for it; what it began ends in any case.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rebuildBound)
			defer cancel()
			return s.rebuild(ctx, key)
		})
		if err != nil {
			return entry{}, false, err
		}
		return v.(entry), leader, nil
	case "lock":
		return s.locked(ctx, key)
	default:
		e, err := s.rebuild(ctx, key)
		return e, true, err
	}
}

// rebuild reads the item from the database and puts it into the cache.
func (s *service) rebuild(ctx context.Context, key int64) (entry, error) {
	kind := "rebuild:tail"
	if key == hotKey {
		kind = "rebuild:hot"
	}
	end := s.server.Span(kind, key)
	defer end(1)
	s.cache.Rebuild()
	e := entry{ReadAt: clock.Now()}
	err := s.dep.Do(ctx, func(ctx context.Context) error {
		return s.pool.QueryRow(ctx, items.Read, key, s.config.Rebuild.Seconds()).Scan(&e.Body)
	})
	if err != nil {
		return entry{}, fmt.Errorf("read item %d: %w", key, err)
	}
	now := clock.Now()
	e.Took = now - e.ReadAt
	ttl := jittered(s.config.ttl(key).D(), s.config.Jitter, s.rng)
	e.Expires = now + ttl
	return e, s.write(ctx, key, e, ttl)
}

// jittered spreads a time to live uniformly over ± a fraction of it.
func jittered(ttl time.Duration, jitter float64, rng *rand.Rand) time.Duration {
	return time.Duration(float64(ttl) * (1 + jitter*(2*rng.Float64()-1)))
}
