package toxiproxy

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"

	"shakedown/chaos"
	"shakedown/chaos/proxy"
	"shakedown/chaos/proxy/toxiproxy/toxics"
)

// A Proxy is one of Toxiproxy's proxies. While it is enabled there is a link of its name; while not, there is none.
type Proxy struct {
	Name     string `json:"name"`
	Listen   string `json:"listen"` // once it was enabled, with the port that the kernel chose
	Upstream string `json:"upstream"`
	Enabled  bool   `json:"enabled"`

	protocol chaos.Protocol                             // of a link that was made in another way
	toxics   map[chaos.Direction][]*toxics.ToxicWrapper // in the order of their creation
}

// A view is a proxy as the API shows it, at one moment.
type view struct {
	*Proxy
	Toxics []*toxics.ToxicWrapper `json:"toxics"`
}

// view copies what may change. Toxics do not: an update makes another one.
func (p *Proxy) view() view {
	now := *p
	return view{&now, p.list()}
}

// A collection holds the proxies, enabled and disabled, above a proxy of ours that has the links of the enabled ones.
// One request at a time works on it, so that what it answers is what is in force.
type collection struct {
	links *proxy.Proxy
	allow func(proxy.Spec) error
	seed  uint64

	mu      sync.Mutex
	proxies map[string]*Proxy
}

// lock begins a request: it takes in links that were made otherwise, and forgets proxies whose links were deleted.
func (c *collection) lock() (unlock func()) {
	c.mu.Lock()
	there := map[string]bool{}
	for _, l := range c.links.Links() {
		there[l.Name()] = true
		if _, known := c.proxies[l.Name()]; !known {
			s := l.Spec()
			c.proxies[s.Name] = &Proxy{Name: s.Name, Listen: l.Addr(), Upstream: upstreamOf(s), Enabled: true, protocol: s.Protocol}
		}
	}
	for name, p := range c.proxies {
		if p.Enabled && !there[name] {
			delete(c.proxies, name)
		}
	}
	return c.mu.Unlock
}

// upstreamOf is the upstream of a link as Toxiproxy writes it. An upstream that is not on TCP has the network before it,
// unix:/run/redis.sock, which Toxiproxy does not know.
func upstreamOf(s proxy.Spec) string {
	if s.Network == "" || s.Network == "tcp" {
		return s.Address
	}
	return s.Network + ":" + s.Address
}

// spec is the link that the proxy stands for. Without a listen address it is on loopback; Toxiproxy takes all addresses.
func (p *Proxy) spec() proxy.Spec {
	s := proxy.Spec{Name: p.Name, Listen: p.Listen, Address: p.Upstream, Protocol: p.protocol}
	if s.Listen == "" {
		s.Listen = "127.0.0.1:0"
	}
	for _, network := range []string{"unix", "udp"} {
		if address, ok := strings.CutPrefix(p.Upstream, network+":"); ok {
			s.Network, s.Address = network, address
		}
	}
	return s
}

// differs says whether the proxy would have to be restarted to be another one. An address of which only the port is free
// always does.
func (p *Proxy) differs(listen, upstream string) (bool, error) {
	addr, err := net.ResolveTCPAddr("tcp", listen)
	if err != nil {
		return false, err
	}
	return p.Listen != addr.String() || p.Upstream != upstream, nil
}

func (c *collection) get(name string) (*Proxy, error) {
	if p, ok := c.proxies[name]; ok {
		return p, nil
	}
	return nil, errProxyNotFound
}

// start enables a proxy that is not, with its toxics.
func (c *collection) start(ctx context.Context, p *Proxy) error {
	l, err := c.links.Create(ctx, p.spec())
	if err != nil {
		return err
	}
	p.Listen, p.Enabled = l.Addr(), true
	for _, t := range p.list() {
		if err := c.apply(ctx, p, t); err != nil {
			return err
		}
	}
	return nil
}

// stop disables a proxy, which ends its connections, and the effects that are no toxics.
func (c *collection) stop(p *Proxy) {
	if p.Enabled {
		c.links.Delete(p.Name)
	}
	p.Enabled = false
}

// all are the proxies by name.
func (c *collection) all() map[string]view {
	defer c.lock()()
	views := make(map[string]view, len(c.proxies))
	for name, p := range c.proxies {
		views[name] = p.view()
	}
	return views
}

// one is the proxy of a name.
func (c *collection) one(name string) (view, error) {
	defer c.lock()()
	p, err := c.get(name)
	if err != nil {
		return view{}, err
	}
	return p.view(), nil
}

// create adds a proxy of a name that is not taken.
func (c *collection) create(ctx context.Context, body io.Reader) (view, error) {
	input := Proxy{Enabled: true}
	if err := json.NewDecoder(body).Decode(&input); err != nil {
		return view{}, errBadRequestBody.because(err.Error())
	}
	switch {
	case input.Name == "":
		return view{}, errMissingField.because("name")
	case input.Upstream == "":
		return view{}, errMissingField.because("upstream")
	}
	defer c.lock()()
	if _, taken := c.proxies[input.Name]; taken {
		return view{}, errProxyAlreadyExists
	}
	p, err := c.add(ctx, input.Name, input.Listen, input.Upstream, input.Enabled)
	if err != nil {
		return view{}, err
	}
	return p.view(), nil
}

// add makes a proxy, and enables it if it is to be.
func (c *collection) add(ctx context.Context, name, listen, upstream string, enabled bool) (*Proxy, error) {
	p := &Proxy{Name: name, Listen: listen, Upstream: upstream}
	if err := c.allow(p.spec()); err != nil {
		return nil, err
	}
	if enabled {
		if err := c.start(ctx, p); err != nil {
			return nil, err
		}
	}
	c.proxies[name] = p
	return p, nil
}

// populate creates proxies, and replaces those that differ; it stops at the first that cannot be. One that is the same
// stays as it is, disabled if it was.
func (c *collection) populate(ctx context.Context, body io.Reader) (views []view, err error) {
	input := []struct {
		Proxy
		Enabled *bool `json:"enabled"`
	}{}
	if err := json.NewDecoder(body).Decode(&input); err != nil {
		return nil, errBadRequestBody.because(err.Error())
	}
	for i, p := range input {
		switch {
		case p.Name == "":
			return nil, errMissingField.because(fmt.Sprintf("name at proxy %d", i+1))
		case p.Upstream == "":
			return nil, errMissingField.because(fmt.Sprintf("upstream at proxy %d", i+1))
		}
	}
	defer c.lock()()
	var made []*Proxy
	defer func() { // at the end: a later one may have replaced an earlier one
		for _, p := range made {
			views = append(views, p.view())
		}
	}()
	for _, p := range input {
		one, err := c.replace(ctx, p.Name, p.Listen, p.Upstream, p.Enabled == nil || *p.Enabled)
		if err != nil {
			return nil, err
		}
		made = append(made, one)
	}
	return nil, nil
}

func (c *collection) replace(ctx context.Context, name, listen, upstream string, enabled bool) (*Proxy, error) {
	if old, ok := c.proxies[name]; ok {
		differs, err := old.differs(listen, upstream)
		if err != nil || !differs {
			return old, err
		}
		if err := c.allow((&Proxy{Name: name, Listen: listen, Upstream: upstream}).spec()); err != nil {
			return nil, err // and the old one goes on
		}
		c.stop(old)
	}
	return c.add(ctx, name, listen, upstream, enabled)
}

// update moves, enables or disables a proxy. Its toxics stay.
func (c *collection) update(ctx context.Context, name string, body io.Reader) (view, error) {
	defer c.lock()()
	p, err := c.get(name)
	if err != nil {
		return view{}, err
	}
	input := Proxy{Listen: p.Listen, Upstream: p.Upstream, Enabled: p.Enabled}
	if err := json.NewDecoder(body).Decode(&input); err != nil {
		return view{}, errBadRequestBody.because(err.Error())
	}
	if err := c.move(p, input.Listen, input.Upstream); err != nil {
		return view{}, err
	}
	switch {
	case input.Enabled && !p.Enabled:
		err = c.start(ctx, p)
	case !input.Enabled:
		c.stop(p)
	}
	if err != nil {
		return view{}, err
	}
	return p.view(), nil
}

// move disables a proxy whose addresses change, until it is started again.
func (c *collection) move(p *Proxy, listen, upstream string) error {
	differs, err := p.differs(listen, upstream)
	if err != nil || !differs {
		return err
	}
	if upstream == "" { // Toxiproxy would go on, and lead nowhere
		return errMissingField.because("upstream")
	}
	moved := Proxy{Name: p.Name, Listen: listen, Upstream: upstream}
	if err := c.allow(moved.spec()); err != nil {
		return err
	}
	c.stop(p)
	p.Listen, p.Upstream = listen, upstream
	return nil
}

func (c *collection) remove(name string) error {
	defer c.lock()()
	p, err := c.get(name)
	if err != nil {
		return err
	}
	c.stop(p)
	delete(c.proxies, name)
	return nil
}

// reset enables every proxy and removes every toxic, by name, until one cannot be.
func (c *collection) reset(ctx context.Context) error {
	defer c.lock()()
	for _, name := range slices.Sorted(maps.Keys(c.proxies)) {
		p := c.proxies[name]
		if !p.Enabled {
			if err := c.start(ctx, p); err != nil {
				return err
			}
		}
		for _, t := range p.list() {
			if err := c.detach(ctx, p, t); err != nil {
				return err
			}
		}
	}
	return nil
}
