package proxy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// ErrExists is returned for a link whose name is taken by one that leads elsewhere.
var ErrExists = errors.New("exists already, and leads elsewhere")

// A Proxy holds links by name.
type Proxy struct {
	alarm *alarm

	mu     sync.Mutex
	links  map[string]*Link
	closed bool
}

// New makes a proxy without links. It fails when the kernel gives no timer.
func New() (*Proxy, error) {
	a, err := newAlarm()
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	return &Proxy{alarm: a, links: map[string]*Link{}}, nil
}

// Create makes a link and starts it. Creating the same link again returns it; a name that is taken
// by another is ErrExists.
func (p *Proxy) Create(ctx context.Context, spec Spec) (*Link, error) {
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
	l, err := newLink(ctx, spec, p.alarm)
	if err != nil {
		return nil, err
	}
	p.links[spec.Name] = l
	return l, nil
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

// Close closes every link and returns when every goroutine of the proxy has ended. It may be called again.
func (p *Proxy) Close() {
	p.mu.Lock()
	again := p.closed
	p.closed = true
	p.mu.Unlock()
	for _, l := range p.Links() {
		p.Delete(l.spec.Name)
	}
	if !again {
		p.alarm.close()
	}
}
