package leader

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"shakedown/internal/clock"
	"shakedown/targets/serve"
)

const (
	redisKey   = "shakedown:leader"
	redisTerms = "shakedown:leader:terms"
)

// The scripts compare and act in one step (Redis documentation, "Distributed Locks with Redis"); the first counts terms, too.
var (
	redisAcquire = redis.NewScript(`if redis.call('set', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return redis.call('incr', KEYS[2]) end return 0`)
	redisRenew   = redis.NewScript(`if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('pexpire', KEYS[1], ARGV[2]) end return 0`)
	redisRelease = redis.NewScript(`if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0`)
)

// redisLock is a key that expires.
type redisLock struct {
	config Config
	*serve.RedisNodes
}

var _ lock = (*redisLock)(nil)

// newRedisLock makes a client for Redis, and one for each of its replicas that there is.
func newRedisLock(s *serve.Server, c Config) (*redisLock, error) {
	// Without retries: a command is sent once, and what becomes of it is told.
	o := serve.RedisOptions{PoolSize: 4, DialTimeout: time.Second, ReadTimeout: c.TTL.D(), WriteTimeout: c.TTL.D()}
	nodes, err := s.RedisNodes(o)
	return &redisLock{c, nodes}, err
}

func (l *redisLock) await(ctx context.Context) error {
	for {
		if err := clock.Sleep(ctx, l.config.Retry.D()); err != nil {
			return err
		}
		var held int64
		err := l.On(func(c *redis.Client) (err error) {
			held, err = c.Exists(ctx, redisKey).Result()
			return err
		})
		if err == nil && held == 0 {
			return nil
		}
	}
}

func (l *redisLock) acquire(ctx context.Context, token string) (*grant, error) {
	var g *grant
	err := l.On(func(c *redis.Client) error {
		conn := c.Conn() // WAIT speaks of the writes of its own connection
		defer func() { _ = conn.Close() }()
		term, err := redisAcquire.Run(ctx, conn, []string{redisKey, redisTerms}, token, l.config.TTL.D().Milliseconds()).Int64()
		if err != nil || term == 0 {
			return err
		}
		g = &grant{term: term, token: token}
		return l.everywhere(ctx, conn)
	})
	if err != nil {
		return nil, err
	}
	return g, nil
}

// everywhere wants the grant on as many replicas as the configuration says.
func (l *redisLock) everywhere(ctx context.Context, conn *redis.Conn) error {
	if l.config.Wait == 0 {
		return nil
	}
	have, err := conn.Wait(ctx, l.config.Wait, l.config.TTL.D()/2).Result()
	if err == nil && have < int64(l.config.Wait) {
		err = errors.New("too few replicas have the grant") // it expires
	}
	return err
}

func (l *redisLock) renew(ctx context.Context, g *grant) error {
	return l.On(func(c *redis.Client) error {
		return ours(redisRenew.Run(ctx, c, []string{redisKey}, g.token, l.config.TTL.D().Milliseconds()).Int64())
	})
}

func (l *redisLock) release(ctx context.Context, g *grant) error {
	return l.On(func(c *redis.Client) error {
		return ours(redisRelease.Run(ctx, c, []string{redisKey}, g.token).Int64())
	})
}

// ours reads the answer of a script that compares first.
func ours(done int64, err error) error {
	if err == nil && done == 0 {
		return errLost
	}
	return err
}
