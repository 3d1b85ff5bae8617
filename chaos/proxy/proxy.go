package proxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"

	"shakedown/chaos"
	"shakedown/chaos/proxy/intercept"
)

// ErrExists is returned for a link whose name is taken by one that leads elsewhere.
var ErrExists = errors.New("exists already, and leads elsewhere")

// Inspectors make the inspector of a link, by the protocol that the link speaks.
type Inspectors map[chaos.Protocol]func(link string) intercept.Inspector

// An Option changes how a proxy works.
type Option func(*Proxy)

// WithInspectors makes the proxy understand protocols. Without, a link that has one cannot be made.
func WithInspectors(i Inspectors) Option { return func(p *Proxy) { p.inspectors = i } }

// A Proxy holds links by name, and the loops that carry them.
type Proxy struct {
	inspectors Inspectors
	loops      []*loop
	budget     budget
	undo       func()

	mu     sync.Mutex
	links  map[string]*Link
	groups map[string]*group
	closed bool
}

// A group of links shares limits of the rate while an effect of one of them names it.
type group struct {
	clocks [2]rateClock
	used   int
}

// New makes a proxy without links. It fails when the kernel gives no event loop.
func New(options ...Option) (*Proxy, error) {
	p := &Proxy{links: map[string]*Link{}, groups: map[string]*group{}}
	for _, o := range options {
		o(p)
	}
	for range loops() {
		l, err := newLoop(&p.budget)
		if err != nil {
			p.stop()
			return nil, fmt.Errorf("proxy: %w", err)
		}
		p.loops = append(p.loops, l)
		go l.run()
	}
	p.undo = ownProcs(len(p.loops))
	return p, nil
}

// loops is how many there are. Where both ends of a link want the processors too, as many threads as there are get a proxy
// its share of them; more than a few would only make batches smaller.
func loops() int { return min(4, runtime.NumCPU()) }

var procs sync.Mutex // guards GOMAXPROCS

// ownProcs gives loops processors of their own to run Go code on, so that a busy loop takes none from the rest of the
// process. The operating system's scheduler decides who runs.
func ownProcs(n int) (undo func()) {
	change := func(by int) {
		procs.Lock()
		defer procs.Unlock()
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + by)
	}
	change(n)
	return func() { change(-n) }
}

// Create makes a link and starts it. Creating the same link again returns it; a name that is taken
// by another is ErrExists.
func (p *Proxy) Create(_ context.Context, spec Spec) (*Link, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errors.New("the proxy is closed")
	}
	if l, ok := p.links[spec.Name]; ok {
		if l.spec != spec {
			return nil, fmt.Errorf("link %s %w", spec.Name, ErrExists)
		}
		return l, nil
	}
	l, err := p.newLink(spec)
	if err != nil {
		return nil, err
	}
	p.links[spec.Name] = l
	return l, nil
}

// inspector is the one of a new link; nil when its bytes mean nothing.
func (p *Proxy) inspector(spec Spec) (intercept.Inspector, error) {
	if spec.Protocol == "" {
		return nil, nil
	}
	if spec.network() == "udp" {
		return nil, errors.New("a link of network udp has no protocol")
	}
	inspect, ok := p.inspectors[spec.Protocol]
	if !ok {
		known := slices.Sorted(maps.Keys(p.inspectors))
		return nil, fmt.Errorf("protocol %q is unknown; this proxy understands %v, and bytes when it is left out", spec.Protocol, known)
	}
	return inspect(spec.Name), nil
}

// Link finds a link by its name.
func (p *Proxy) Link(name string) (*Link, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l, ok := p.links[name]
	return l, ok
}

// Links are all links, by name.
func (p *Proxy) Links() []*Link {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]*Link, 0, len(p.links))
	for _, l := range p.links {
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b *Link) int { return strings.Compare(a.spec.Name, b.spec.Name) })
	return all
}

// Queued is how many bytes wait in the proxy now, with what it takes to keep them in order. It is bounded.
func (p *Proxy) Queued() int64 { return p.budget.used.Load() }

// join finds the clocks of a group, and leave gives them back.
func (p *Proxy) join(name string) *[2]rateClock {
	p.mu.Lock()
	defer p.mu.Unlock()
	g, ok := p.groups[name]
	if !ok {
		g = &group{}
		p.groups[name] = g
	}
	g.used++
	return &g.clocks
}

func (p *Proxy) leave(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if g := p.groups[name]; g != nil {
		if g.used--; g.used == 0 {
			delete(p.groups, name)
		}
	}
}

// Delete closes a link and its connections; it returns false when there is none of that name.
func (p *Proxy) Delete(name string) bool {
	p.mu.Lock()
	l, ok := p.links[name]
	delete(p.links, name)
	p.mu.Unlock()
	if ok {
		l.close()
	}
	return ok
}

// Close closes every link and returns when every thread of the proxy has ended. It may be called again.
func (p *Proxy) Close() {
	p.mu.Lock()
	again := p.closed
	p.closed = true
	p.mu.Unlock()
	for _, l := range p.Links() {
		p.Delete(l.spec.Name)
	}
	if !again {
		p.stop()
		p.undo()
	}
}

func (p *Proxy) stop() {
	for _, l := range p.loops {
		l.stop()
	}
}
