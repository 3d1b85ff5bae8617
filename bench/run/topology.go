package run

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	dto "github.com/prometheus/client_model/go"
	"golang.org/x/sync/errgroup"

	"shakedown/bench"
	"shakedown/chaos"
	"shakedown/chaos/proxy/api"
	"shakedown/internal/netns"
	"shakedown/internal/stack"
	"shakedown/internal/subject"
	"shakedown/internal/telemetry"
)

// seedTimeout bounds the filling of the engines.
const seedTimeout = 2 * time.Minute

// topology is what runs in one trial: engines, links through the proxy, and the processes of the pattern.
type topology struct {
	hosts    *netns.Network // nil: all share the machine's
	engines  []stack.Instance
	groups   []*stack.Group // of the engines that have replicas
	members  []string       // of groups that decide by majority
	links    []*api.Link
	backends []*instance
	services []*instance
}

// startAll starts engines, seeds them, and starts the pattern's processes, what is behind first.
func (t *trial) startAll(ctx context.Context) error {
	if err := t.makeHosts(ctx); err != nil {
		return err
	}
	if err := t.startEngines(ctx); err != nil {
		return err
	}
	if err := t.seed(ctx); err != nil {
		return err
	}
	if err := t.settleDisks(ctx); err != nil {
		return err
	}
	if t.o.Experiment.Probes() {
		return nil // no processes
	}
	for _, b := range t.o.Experiment.Backends {
		config, err := b.ConfigAt(t.planned.Level, t.planned.Variant)
		if err != nil {
			return &InputError{err}
		}
		started, err := t.startRole(ctx, b.Role, max(b.Instances, 1), config)
		t.backends = append(t.backends, started...)
		if err != nil {
			return err
		}
	}
	services, err := t.startRole(ctx, bench.ServiceRole, max(t.planned.Variant.Instances, 1), t.config)
	t.services = services
	if err != nil {
		return err
	}
	t.announce()
	return nil
}

func (t *trial) startEngines(ctx context.Context) error {
	for _, spec := range t.o.Experiment.EnginesAt(t.planned.Level, t.planned.Variant) {
		if spec.Members > 1 {
			if err := t.startMembers(ctx, spec); err != nil {
				return cannotStart(ctx, fmt.Errorf("start the members of %s: %w", spec.Name, err))
			}
			continue
		}
		e, err := t.available[spec.Name].start(ctx, t, spec)
		if err != nil {
			return cannotStart(ctx, fmt.Errorf("start %s: %w", spec.Name, err))
		}
		t.engines = append(t.engines, e)
		if spec.Replicas > 0 {
			if err := t.startReplicas(ctx, spec, e); err != nil {
				return cannotStart(ctx, fmt.Errorf("start the replicas of %s: %w", spec.Name, err))
			}
		}
		if spec.Pooler != nil {
			if err := t.startPooler(ctx, spec, e); err != nil {
				return cannotStart(ctx, fmt.Errorf("start the pooler of %s: %w", spec.Name, err))
			}
		}
	}
	return nil
}

// cannotStart sorts the error of an engine that did not start: it refuses a setting of the experiment, or this machine does not
// let it run.
func cannotStart(ctx context.Context, err error) error {
	var setting *stack.SettingError
	switch {
	case errors.As(err, &setting):
		return &InputError{err}
	case ctx.Err() != nil:
		return err
	default:
		return &EnvironmentError{err}
	}
}

func (t *trial) seed(ctx context.Context) error {
	if t.o.Pattern.Seed == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, seedTimeout)
	defer cancel()
	for _, e := range t.engines {
		if err := e.Reset(ctx); err != nil {
			return fmt.Errorf("reset %s: %w", e.Name(), err)
		}
	}
	if err := t.o.Pattern.Seed(ctx, t.straight(), t.config); err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	for _, g := range t.groups {
		if err := g.CatchUp(ctx); err != nil {
			return fmt.Errorf("seed: %w", err)
		}
	}
	return nil
}

func (t *trial) env(role string, n, of int) bench.Env {
	return bench.Env{
		Pattern: t.o.Pattern.Name, Role: role, Variant: t.planned.Variant.Name, Instance: n, Instances: of,
		Seed: t.planned.Seed, URLs: map[string]string{}, Spans: t.spansPath(bench.InstanceName(role, n)), History: t.writer.HistoryDir(),
		Ops: t.load.OpNames(),
	}
}

func (t *trial) spansPath(instance string) string {
	return filepath.Join(t.dir, instance+".spans.ndjson")
}

// startRole starts all instances of a role, each with links of its own, at the same time. Also with an error it returns those that
// it began to start, once they run or do not.
func (t *trial) startRole(ctx context.Context, role string, n int, config []byte) ([]*instance, error) {
	instances := make([]*instance, n)
	g, gctx := errgroup.WithContext(ctx)
	for i := range n {
		env := t.env(role, i, n)
		if err := t.connect(ctx, env); err != nil {
			return instances, errors.Join(err, g.Wait())
		}
		instances[i] = &instance{
			Subject: subject.New(subject.Options{
				Keeper: t.keeper, Journal: t.work.Journal(), Run: t.work.ID(), Name: env.Name(), Dir: t.dir,
				Arrangement: t.arrangement(env.Name()),
			}),
			program: t.o.Program, dir: t.dir, log: t.writer.LogPath(env.Name()), client: t.client, died: t.died, host: t.host(env.Name()),
			spec: TargetSpec{Env: env, Config: config, Listen: "127.0.0.1:0"},
		}
		g.Go(func() error { return instances[i].Start(gctx) })
	}
	return instances, g.Wait()
}

// died records that a process of the system under test ended by itself.
func (t *trial) died(name, how string) {
	t.finding(name + " died: " + how)
}

// connect makes a way to every dependency of an instance, and tells the instance their addresses.
func (t *trial) connect(ctx context.Context, env bench.Env) error {
	addrs := map[string]string{}
	for _, e := range t.engines {
		addr, err := t.wayTo(ctx, env.Name(), e)
		if err != nil {
			return err
		}
		addrs[e.Name()], env.URLs[e.Name()] = addr, e.URLVia(addr, env.Name())
	}
	for _, g := range t.groups {
		if url := g.URLOfPrimary(addrs, env.Name()); url != "" {
			env.URLs[g.Name()+"-primary"] = url
		}
	}
	for _, b := range t.backends {
		if env.Role != bench.ServiceRole {
			continue // backends reach the engines, and only services reach backends
		}
		name := b.spec.Env.Role
		if b.spec.Env.Instances > 1 {
			name = b.Name()
		}
		addr, err := t.way(ctx, env.Name(), name, "tcp", b.PeerAddr())
		if err != nil {
			return err
		}
		env.URLs[name] = "http://" + addr
	}
	return nil
}

// wayTo is the way to an engine.
func (t *trial) wayTo(ctx context.Context, from string, e stack.Instance) (addr string, err error) {
	network, address := e.Dial()
	if on := e.HostAddr(); on != "" {
		network, address = "tcp", on
	}
	return t.way(ctx, from, e.Name(), network, address)
}

// way is the address at which one process reaches another: that of a link, which on a host is beside the one that dials, or,
// where the experiment wants no links, the other's own.
func (t *trial) way(ctx context.Context, from, to, network, address string) (addr string, err error) {
	if t.o.Experiment.Direct {
		return address, nil
	}
	name := linkName(from, to)
	spec := api.LinkSpec{Name: name, Network: network, Address: address, Protocol: t.looksInto(name, to)}
	if h := t.host(from); h != nil {
		spec.Namespace = h.Namespace().Path()
	}
	link, err := t.proxy.CreateLink(ctx, spec)
	if err != nil {
		return "", fmt.Errorf("link %s: %w", name, err)
	}
	t.links = append(t.links, link)
	return link.Addr(), nil
}

// stopAll stops everything in reverse order, and reads what the services wrote as they ended.
func (t *trial) stopAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), healTimeout)
	defer cancel()
	t.hub.SetTargets(nil)
	var errs []error
	errs = append(errs, stopTogether(ctx, t.services), stopTogether(ctx, t.backends), t.keepSpans())
	for _, l := range t.links {
		errs = append(errs, t.proxy.DeleteLink(ctx, l.Name()))
	}
	for i := len(t.engines) - 1; i >= 0; i-- {
		if t.available[t.engines[i].Name()].given == nil {
			errs = append(errs, t.engines[i].Stop(ctx))
		}
	}
	if t.hosts != nil {
		errs = append(errs, t.hosts.Close())
	}
	return errors.Join(errs...)
}

func stopTogether(ctx context.Context, instances []*instance) error {
	var g errgroup.Group
	for _, i := range instances {
		if i != nil {
			g.Go(func() error { return i.stop(ctx) })
		}
	}
	return g.Wait()
}

func (t *trial) keepSpans() error {
	for _, i := range append(t.backends, t.services...) {
		if i == nil {
			continue
		}
		spans, err := readSpans(t.spansPath(i.Name()), t.zero)
		if err != nil {
			return fmt.Errorf("%s: %w", i.Name(), err)
		}
		if err := t.writer.Spans(spans); err != nil {
			return err
		}
	}
	return nil
}

// arrangement is what the faults of the trial want a process to be started with.
func (t *trial) arrangement(process string) chaos.Arrangement {
	all := slices.Clone(t.network())
	for _, p := range t.phases {
		all = append(all, p.AllFaults()...)
	}
	return chaos.ArrangedFor(all, process, roleOf(process))
}

func (t *trial) network() chaos.Faults { return networkAt(t.o.Experiment, t.planned.Level) }

func (t *trial) surface() *surface {
	s := &surface{}
	for _, l := range t.links {
		s.links = append(s.links, l)
	}
	for _, e := range t.engines {
		s.processes = append(s.processes, namedProcess{role: roleOf(e.Name()), Process: e.Process()})
		if d := diskOf(e); d != nil {
			s.disks = append(s.disks, d)
		}
		s.engines = append(s.engines, e)
	}
	for _, i := range append(t.backends, t.services...) {
		s.processes = append(s.processes, namedProcess{role: i.spec.Env.Role, Process: i})
	}
	if t.hosts != nil {
		for _, h := range t.hosts.Hosts() {
			s.hosts = append(s.hosts, h)
		}
	}
	return s
}

func (t *trial) serviceURLs() []string {
	var urls []string
	for _, s := range t.services {
		urls = append(urls, "http://"+s.Addr())
	}
	return urls
}

// announce tells Prometheus, through service discovery, which services are up.
func (t *trial) announce() {
	t.hub.Trial(telemetry.Trial{
		Run: t.work.ID(), Experiment: t.o.Experiment.Name, Variant: t.rec.Variant, Level: t.rec.Level, Repeat: t.rec.Repeat,
	})
	var targets []telemetry.Target
	for _, i := range append(t.backends, t.services...) {
		targets = append(targets, telemetry.Target{Addr: i.Addr(), Labels: map[string]string{
			"service": i.Name(), "variant": t.rec.Variant, "level": t.rec.Level,
		}})
	}
	t.hub.SetTargets(targets)
}

// sources are all that the scraper asks.
func (t *trial) sources() []source {
	var sources []source
	for _, i := range append(t.backends, t.services...) {
		sources = append(sources, source{
			name: i.Name(), labels: map[string]string{"instance": i.Name(), "role": i.spec.Env.Role},
			ask: overHTTP(t.client, "http://"+i.Addr()+"/metrics"),
		})
	}
	sources = append(sources, source{name: "proxy", ask: func(ctx context.Context) ([]*dto.MetricFamily, error) {
		raw, err := t.proxy.Metrics(ctx)
		if err != nil {
			return nil, err
		}
		return parseText(raw)
	}})
	for _, e := range t.engines {
		sources = append(sources, source{name: e.Name(), ask: func(ctx context.Context) ([]*dto.MetricFamily, error) {
			return families(e.Stats(ctx))
		}, labels: t.labelsOf(e)})
	}
	for _, g := range t.groups {
		sources = append(sources, source{name: g.Name(), ask: func(ctx context.Context) ([]*dto.MetricFamily, error) {
			return families(g.Stats(ctx))
		}})
	}
	return sources
}

// checkHealth asks every engine something real.
func (t *trial) checkHealth(ctx context.Context, when string) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for _, e := range t.engines {
		if err := e.Crashed(); err != nil {
			t.finding(err.Error())
		}
		if err := e.Healthy(ctx); err != nil {
			t.mu.Lock()
			t.rec.Unhealthy = append(t.rec.Unhealthy, fmt.Sprintf("%s, %s the load: %v", e.Name(), when, err))
			t.mu.Unlock()
		}
	}
}

// families turns an engine's statistics into what a scrape gives.
func families(stats []stack.Stat, err error) ([]*dto.MetricFamily, error) {
	var out []*dto.MetricFamily
	for _, s := range stats {
		m := &dto.Metric{}
		for k, v := range maps.All(s.Labels) {
			m.Label = append(m.Label, &dto.LabelPair{Name: &k, Value: &v})
		}
		kind := dto.MetricType_GAUGE
		if s.Type == "counter" {
			kind = dto.MetricType_COUNTER
			m.Counter = &dto.Counter{Value: &s.Value}
		} else {
			m.Gauge = &dto.Gauge{Value: &s.Value}
		}
		out = append(out, &dto.MetricFamily{Name: &s.Name, Type: &kind, Metric: []*dto.Metric{m}})
	}
	return out, err
}
