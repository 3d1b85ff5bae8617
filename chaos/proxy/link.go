package proxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"shakedown/chaos"
	"shakedown/chaos/proxy/intercept"
	"shakedown/internal/clock"
	"shakedown/internal/netns"
)

// Spec says what a link is: where it listens and where it leads.
type Spec struct {
	Name string `json:"name"` // "service-0→redis"
	// Listen is an address; empty means a free port of 127.0.0.1.
	Listen string `json:"listen,omitempty"`
	// Network is "tcp" (also when empty), "unix" or "udp", and Address the upstream's address on it. A link to a unix socket
	// listens on TCP, one of UDP on UDP.
	Network string `json:"network,omitempty"`
	Address string `json:"address"`
	// Protocol is what the bytes mean, for rules about messages; empty is nothing.
	Protocol chaos.Protocol `json:"protocol,omitempty"`
	// Namespace is the path of the network namespace that the link listens and dials in, /proc/PID/ns/net or another; empty
	// means the proxy's own. Address must be a literal one then.
	Namespace string `json:"namespace,omitempty"`
}

// Validate says what is wrong with the specification.
func (s Spec) Validate() error {
	switch {
	case s.Name == "":
		return errors.New("a link needs a name")
	case s.Network != "" && s.Network != "tcp" && s.Network != "unix" && s.Network != "udp":
		return fmt.Errorf("network %q is unknown; it is tcp, unix or udp", s.Network)
	case s.Address == "":
		return errors.New("a link needs the address of its upstream")
	case s.Namespace != "" && literal(s.network(), s.Address) == nil:
		return fmt.Errorf("address %q is looked up outside the namespace; give a literal one", s.Address)
	}
	return nil
}

func (s Spec) network() string {
	if s.Network == "" {
		return "tcp"
	}
	return s.Network
}

// A carrier listens for a link, on its loop.
type carrier interface {
	start() error
	// follow makes it follow the link's present policy.
	follow(*policy) error
	close()
}

// A Link listens, and forwards each connection to its upstream under the plan that its effects add up to.
// Make one with Proxy.Create.
type Link struct {
	proxy     *Proxy
	spec      Spec
	addr      net.Addr
	inspector intercept.Inspector // nil when the link knows bytes only
	targets   []unix.Sockaddr     // of the upstream; nil when its name is to be looked up
	space     *netns.Namespace    // that it listens and dials in; nil: the proxy's own
	home      *loop               // that listens
	carrier   carrier
	numbers   uint64 // of connections; the home's
	stats     stats
	policy    atomic.Pointer[policy]
	conns     map[*loop]map[*conn]struct{} // each of them the loop's

	ctx    context.Context // done when the link closes: it ends looking up and probing
	cancel context.CancelFunc
	wg     sync.WaitGroup // lookups
	probes atomic.Uint64

	changing sync.Mutex // one change at a time
	clocks   [2]rateClock

	mu      sync.Mutex
	effects map[string]effect
	closed  bool
}

var _ chaos.Link = (*Link)(nil)

func (p *Proxy) newLink(spec Spec) (*Link, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	inspector, err := p.inspector(spec)
	if err != nil {
		return nil, fmt.Errorf("link %s: %w", spec.Name, err)
	}
	l := &Link{
		proxy: p, spec: spec, inspector: inspector, targets: literal(spec.network(), spec.Address),
		home:    p.loops[len(p.links)%len(p.loops)],
		effects: map[string]effect{}, conns: map[*loop]map[*conn]struct{}{},
	}
	l.stats.asked, l.stats.achieved = new(distribution), new(distribution)
	l.policy.Store(compile(nil))
	for _, on := range p.loops {
		l.conns[on] = map[*conn]struct{}{}
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	if spec.Namespace != "" {
		if l.space, err = netns.Open(spec.Namespace); err != nil {
			l.cancel()
			return nil, fmt.Errorf("link %s: %w", spec.Name, err)
		}
	}
	if err := within(l.space, l.listen); err != nil {
		l.cancel()
		return nil, errors.Join(fmt.Errorf("link %s: %w", spec.Name, err), l.leave())
	}
	return l, nil
}

// listen starts to take clients in.
func (l *Link) listen() error {
	address := l.spec.Listen
	if address == "" {
		address = "127.0.0.1:0"
	}
	if l.spec.network() == "udp" {
		u, err := listenUDP(l, address)
		if err != nil {
			return err
		}
		l.carrier = u
	} else {
		fd, addr, err := listen(address)
		if err != nil {
			return err
		}
		l.addr, l.carrier = addr, &listener{link: l, loop: l.home, fd: fd}
	}
	var err error
	l.home.call(func() {
		if err = l.carrier.start(); err != nil {
			l.carrier.close()
		}
	})
	return err
}

// Name is the full name of the edge.
func (l *Link) Name() string { return l.spec.Name }

// Spec is what the link was made from.
func (l *Link) Spec() Spec { return l.spec }

// Addr is the address that the link listens on.
func (l *Link) Addr() string { return l.addr.String() }

// Shape puts an effect in force, on new and on live connections, or replaces the one of the same id. When it returns, every
// live connection follows it.
func (l *Link) Shape(_ context.Context, id string, e chaos.Effect) error {
	if id == "" {
		return errors.New("an effect needs an id")
	}
	if err := l.check(e); err != nil {
		return fmt.Errorf("effect %s: %w", id, err)
	}
	l.changing.Lock()
	defer l.changing.Unlock()
	made := effect{Effect: e, since: clock.Now()}
	switch {
	case e.BytesPerSecond == 0:
	case e.Scope == chaos.ScopeLink:
		made.clocks = &l.clocks
	case e.Scope == chaos.ScopeGroup:
		made.clocks = l.proxy.join(e.Group)
	}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		l.release(made)
		return l.gone()
	}
	before := l.effects[id]
	l.effects[id] = made
	l.mu.Unlock()
	l.release(before)
	if err := l.replan(); err != nil {
		return errors.Join(fmt.Errorf("effect %s: %w", id, err), l.remove(id))
	}
	return nil
}

// check says what is wrong with an effect on this link.
func (l *Link) check(e chaos.Effect) error {
	if err := check(e); err != nil {
		return err
	}
	if l.spec.network() == "udp" {
		return checkUDP(e)
	}
	if e.Drop > 0 || e.Duplicate > 0 || e.Reorder > 0 {
		return errors.New("drop, duplicate and reorder act on datagrams, and this link carries streams, which TCP keeps whole: use loss")
	}
	return nil
}

// Clear removes an effect; bytes that waited for it go on at once. An absent id is no error.
func (l *Link) Clear(_ context.Context, id string) error {
	l.changing.Lock()
	defer l.changing.Unlock()
	return l.remove(id)
}

func (l *Link) remove(id string) error {
	l.mu.Lock()
	before, ok := l.effects[id]
	delete(l.effects, id)
	l.mu.Unlock()
	if !ok {
		return nil
	}
	l.release(before)
	return l.replan()
}

// release gives the clocks of a group back.
func (l *Link) release(e effect) {
	if e.clocks != nil && e.Scope == chaos.ScopeGroup {
		l.proxy.leave(e.Group)
	}
}

// replan makes the present effects the policy, and every live connection follow it. The caller holds changing, and no lock
// that a loop could want.
func (l *Link) replan() error {
	l.mu.Lock()
	p := compile(l.effects)
	l.mu.Unlock()
	l.policy.Store(p)
	var err error
	l.everywhere(func(on *loop) {
		if on == l.home {
			err = l.carrier.follow(p)
		}
		for c := range l.conns[on] {
			c.adopt(p.plan(c.key))
		}
	})
	return err
}

// everywhere does something on every loop, and returns when all have.
func (l *Link) everywhere(do func(on *loop)) {
	var done sync.WaitGroup
	for _, on := range l.proxy.loops {
		done.Add(1)
		if !on.post(func() { do(on); done.Done() }) {
			done.Done()
		}
	}
	done.Wait()
}

// each does something to every connection of the link, on its loop.
func (l *Link) each(do func(*conn)) {
	l.everywhere(func(on *loop) {
		for c := range l.conns[on] {
			do(c)
		}
	})
}

// Effects are the effects in force, by id.
func (l *Link) Effects() map[string]chaos.Effect {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make(map[string]chaos.Effect, len(l.effects))
	for id, e := range l.effects {
		all[id] = e.Effect
	}
	return all
}

// Counters are cumulative since the link was made. Probes do not count.
func (l *Link) Counters(context.Context) (chaos.Counters, error) { return l.stats.counters(), nil }

// accepted takes a client in. It runs on the home loop.
func (l *Link) accepted(fd int) {
	number := l.numbers
	l.numbers++
	loops := l.proxy.loops
	on := loops[number%uint64(len(loops))]
	if on == l.home {
		l.newConn(on, fd, number, &l.stats, -1)
		return
	}
	if !on.post(func() { l.admit(on, fd, number) }) {
		closeSocket(fd, true)
	}
}

// admit takes a client in that another loop has accepted, unless the link was closed meanwhile.
func (l *Link) admit(on *loop, fd int, number uint64) {
	if l.ctx.Err() != nil {
		closeSocket(fd, true)
		return
	}
	l.newConn(on, fd, number, &l.stats, -1)
}

// resolve looks the upstream's name up for a connection.
func (l *Link) resolve(c *conn) {
	if l.ctx.Err() != nil {
		return
	}
	l.wg.Go(func() {
		targets, err := resolve(l.ctx, l.spec.network(), l.spec.Address)
		c.loop.post(func() {
			switch {
			case c.state != resolving:
			case err != nil || len(targets) == 0:
				c.undialled()
			default:
				c.targets = targets
				c.connect()
			}
		})
	})
}

// close ends every connection with a RST, because a FIN would tell that a cut stream was whole, and waits.
func (l *Link) close() {
	l.changing.Lock()
	defer l.changing.Unlock()
	l.cancel() // first, so that a probe knows why it was cut
	l.mu.Lock()
	l.closed = true
	effects := maps.Clone(l.effects)
	clear(l.effects)
	l.mu.Unlock()
	for _, e := range effects {
		l.release(e)
	}
	l.home.call(l.carrier.close)
	l.each(func(c *conn) { c.abort() })
	l.wg.Wait()
	_ = l.leave() // fails only when closed before
}

func (l *Link) gone() error { return fmt.Errorf("link %s is closed", l.spec.Name) }
