package leader

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"shakedown/bench"
	"shakedown/internal/clock"
	"shakedown/targets/serve"
)

const (
	// actTimeout is how long a leader waits for the resource: longer than any fault here lasts, because a write that was sent is not
	// taken back by somebody who no longer waits for it.
	actTimeout = 10 * time.Second
	// stagger is how much later the next instance asks for a role that has become free, so that it is known who gets it.
	stagger = 30 * time.Millisecond
	// firstWait bounds how long the others let the first instance have the role, at the start of a trial.
	firstWait = 5 * time.Second
)

// service is one instance: it wants the role, works in it, and answers whoever looks at what the leader has done.
type service struct {
	config   Config
	server   *serve.Server
	lock     lock
	store    *serve.Dependency
	resource resource
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
	svc := &service{config: config, server: s, store: s.Dependency(config.Store)}
	if err := svc.connect(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.Handle("latest", "GET /latest", svc.latest)
	if l, ok := svc.lock.(*etcdLock); ok {
		s.Handle("note", "PUT /note/{key}", svc.note(l.client))
	}
	s.Go("campaign", svc.campaign)
	return svc, nil
}

// connect makes the clients. All that the trial has must be there before it begins, also what this variant does not use.
func (s *service) connect(ctx context.Context) (err error) {
	env := s.server.Env()
	s.resource = resource{dep: s.server.Dependency("postgres"), fenced: s.config.Fenced}
	if s.resource.pool, err = s.server.Postgres(ctx, serve.PoolOptions{Max: 4, Min: 2}); err != nil {
		return err
	}
	switch s.config.Store {
	case storeRedis:
		s.lock, err = newRedisLock(s.server, s.config)
	case storeEtcd:
		l := &etcdLock{config: s.config}
		l.client, err = s.beside()
		s.lock = l
	default:
		l := &advisoryLock{config: s.config}
		l.sessions, err = serve.NewPostgresPool(ctx, s.server, "sessions", cmp.Or(env.URLs[pooler], env.URLs["postgres"]), sessionOptions())
		s.lock = l
	}
	for _, other := range []string{storeRedis, storeEtcd} {
		if at := env.URLs[other]; at != "" && other != s.config.Store {
			s.server.Ready(other, reachable(at))
		}
	}
	return err
}

// beside is a client of the instance's own member of etcd: of one that is there for all, or of a group.
func (s *service) beside() (*clientv3.Client, error) {
	env := s.server.Env()
	members := 1
	for env.URLs[etcdMember(members)] != "" {
		members++
	}
	at, err := env.URL(etcdMember(env.Instance % members))
	if err != nil {
		return nil, err
	}
	return serve.NewEtcd(s.server, storeEtcd, at)
}

// reachable says whether anybody listens at a URL, of a host or of a unix socket.
func reachable(at string) func(context.Context) error {
	return func(ctx context.Context) error {
		u, err := url.Parse(at)
		if err != nil {
			return errors.New("its address cannot be read")
		}
		network, address := "tcp", u.Host
		if u.Host == "" {
			network, address = "unix", u.Path
		}
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return err
		}
		return conn.Close()
	}
}

// latest answers with the age of the last act: as long as nobody leads, it grows.
func (s *service) latest(ctx context.Context, _ *http.Request) (serve.Answer, error) {
	acts, age, err := s.resource.latest(ctx)
	if err != nil {
		return serve.Answer{}, err
	}
	return serve.Answer{Value: age.Microseconds(), Body: fmt.Sprintf("%d acts\n", acts)}, nil
}

// note writes a key to etcd that has nothing to do with the role.
func (s *service) note(client *clientv3.Client) serve.HandlerFunc {
	return func(ctx context.Context, r *http.Request) (serve.Answer, error) {
		key, err := serve.Key(r)
		if err != nil {
			return serve.Answer{}, err
		}
		return serve.Answer{}, s.store.Do(ctx, func(ctx context.Context) error {
			_, err := client.Put(ctx, fmt.Sprintf("shakedown/note/%d", key), "a note")
			return err
		})
	}
}

// campaign wants the role, works in it, and wants it again, until the instance ends.
func (s *service) campaign(ctx context.Context) error {
	s.letFirst(ctx)
	for s.free(ctx) {
		if l := s.elect(ctx); l != nil {
			s.lead(ctx, l)
		}
	}
	return nil
}

// free waits until the role may be free and it is this instance's turn to ask for it; no, when the context has ended.
func (s *service) free(ctx context.Context) bool {
	return s.lock.await(ctx) == nil && clock.Sleep(ctx, time.Duration(s.server.Env().Instance)*stagger) == nil
}

// letFirst returns when this is the first instance, somebody has acted, or nobody has for long: faults are aimed at the first leader.
func (s *service) letFirst(ctx context.Context) {
	if s.server.Env().Instance == 0 {
		return
	}
	for began := clock.Now(); clock.Now()-began < firstWait; {
		if acts, _, err := s.resource.latest(ctx); err == nil && acts > 0 {
			return
		}
		if clock.Sleep(ctx, s.config.Retry.D()) != nil {
			return
		}
	}
}

// elect asks for the role once.
func (s *service) elect(ctx context.Context) *lease {
	called := clock.Now()
	l := &lease{id: fmt.Sprintf("%s@%d", s.server.Env().Name(), called), check: s.config.Check}
	err := s.ask(ctx, func(ctx context.Context) (err error) {
		l.grant, err = s.lock.acquire(ctx, l.id)
		return err
	})
	if err != nil || l.grant == nil {
		return nil
	}
	l.until = called + s.config.TTL.D()
	s.record(line{Kind: kindLease, Lease: l.id, Term: l.term, Call: called, Return: clock.Now()})
	return l
}

// lead works for as long as the instance believes that it has the role.
func (s *service) lead(ctx context.Context, l *lease) {
	keeping, stop := context.WithCancel(ctx)
	kept := make(chan struct{})
	go func() {
		defer close(kept)
		s.keep(keeping, l)
	}()
	for step := int64(1); ctx.Err() == nil && s.step(ctx, l, step); step++ {
	}
	stop()
	<-kept
	released := clock.Now()
	done, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.config.TTL.D())
	defer cancel()
	if err := s.lock.release(done, l.grant); err == nil {
		s.record(line{Kind: kindRelease, Lease: l.id, Call: released})
	}
}

// step is one piece of work, and the write of what came of it. It says whether the instance is still the leader as far as it knows.
func (s *service) step(ctx context.Context, l *lease, n int64) bool {
	if _, ok := l.left(); !ok {
		return false
	}
	did := line{Kind: kindAct, Lease: l.id, Term: l.term, Step: n, Start: clock.Now(), Said: saidDropped}
	defer func() {
		did.Return = clock.Now()
		s.record(did)
	}()
	if clock.Sleep(ctx, s.config.Work.D()) != nil {
		return false
	}
	patience := actTimeout
	if s.config.Check == checkWrite {
		left, ok := l.left()
		if !ok {
			return false
		}
		patience = min(patience, left)
	}
	writing, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	did.Call = clock.Now()
	err := s.resource.act(writing, l.term, l.id, n)
	did.Said = said(err)
	return !errors.Is(err, errRejected)
}
