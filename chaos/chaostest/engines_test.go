package chaostest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"shakedown/chaos"
	"shakedown/chaos/proxy"
	"shakedown/internal/proc"
	"shakedown/internal/stack"
	"shakedown/internal/workdir"
)

// The stands of engine faults: a primary with two replicas, and clients that write and read and come back when they are cut off.
// Where nobody can do anything, or roles change, a fault cannot act beside another.
var (
	onPostgres    = engineStand("postgres", "postgres with replicas")
	onRedis       = engineStand("redis", "redis with replicas")
	onPausedRedis = engineStand("redis", "redis that answers nobody")
	overPostgres  = engineStand("postgres", "postgres whose roles change")
	overRedis     = engineStand("redis", "redis whose roles change")
)

func engineStand(kind, name string) *Stand {
	return &Stand{Name: name, Build: func(t *testing.T) Rig { return servers.lend(t, kind, name).rig(t) }}
}

// servers are the sets of engines of this test binary. A set that a test gives back is lent to the next.
var servers pool

// atOnce bounds how many sets of a kind are lent. No test borrows two of a kind.
var atOnce = map[string]chan struct{}{"postgres": make(chan struct{}, 2), "redis": make(chan struct{}, 2)}

type pool struct {
	mu     sync.Mutex
	dir    string
	run    *workdir.Run
	keeper *proc.Keeper
	idle   map[string][]*set
	all    []*set
}

// withEngines runs the tests and ends the engines that they started.
type withEngines struct{ *testing.M }

func (m withEngines) Run() int {
	code := m.M.Run()
	if err := servers.close(); err != nil {
		fmt.Fprintln(os.Stderr, "ending the engines:", err)
		return 1
	}
	return code
}

// lend lends a set, which is started when none is idle.
func (p *pool) lend(t *testing.T, kind, stand string) *set {
	t.Helper()
	atOnce[kind] <- struct{}{} // the machine has room for a few servers
	t.Cleanup(func() { <-atOnce[kind] })
	s, err := p.take(t.Context(), kind, stand)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			return // who knows what it left
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.idle[stand] = append(p.idle[stand], s)
	})
	return s
}

func (p *pool) take(ctx context.Context, kind, stand string) (*set, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.idle[stand]); n > 0 {
		s := p.idle[stand][n-1]
		p.idle[stand] = p.idle[stand][:n-1]
		return s, nil
	}
	if err := p.open(); err != nil {
		return nil, err
	}
	s, err := p.start(ctx, kind)
	if err == nil {
		p.all = append(p.all, s)
	}
	return s, err
}

func (p *pool) open() (err error) {
	if p.keeper != nil {
		return nil
	}
	if p.dir, err = os.MkdirTemp("", "ct"); err != nil { // engines run as another user, and sockets need short paths
		return err
	}
	if err := os.Chmod(p.dir, 0o755); err != nil {
		return err
	}
	root, err := workdir.OpenAt(p.dir)
	if err != nil {
		return err
	}
	if p.run, err = root.NewRun(workdir.NewID()); err != nil {
		return err
	}
	p.keeper, p.idle = proc.NewKeeper(p.run.Journal()), map[string][]*set{}
	return nil
}

// close ends all engines.
func (p *pool) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.keeper == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	var errs []error
	for _, s := range p.all {
		errs = append(errs, s.stop(ctx))
	}
	return errors.Join(append(errs, p.keeper.Close(), p.run.Close(), os.RemoveAll(p.dir))...)
}

// set is a primary and two replicas, which replicate through a proxy.
type set struct {
	kind    string
	members []stack.Instance
	proxy   *proxy.Proxy
	links   []*proxy.Link
}

var _ chaos.EngineSurface = (*set)(nil)

func (p *pool) start(ctx context.Context, kind string) (_ *set, err error) {
	s := &set{kind: kind}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop(context.WithoutCancel(ctx)))
		}
	}()
	if s.proxy, err = proxy.New(); err != nil {
		return nil, err
	}
	k, err := stack.Lookup(kind)
	if err != nil {
		return nil, err
	}
	o := stack.StartOptions{Keeper: p.keeper, Run: p.run, LogDir: filepath.Join(p.dir, "logs", fmt.Sprint(len(p.all)))}
	if kind == "postgres" {
		o.Settings = map[string]string{"max_connections": "40", "autovacuum": "off"} // as few backends as show the point
	}
	primary, err := k.Start(ctx, o)
	if err != nil {
		return nil, err
	}
	s.members = []stack.Instance{primary}
	via := map[string]string{}
	connect := func(from string, to stack.Instance) error {
		network, address := to.Dial()
		l, err := s.proxy.Create(ctx, proxy.Spec{Name: from + "→" + to.Name(), Network: network, Address: address})
		if err == nil {
			s.links, via[l.Name()] = append(s.links, l), l.Addr()
		}
		return err
	}
	for n := range 2 {
		o.Name = stack.ReplicaName(kind, n)
		if err := connect(o.Name, primary); err != nil {
			return nil, err
		}
		r, err := k.(stack.Replicator).StartReplica(ctx, primary, via[o.Name+"→"+kind], o)
		if err != nil {
			return nil, err
		}
		s.members = append(s.members, r)
	}
	for _, to := range s.members[1:] {
		for _, from := range s.members {
			if from != to {
				if err := connect(from.Name(), to); err != nil {
					return nil, err
				}
			}
		}
	}
	_, err = stack.NewGroup(primary, s.members[1:], func(from, to string) string { return via[from+"→"+to] })
	return s, err
}

func (s *set) stop(ctx context.Context) error {
	var errs []error
	for _, m := range slices.Backward(s.members) {
		errs = append(errs, m.Stop(ctx))
	}
	if s.proxy != nil {
		s.proxy.Close()
	}
	return errors.Join(errs...)
}

func (s *set) Links(name string) (found []chaos.Link) {
	for _, l := range s.links {
		if l.Name() == name {
			found = append(found, l)
		}
	}
	return found
}

func (s *set) Processes(name string) (found []chaos.Process) {
	for _, m := range s.members {
		if m.Name() == name {
			found = append(found, m.Process())
		}
	}
	return found
}

func (s *set) Engines(name string) (found []chaos.Engine) {
	for _, m := range s.members {
		if m.Name() == name || strings.HasPrefix(m.Name(), name+"-") && strings.HasSuffix(name, "-replica") {
			found = append(found, m)
		}
	}
	return found
}

func (s *set) EngineNames() (names []string) {
	for _, m := range s.members {
		names = append(names, m.Name())
	}
	return names
}

// rig always has clients: a fault of connections acts on those that are there. Its traffic only says what they met.
func (s *set) rig(t *testing.T) Rig {
	t.Helper()
	c := &clients{set: s}
	if err := c.seed(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	for i := range 3 {
		c.running.Go(func() { c.run(ctx, i) })
	}
	t.Cleanup(func() { cancel(); c.running.Wait() })
	if err := c.Meet(t.Context()); err != nil {
		t.Fatalf("clients of %s: %v", s.kind, err)
	}
	return Rig{
		Surface: s,
		Start:   func(*testing.T, Harm) Traffic { return c },
		Clean:   s.clean,
	}
}

// clean says what is left of faults: every client waits for nobody and no setting differs.
func (s *set) clean(ctx context.Context) error {
	var errs []error
	for _, m := range s.members {
		if e, ok := m.(chaos.SQLEngine); ok {
			errs = append(errs, cleanPostgres(ctx, e))
		}
		if e, ok := m.(chaos.RedisEngine); ok {
			errs = append(errs, cleanRedis(ctx, e))
		}
		errs = append(errs, m.Healthy(ctx))
	}
	return errors.Join(errs...)
}

func cleanPostgres(ctx context.Context, e chaos.SQLEngine) error {
	s, err := e.Session(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close(ctx) }()
	return poll(ctx, func() (bool, error) {
		var sessions, settings int
		var paused bool
		err := s.Row(ctx, `SELECT (SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND application_name = 'shakedown-harness'
			AND state LIKE 'idle in transaction%'), (SELECT count(*) FROM pg_file_settings WHERE name = 'recovery_min_apply_delay'),
			CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE false END`, nil, &sessions, &settings, &paused)
		return sessions == 0 && settings == 0 && !paused, err
	})
}

func cleanRedis(ctx context.Context, e chaos.RedisEngine) error {
	c, err := e.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Do(ctx, "PING"); err != nil {
		return err
	}
	for name, want := range map[string]string{"maxmemory": "0", "maxmemory-policy": "noeviction"} {
		got, err := c.Do(ctx, "CONFIG", "GET", name)
		if err != nil || fmt.Sprint(got) != fmt.Sprint([]any{name, want}) {
			return errors.Join(fmt.Errorf("%s: %v, want %s", name, got, want), err)
		}
	}
	return nil
}

// clients write and read all the time, at whichever member is the primary. What fails is tried again: it is the fault's doing.
type clients struct {
	set     *set
	running sync.WaitGroup
	done    atomic.Int64 // exchanges that succeeded
	failed  atomic.Int64
}

// at is the address of the primary, for the nth client.
func (c *clients) at() stack.Instance {
	m, ok := c.set.members[0].(chaos.Member)
	if !ok {
		return c.set.members[0]
	}
	primary, _ := m.Group().Members()
	i := slices.IndexFunc(c.set.members, func(m stack.Instance) bool { return m.Name() == primary })
	return c.set.members[i]
}

func (c *clients) seed(ctx context.Context) error {
	if c.set.kind == "redis" {
		return nil
	}
	conn, err := pgx.Connect(ctx, c.at().URL())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, "DROP TABLE IF EXISTS item; CREATE TABLE item AS SELECT id, 0 AS n FROM generate_series(0, 9) AS id")
	return err
}

func (c *clients) run(ctx context.Context, n int) {
	for ctx.Err() == nil {
		var err error
		if c.set.kind == "redis" {
			err = c.redis(ctx, n)
		} else {
			err = c.postgres(ctx, n)
		}
		if err != nil && ctx.Err() == nil {
			c.failed.Add(1)
			select {
			case <-ctx.Done():
			case <-time.After(time.Millisecond): // or it would dial in a tight loop
			}
		}
	}
}

// postgres is one connection, for as long as it lives.
func (c *clients) postgres(ctx context.Context, n int) error {
	config, err := pgx.ParseConfig(c.at().URL())
	if err != nil {
		return err
	}
	config.RuntimeParams["application_name"] = fmt.Sprintf("service-%d", n)
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for {
		asking, cancel := context.WithTimeout(ctx, 2*time.Second)
		_, err := conn.Exec(asking, "UPDATE item SET n = n + 1 WHERE id = $1", n)
		cancel()
		if err != nil {
			return err
		}
		c.done.Add(1)
		if err := breathe(ctx); err != nil {
			return err
		}
	}
}

// redis is one connection, which reads keys and writes those that it misses.
func (c *clients) redis(ctx context.Context, n int) error {
	e, ok := c.at().(chaos.RedisEngine)
	if !ok {
		return errors.New("no Redis")
	}
	conn, err := e.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	for i := 0; ; i++ {
		asking, cancel := context.WithTimeout(ctx, 2*time.Second)
		key := fmt.Sprintf("item:%d:%d", n, i%20)
		v, err := conn.Do(asking, "GET", key)
		if err == nil && v == nil || i%5 == 0 {
			_, err = conn.Do(asking, "SET", key, strings.Repeat("x", 1000))
		}
		cancel()
		if err != nil {
			return err
		}
		c.done.Add(1)
		if err := breathe(ctx); err != nil {
			return err
		}
	}
}

// breathe leaves the machine to others for a moment.
func breathe(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(pace):
		return nil
	}
}

// Mark does nothing: a fault takes a while to land, and what the clients do meanwhile may not meet it.
func (*clients) Mark(context.Context) error { return nil }

// Meet waits until one of the clients has read and written from now on, or until none of them gets anywhere.
func (c *clients) Meet(ctx context.Context) error {
	const several, stuck = 15, time.Second // of three clients, one has then come to a write, which is every fifth exchange with Redis
	mark, last, since := c.tried(), c.tried(), time.Now()
	return poll(ctx, func() (bool, error) {
		if now := c.tried(); now != last {
			last, since = now, time.Now()
		}
		return last >= mark+several || time.Since(since) > stuck, nil
	})
}

// tried is how many exchanges have ended, one way or the other.
func (c *clients) tried() int64 { return c.done.Load() + c.failed.Load() }

// Stop wants the clients to be served again.
func (c *clients) Stop(ctx context.Context) error {
	served := c.done.Load()
	return poll(ctx, func() (bool, error) { return c.done.Load() >= served+10, nil })
}
