package chaostest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"shakedown/chaos"
	"shakedown/chaos/proxy"
	"shakedown/chaos/proxy/intercept/protocols"
	"shakedown/targets/targettest"
)

// engines are real servers, which all rigs share.
var engines targettest.Shared

// spokenEdge is the name of the edge on a stand of a protocol; it has two links.
const spokenEdge = "service→server"

// A client exchanges something with a server through a link, again and again, until it is told to stop.
type client interface {
	// exchange is one exchange. An error is harm: to a connection, or as an answer.
	exchange(ctx context.Context, addr string, worker int) (Harm, error)
	// check says what is wrong with what the server has now, and returns when all connections are closed.
	check(ctx context.Context) error
}

// speaking builds a rig with a real proxy in front of a real server, whose traffic is that of clients of its protocol.
func speaking(p chaos.Protocol, serve func(t *testing.T) (network, address string, c client)) func(t *testing.T) Rig {
	return func(t *testing.T) Rig {
		t.Helper()
		px, err := proxy.New(proxy.WithInspectors(protocols.All()))
		if err != nil {
			t.Fatal(err)
		}
		network, address, c := serve(t)
		t.Cleanup(px.Close)
		s := spoken{}
		for i := range 2 {
			l, err := px.Create(t.Context(), proxy.Spec{
				Name: fmt.Sprintf("service-%d→server", i), Network: network, Address: address, Protocol: p,
			})
			if err != nil {
				t.Fatal(err)
			}
			s.links = append(s.links, l)
		}
		return Rig{
			Surface: s,
			Start:   func(t *testing.T, excused Harm) Traffic { return s.start(t, c, excused) },
			Clean:   s.clean,
		}
	}
}

// spoken is a surface with the links of one edge, which speak a protocol.
type spoken struct{ links }

func (s spoken) Links(name string) []chaos.Link {
	if name == spokenEdge {
		name = Edge
	}
	return s.links.Links(name)
}

func (s spoken) clean(ctx context.Context) error {
	errs := []error{s.links.clean(ctx)}
	for _, l := range s.links {
		for id := range l.Rules() {
			errs = append(errs, fmt.Errorf("%s is still in force on %s", id, l.Name()))
		}
	}
	return errors.Join(errs...)
}

// conversations are traffic: clients on every link, that exchange until they are stopped.
type conversations struct {
	spoken
	client  client
	excused Harm
	stop    atomic.Bool
	ctx     context.Context
	working sync.WaitGroup

	mu   sync.Mutex
	errs []error
}

func (s spoken) start(t *testing.T, c client, excused Harm) Traffic {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	v := &conversations{spoken: s, client: c, excused: excused, ctx: ctx}
	for i, l := range s.links {
		for j := range connsPerLink {
			v.working.Go(func() { v.work(l.Addr(), i*connsPerLink+j) })
		}
	}
	t.Cleanup(func() { // when the test gave up before Stop
		v.stop.Store(true)
		cancel()
		v.working.Wait()
	})
	return v
}

func (v *conversations) work(addr string, worker int) {
	for ; !v.stop.Load(); time.Sleep(pace) {
		harm, err := v.client.exchange(v.ctx, addr, worker)
		if err != nil && (harm == Harmless || harm&v.excused != harm) {
			v.mu.Lock()
			v.errs = append(v.errs, fmt.Errorf("client %d: %w", worker, err))
			v.mu.Unlock()
			return
		}
	}
}

// Mark needs nothing: a rule counts from when it was set.
func (*conversations) Mark(context.Context) error { return nil }

// Meet returns once a rule in force has acted.
func (v *conversations) Meet(ctx context.Context) error {
	return poll(ctx, func() (bool, error) {
		for _, l := range v.links {
			for id := range l.Rules() {
				if c, err := l.RuleCounters(ctx, id); err == nil && c.Acted > 0 {
					return true, nil
				}
			}
		}
		return false, nil
	})
}

// Stop ends each client after the exchange that it is in, and asks the server what came of them.
func (v *conversations) Stop(ctx context.Context) error {
	v.stop.Store(true)
	done := make(chan struct{})
	go func() { v.working.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		return fmt.Errorf("clients hang: %w", context.Cause(ctx))
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return errors.Join(append(v.errs, v.client.check(ctx))...)
}
