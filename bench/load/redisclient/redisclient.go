// Package redisclient owns the client of package load that asks Redis. It knows what an answer of the server means for a request, and
// makes one attempt at each.
package redisclient

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"shakedown/bench"
	"shakedown/bench/load"
)

// DefaultConns is how many connections there are when nobody says otherwise.
const DefaultConns = 10

// Options are of a client. A field that is 0 means its default.
type Options struct {
	MaxConns int // the most connections; default DefaultConns
}

// Commands are what is asked: the words of an arrival's command, strings, the first of which is its name.
type Commands interface {
	AppendArgs(dst []any, seq uint64) []any
}

// A Client asks Redis through go-redis, over connections of its own, so that the wait for one is known. It does not retry.
type Client struct {
	rdb  *redis.Client
	ask  Commands
	free chan *redis.Conn
}

var _ load.Client = (*Client)(nil)

// quiet silences go-redis' own logger: what goes wrong is in the answers.
var quiet = sync.OnceFunc(logging.Disable)

// New connects to the server at the URL (redis:// or rediss://) once. The caller ends the client with Close.
func New(ctx context.Context, url string, o Options, ask Commands) (*Client, error) {
	quiet()
	opt, err := redis.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("the Redis URL: %w", err)
	}
	if o.MaxConns == 0 {
		o.MaxConns = DefaultConns
	}
	if o.MaxConns < 0 || o.MaxConns > 1<<20 {
		return nil, fmt.Errorf("%d connections make no sense", o.MaxConns)
	}
	// After as many failed dials as the pool is large go-redis dials no more, but probes the server by itself every second. Connections are
	// bounded by free, and so the pool may be larger than any load fails.
	opt.PoolSize, opt.MinIdleConns, opt.MaxRetries = o.MaxConns+100_000, 0, -1
	opt.ContextTimeoutEnabled, opt.DisableIdentity = true, true
	opt.DialTimeout, opt.ReadTimeout, opt.WriteTimeout = time.Minute, -1, -1 // the request's own time-out is shorter
	opt.DialerRetries = 1
	opt.ConnMaxIdleTime = -1
	c := &Client{rdb: redis.NewClient(opt), ask: ask, free: make(chan *redis.Conn, o.MaxConns)}
	if err := c.rdb.Ping(ctx).Err(); err != nil {
		_ = c.rdb.Close()
		return nil, err
	}
	for range o.MaxConns {
		c.free <- c.rdb.Conn()
	}
	return c, nil
}

// Close closes the connections. No request may be in flight.
func (c *Client) Close() {
	for range cap(c.free) {
		_ = (<-c.free).Close()
	}
	_ = c.rdb.Close()
}

// Do asks once.
//
// OK is an answer without an error, nil among them. The server's error means that the command did not happen: Refused when it turned
// the request away for a reason of its own (LOADING, BUSY, TRYAGAIN, CLUSTERDOWN, MASTERDOWN, too many clients), and Failed otherwise. Without an answer the
// request is Failed while it had no connection, and Unsure otherwise; its connection is then closed.
func (c *Client) Do(ctx context.Context, seq uint64, _ bench.Request, timeout time.Duration) load.Answer {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	began := time.Now()
	var conn *redis.Conn
	select {
	case conn = <-c.free:
	default:
		select {
		case conn = <-c.free:
		case <-ctx.Done():
			return load.Answer{Outcome: bench.Failed, Cause: "no connection was free in time", Wait: time.Since(began)}
		}
	}
	a := load.Answer{Wait: time.Since(began)}
	err := conn.Do(ctx, c.ask.AppendArgs(make([]any, 0, 8), seq)...).Err()
	var said redis.Error
	if err != nil && !errors.As(err, &said) { // it is not known what state the connection is in
		_ = conn.Close()
		conn = c.rdb.Conn()
	}
	c.free <- conn
	a.Outcome, a.Cause = outcome(ctx, err)
	return a
}

func outcome(ctx context.Context, err error) (bench.Outcome, string) {
	var said redis.Error
	var op *net.OpError
	switch {
	case err == nil, errors.Is(err, redis.Nil):
		return bench.OK, ""
	case errors.As(err, &said):
		return server(said.Error())
	case errors.As(err, &op) && op.Op == "dial":
		return bench.Failed, "connect failed"
	case ctx.Err() != nil, errors.Is(err, os.ErrDeadlineExceeded):
		return bench.Unsure, "timeout"
	default:
		return bench.Unsure, "the connection broke"
	}
}

// turnedAway are the first words of errors by which Redis says that it does not serve now, or not this client.
var turnedAway = []string{"LOADING", "BUSY", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN"}

// server is what an error of Redis means. Its first word is its kind.
func server(text string) (bench.Outcome, string) {
	kind, _, _ := strings.Cut(text, " ")
	for _, word := range turnedAway {
		if kind == word {
			return bench.Refused, kind
		}
	}
	if strings.Contains(text, "max number of clients") {
		return bench.Refused, "max number of clients reached"
	}
	if kind == "ERR" { // says more
		if len(text) > 80 {
			text = text[:80] + "…"
		}
		return bench.Failed, strings.Map(printable, text)
	}
	return bench.Failed, kind
}

func printable(r rune) rune {
	if r < ' ' {
		return ' '
	}
	return r
}
