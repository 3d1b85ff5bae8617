package serve

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ErrAcquireTimeout is the cause when a pool had no connection within its AcquireTimeout. It counts as a time-out.
var ErrAcquireTimeout = fmt.Errorf("no connection was free in time: %w", context.DeadlineExceeded)

// PoolOptions size a pool of PostgreSQL connections. The zero value is pgx's own defaults and no bound on waiting.
type PoolOptions struct {
	Max, Min int
	// AcquireTimeout bounds the wait for a connection, whatever the context allows; 0 is no bound.
	AcquireTimeout time.Duration
	// ConnectTimeout bounds the making of one connection; 0 is two seconds, so that a dead server is an error, not a hang.
	ConnectTimeout time.Duration
	// MaxLifetime ends connections after this time; 0 is an hour.
	MaxLifetime time.Duration
	// QueryMode is how queries are sent; the zero value prepares and caches statements.
	QueryMode pgx.QueryExecMode
	// AfterConnect, when set, prepares every new connection before the pool lends it out.
	AfterConnect func(context.Context, *pgx.Conn) error
	// RuntimeParams are settings of each session, such as statement_timeout.
	RuntimeParams map[string]string
}

// A Pool is a pgxpool.Pool that also knows how many callers wait for a connection, which pgxpool does not tell. All
// methods of pgxpool.Pool that take a connection count as acquisitions. It does not ping idle connections before it
// hands them out: the round trip would be part of what is measured, and a dead connection shows as a query's error.
type Pool struct {
	*pgxpool.Pool
	acquires *acquireCounter
}

// Postgres is a pool of connections to the trial's PostgreSQL, of which env.URLs says where it is; see NewPostgresPool.
func (s *Server) Postgres(ctx context.Context, o PoolOptions) (*Pool, error) {
	url, err := s.env.URL("postgres")
	if err != nil {
		return nil, err
	}
	return NewPostgresPool(ctx, s, "postgres", url, o)
}

// NewPostgresPool makes a pool, shows it under the given name, makes readiness wait for it (a ping, and Min connections
// open), and closes it when the server stops. It does not connect yet: an error is about the URL or the options.
func NewPostgresPool(ctx context.Context, s *Server, name, url string, o PoolOptions) (*Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("pool %s: %w", name, err)
	}
	acquires := &acquireCounter{timeout: o.AcquireTimeout}
	o.apply(config)
	config.ConnConfig.Tracer = acquires
	pgx, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("pool %s: %w", name, err)
	}
	pool := &Pool{Pool: pgx, acquires: acquires}
	s.PoolStats(name, pool.stats)
	s.OnStop("pool "+name, pool.close)
	s.Ready(name, pool.ready)
	return pool, nil
}

func (o PoolOptions) apply(config *pgxpool.Config) {
	if o.Max > 0 {
		config.MaxConns = int32(o.Max)
	}
	config.MinConns = int32(o.Min)
	if o.MaxLifetime > 0 {
		config.MaxConnLifetime = o.MaxLifetime
	}
	config.ConnConfig.ConnectTimeout = o.ConnectTimeout
	if o.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = 2 * time.Second
	}
	config.AfterConnect = o.AfterConnect
	if o.QueryMode != 0 {
		config.ConnConfig.DefaultQueryExecMode = o.QueryMode
	}
	for k, v := range o.RuntimeParams {
		config.ConnConfig.RuntimeParams[k] = v
	}
	config.HealthCheckPeriod = time.Second // how soon Min is met again after a failure; the default minute outlives a phase
	config.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false }
}

// Acquire is pgxpool.Pool.Acquire; when it was the pool's own bound that ended the wait, the error is ErrAcquireTimeout.
func (p *Pool) Acquire(ctx context.Context) (*pgxpool.Conn, error) {
	conn, err := p.Pool.Acquire(ctx)
	if err != nil && ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return nil, ErrAcquireTimeout
	}
	return conn, err
}

func (p *Pool) stats() PoolStats {
	now := p.Stat()
	return PoolStats{
		InUse: int(now.AcquiredConns()), Idle: int(now.IdleConns()), Max: int(now.MaxConns()),
		Waiting:  int(p.acquires.waiting.Load()),
		Acquires: p.acquires.ended.Load(), AcquireTime: time.Duration(p.acquires.spent.Load()),
		EmptyAcquires: now.EmptyAcquireCount(),
	}
}

func (p *Pool) ready(ctx context.Context) error {
	if err := p.Ping(ctx); err != nil {
		return err
	}
	if open, want := p.Stat().TotalConns(), p.Config().MinConns; open < want {
		return fmt.Errorf("%d of %d connections are open", open, want)
	}
	return nil
}

// close waits for connections that are still in use, but only as long as ctx: one that was never released is a bug
// in a service, and must not keep the process alive.
func (p *Pool) close(ctx context.Context) error {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		p.Close()
	}()
	select {
	case <-closed:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%d connections were never released", p.Stat().AcquiredConns())
	}
}

// acquireCounter follows every acquisition of a pool, and bounds it. pgxpool uses the context that TraceAcquireStart
// returns for the acquisition only, so a bound put there does not touch the query that follows.
type acquireCounter struct {
	timeout time.Duration
	waiting atomic.Int64
	ended   atomic.Int64
	spent   atomic.Int64 // nanoseconds
}

var _ pgxpool.AcquireTracer = (*acquireCounter)(nil)

type acquisitionKey struct{}

type acquisition struct {
	start  time.Time
	cancel context.CancelFunc
}

func (c *acquireCounter) TraceAcquireStart(ctx context.Context, _ *pgxpool.Pool, _ pgxpool.TraceAcquireStartData) context.Context {
	c.waiting.Add(1)
	a := &acquisition{start: time.Now(), cancel: func() {}}
	if c.timeout > 0 {
		ctx, a.cancel = context.WithTimeout(ctx, c.timeout)
	}
	return context.WithValue(ctx, acquisitionKey{}, a)
}

func (c *acquireCounter) TraceAcquireEnd(ctx context.Context, _ *pgxpool.Pool, _ pgxpool.TraceAcquireEndData) {
	c.waiting.Add(-1)
	c.ended.Add(1)
	if a, ok := ctx.Value(acquisitionKey{}).(*acquisition); ok {
		a.cancel()
		c.spent.Add(int64(time.Since(a.start)))
	}
}

// The pool takes its tracer from the connection's configuration, where it has to be a tracer of queries too.
func (c *acquireCounter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

// TraceQueryEnd does nothing; see TraceQueryStart.
func (c *acquireCounter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
