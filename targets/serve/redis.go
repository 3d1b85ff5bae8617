package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
	"golang.org/x/sys/unix"
)

// RedisOptions tune a Redis client. Unlike go-redis, zero means none for MaxRetries; elsewhere zero is go-redis's default.
type RedisOptions struct {
	DialTimeout, ReadTimeout, WriteTimeout time.Duration
	PoolSize                               int
	PoolTimeout                            time.Duration // the longest wait for a free connection
	// MaxRetries is how often a command is sent again after a network error. 0 is never.
	MaxRetries int
	// UserTimeout is how long what was sent may stay without acknowledgement before the kernel gives the connection up
	// (TCP_USER_TIMEOUT, tcp(7)). Zero leaves it to the kernel's count of retransmissions.
	UserTimeout time.Duration
}

// quietRedis silences go-redis' own logger, which is global and writes a line to standard error for every dial that fails. The
// command that needed the connection returns the same error, and the service says what it made of it.
var quietRedis = sync.OnceFunc(logging.Disable)

// Redis is a client of the trial's Redis, of which env.URLs says where it is; see NewRedis.
func (s *Server) Redis(o RedisOptions) (*redis.Client, error) {
	url, err := s.env.URL("redis")
	if err != nil {
		return nil, err
	}
	return NewRedis(s, "redis", url, o)
}

// NewRedis makes a client of the server at url (redis://…), shows its pool under the given name, makes readiness wait
// for a PING, and closes it when the server stops. Contexts bound commands, a failed dial is tried once, and new
// connections are not slowed by client names or maintenance notifications. An error is about the URL.
func NewRedis(s *Server, name, url string, o RedisOptions) (*redis.Client, error) {
	opt, err := redis.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("redis %s: %w", name, err)
	}
	opt.DialTimeout, opt.ReadTimeout, opt.WriteTimeout = o.DialTimeout, o.ReadTimeout, o.WriteTimeout
	opt.PoolSize, opt.PoolTimeout = o.PoolSize, o.PoolTimeout
	if opt.PoolSize == 0 {
		opt.PoolSize = 10 * runtime.GOMAXPROCS(0) // go-redis's default, stated so that _max can show it
	}
	opt.MaxRetries = o.MaxRetries
	if o.MaxRetries == 0 {
		opt.MaxRetries = -1 // go-redis reads 0 as 3
	}
	if o.UserTimeout > 0 {
		opt.Dialer = dialerWith(o.UserTimeout, opt.DialTimeout)
	}
	opt.DialerRetries = 1 // go-redis reads 0 as 5 tries, hidden from every counter
	opt.ContextTimeoutEnabled = true
	opt.Protocol = 2 // no HELLO, so one round trip less on each new connection
	opt.DisableIdentity = true
	opt.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	quietRedis()
	client := redis.NewClient(opt)
	s.PoolStats(name, func() PoolStats { return redisPool(client.PoolStats(), opt.PoolSize) })
	s.OnStop("redis "+name, func(context.Context) error { return client.Close() })
	s.Ready(name, func(ctx context.Context) error { return client.Ping(ctx).Err() })
	return client, nil
}

// dialerWith dials as go-redis does, and tells the kernel how long to wait for acknowledgements.
func dialerWith(user, dial time.Duration) func(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: dial, KeepAlive: 5 * time.Minute}
	d.Control = func(network, _ string, c syscall.RawConn) error {
		if !strings.HasPrefix(network, "tcp") {
			return nil
		}
		var err error
		cerr := c.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(user.Milliseconds()))
		})
		return errors.Join(cerr, err)
	}
	return d.DialContext
}

// redisPool translates go-redis's counts. Its wait time covers the acquisitions that had to wait for a turn; the others
// took none.
func redisPool(p *redis.PoolStats, size int) PoolStats {
	return PoolStats{
		InUse: int(p.TotalConns) - int(p.IdleConns), Idle: int(p.IdleConns), Max: size,
		Waiting:  int(p.PendingRequests),
		Acquires: int64(p.Hits) + int64(p.Misses) + int64(p.Timeouts), AcquireTime: time.Duration(p.WaitDurationNs),
		EmptyAcquires: int64(p.WaitCount) + int64(p.Timeouts),
	}
}
