package run

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"shakedown/bench"
	"shakedown/chaos"
	"shakedown/internal/needs"
	"shakedown/internal/netns"
	"shakedown/internal/proc"
)

// checkIsolation says why the processes of a run cannot be kept apart as the experiment wants.
func checkIsolation(e bench.Experiment, sources map[string]engineSource) error {
	for _, need := range e.Isolation.Needs() {
		if _, err := needs.Look(need); err != nil {
			return &EnvironmentError{fmt.Errorf("%s: isolation: %s: it needs %s: %w", e.Name, e.Isolation, need, err)}
		}
	}
	for _, spec := range e.AllEngines() {
		if e.Isolation == bench.Namespaces && sources[spec.Name].given != nil {
			return &InputError{fmt.Errorf("%s: isolation: %s: a server that you give has no host of the run's; leave --%s-url out",
				e.Name, e.Isolation, spec.Name)}
		}
	}
	return nil
}

// makeHosts makes a host for each process of the trial, where the experiment wants them apart.
func (t *trial) makeHosts(ctx context.Context) error {
	e := t.o.Experiment
	if e.Isolation != bench.Namespaces {
		return nil
	}
	var names []string
	for _, p := range plannedSurface(e, t.planned.Level, t.planned.Variant, t.available).processes {
		names = append(names, p.Name())
	}
	hosts, err := netns.NewNetwork(ctx, names)
	if err != nil {
		return &EnvironmentError{err}
	}
	t.hosts = hosts
	settings := e.SysctlAt(t.planned.Level)
	for _, h := range hosts.Hosts() {
		for _, name := range slices.Sorted(maps.Keys(settings)) {
			path := strings.ReplaceAll(strings.TrimPrefix(name, "net."), ".", "/")
			if err := h.Namespace().Sysctl(path, settings[name]); err != nil {
				return &InputError{fmt.Errorf("%s: sysctl: %s = %s: %w", e.Name, name, settings[name], err)}
			}
		}
	}
	return nil
}

// host is that of the process with the given name; nil where processes share the machine's network.
func (t *trial) host(name string) *netns.Host {
	if t.hosts == nil {
		return nil
	}
	return t.hosts.Host(name)
}

// instancePort is where an instance on a host listens for its peers.
const instancePort = 8080

// inherited is a listener that an instance on a host inherits; the zero inherited is none.
type inherited struct {
	file *os.File
	addr string
}

// close closes the harness's copy: when the instance is dead, nobody listens.
func (in inherited) close() {
	if in.file != nil {
		_ = in.file.Close() // nothing was written to it
	}
}

// putOnHost lets an instance that has a host start there. It inherits a listener on the machine's loopback, by which load and
// scraper reach it past all that happens to hosts, and listens for its peers itself.
func (i *instance) putOnHost(ctx context.Context, start *proc.Spec) (inherited, error) {
	if i.host == nil {
		return inherited{}, nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", i.spec.Listen)
	if err != nil {
		return inherited{}, err
	}
	defer func() { _ = ln.Close() }() // the file is a copy
	in := inherited{addr: ln.Addr().String()}
	if in.file, err = ln.(*net.TCPListener).File(); err != nil {
		return inherited{}, err
	}
	i.spec.Inherits, i.spec.Peers = true, netip.AddrPortFrom(i.host.Addr(), instancePort).String()
	start.ExtraFiles, start.Network = []*os.File{in.file}, i.host.Namespace().File()
	return in, nil
}

// firstInherited is the first descriptor of ExtraFiles in a child.
const firstInherited = 3

// Open makes the listener that the process serves on.
func (s TargetSpec) Open(ctx context.Context) (net.Listener, error) {
	if !s.Inherits {
		return new(net.ListenConfig).Listen(ctx, "tcp", s.Listen)
	}
	f := os.NewFile(firstInherited, "listener")
	defer func() { _ = f.Close() }()
	machine, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("the inherited listener: %w", err)
	}
	peers, err := new(net.ListenConfig).Listen(ctx, "tcp", s.Peers)
	if err != nil {
		return nil, errors.Join(err, machine.Close())
	}
	return join(peers, machine), nil
}

// plannedHost has the name of a host, and nothing behind it.
type plannedHost struct {
	chaos.Host
	name string
}

func (h plannedHost) Name() string { return h.name }
