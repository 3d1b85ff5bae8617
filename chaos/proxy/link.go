package proxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"shakedown/chaos"
)

// dialTime bounds the dialling of an upstream.
const dialTime = 10 * time.Second

// Spec says what a link is: where it listens and where it leads.
type Spec struct {
	Name string `json:"name"` // "service-0→redis"
	// Listen is a TCP address; empty means a free port of 127.0.0.1.
	Listen string `json:"listen,omitempty"`
	// Network is "tcp" (also when empty) or "unix", and Address the upstream's address on it.
	Network string `json:"network,omitempty"`
	Address string `json:"address"`
}

// Validate says what is wrong with the specification.
func (s Spec) Validate() error {
	switch {
	case s.Name == "":
		return errors.New("a link needs a name")
	case s.Network != "" && s.Network != "tcp" && s.Network != "unix":
		return fmt.Errorf("network %q is unknown; it is tcp or unix", s.Network)
	case s.Address == "":
		return errors.New("a link needs the address of its upstream")
	}
	return nil
}

func (s Spec) network() string {
	if s.Network == "" {
		return "tcp"
	}
	return s.Network
}

// A Link listens, and forwards each connection to its upstream under the plan that its effects add up to.
// Make one with Proxy.Create.
type Link struct {
	spec  Spec
	ln    *net.TCPListener
	alarm *alarm
	stats stats
	plan  atomic.Pointer[plan]

	ctx    context.Context // done when the link closes: it ends dialling
	cancel context.CancelFunc
	wg     sync.WaitGroup // the accept loop and every connection
	probes atomic.Uint64

	mu      sync.Mutex
	effects map[string]chaos.Effect
	conns   map[*conn]struct{}
	closed  bool
}

var _ chaos.Link = (*Link)(nil)

func newLink(ctx context.Context, spec Spec, a *alarm) (*Link, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	listen := spec.Listen
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", listen)
	if err != nil {
		return nil, fmt.Errorf("link %s: %w", spec.Name, err)
	}
	l := &Link{
		spec: spec, ln: ln.(*net.TCPListener), alarm: a,
		effects: map[string]chaos.Effect{}, conns: map[*conn]struct{}{},
	}
	l.plan.Store(compile(nil))
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.wg.Go(l.accept)
	return l, nil
}

// Name is the full name of the edge.
func (l *Link) Name() string { return l.spec.Name }

// Spec is what the link was made from.
func (l *Link) Spec() Spec { return l.spec }

// Addr is the address that the link listens on.
func (l *Link) Addr() string { return l.ln.Addr().String() }

// Shape puts an effect in force, on new and on live connections, or replaces the one of the same id.
func (l *Link) Shape(_ context.Context, id string, e chaos.Effect) error {
	if id == "" {
		return errors.New("an effect needs an id")
	}
	if err := check(e); err != nil {
		return fmt.Errorf("effect %s: %w", id, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return l.gone()
	}
	l.effects[id] = e
	l.replan()
	return nil
}

// Clear removes an effect; bytes that waited for it go on at once. An absent id is no error.
func (l *Link) Clear(_ context.Context, id string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.effects, id)
	l.replan()
	return nil
}

// replan makes the present effects the plan, and every live connection see it. The caller holds mu.
func (l *Link) replan() {
	p := compile(l.effects)
	l.plan.Store(p)
	for c := range l.conns {
		if p.reset {
			l.reset(c)
		} else {
			c.poke()
		}
	}
}

// reset ends a connection because of a reset effect.
func (*Link) reset(c *conn) {
	if c.abort() {
		c.stats.resets.Add(1)
	}
}

// Effects are the effects in force, by id.
func (l *Link) Effects() map[string]chaos.Effect {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.effects)
}

// Counters are cumulative since the link was made. Probes do not count.
func (l *Link) Counters(context.Context) (chaos.Counters, error) { return l.stats.counters(), nil }

// accept takes clients in until the link closes.
func (l *Link) accept() {
	for index := uint64(0); ; index++ {
		client, err := l.ln.AcceptTCP()
		if err == nil {
			l.wg.Go(func() { l.serve(client, index) })
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
		select { // out of descriptors, most likely: connections that end will give some back
		case <-l.ctx.Done():
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// serve carries one client's connection.
func (l *Link) serve(client *net.TCPConn, index uint64) {
	l.stats.connections.Add(1)
	if l.plan.Load().reset {
		l.stats.resets.Add(1)
		reset(client)
		return
	}
	server, err := l.dial()
	if err != nil {
		l.stats.dialFailures.Add(1)
		reset(client)
		return
	}
	l.stats.open.Add(1)
	defer l.stats.open.Add(-1)
	l.carry(l.newConn(client, server, index, &l.stats))
}

func (l *Link) dial() (halfCloser, error) {
	ctx, cancel := context.WithTimeout(l.ctx, dialTime)
	defer cancel()
	server, err := new(net.Dialer).DialContext(ctx, l.spec.network(), l.spec.Address)
	if err != nil {
		return nil, fmt.Errorf("dialling %s: %w", l.spec.Address, err)
	}
	return server.(halfCloser), nil // true of tcp and unix connections
}

// carry runs a connection that sees every change of the plan from here on.
func (l *Link) carry(c *conn) {
	l.mu.Lock()
	l.conns[c] = struct{}{}
	if l.closed {
		c.abort()
	} else if l.plan.Load().reset { // since it was accepted
		l.reset(c)
	}
	l.mu.Unlock()
	c.run()
	l.mu.Lock()
	delete(l.conns, c)
	l.mu.Unlock()
}

// close ends every connection with a RST, because a FIN would tell that a cut stream was whole, and waits.
func (l *Link) close() {
	l.cancel() // first, so that a probe knows why it was cut
	l.mu.Lock()
	l.closed = true
	for c := range l.conns {
		c.abort()
	}
	l.mu.Unlock()
	_ = l.ln.Close() // fails only when closed before
	l.wg.Wait()
}

func (l *Link) gone() error { return fmt.Errorf("link %s is closed", l.spec.Name) }
