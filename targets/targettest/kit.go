package targettest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"shakedown/bench"
	"shakedown/internal/stack"
	"shakedown/targets/serve"
)

// Engines gives the address of a running engine, by the name that experiments use: "postgres", "redis". It fails the
// test when there is none.
type Engines interface {
	URL(t testing.TB, name string) string
}

// grace bounds every wait of the kit. It is there to end a hang, so it is generous: a slow machine is no failure.
const grace = 30 * time.Second

// Run tests that the pattern keeps its word: its experiments are consistent, every configuration they can run is accepted, and every
// variant and every level of each experiment, though not each with each, starts on real engines, becomes ready, answers every operation,
// shows bounded metrics, stops when told to, leaves no goroutine, starts again, and does not hang on a dead dependency. Each promise is a
// subtest that says what broke it.
//
// An experiment may also decide claims of other patterns: those are the further arguments. A pattern that has claims only,
// because others' experiments decide them, has nothing to start.
//
// It looks for leaked goroutines of the whole process, so no other test may run at the same time.
func Run(t *testing.T, pattern bench.Pattern, engines Engines, others ...bench.Pattern) {
	t.Helper()
	for _, p := range declared(pattern, others...) {
		t.Run(p.name, func(t *testing.T) { p.report(t.Context(), t) })
	}
	urls := map[string]string{}
	for _, e := range pattern.Experiments {
		for _, spec := range e.AllEngines() {
			for _, name := range servers(e, spec) {
				if _, ok := urls[name]; !ok {
					urls[name] = engines.URL(t, name)
				}
			}
		}
	}
	for _, s := range covering(subjects(pattern)) {
		t.Run(s.name(), func(t *testing.T) {
			for _, p := range s.promises(urls, grace) {
				t.Run(p.name, func(t *testing.T) { p.report(t.Context(), t) })
			}
		})
	}
}

// A promise is one thing that a pattern must do; the error says how it did not, and why that matters.
type promise struct {
	name string
	keep func(context.Context) error
}

func (p promise) report(ctx context.Context, t testing.TB) {
	t.Helper()
	if err := p.keep(ctx); err != nil {
		t.Error(err)
	}
}

// A subject is one configuration that an experiment can run: a variant at a level.
type subject struct {
	pattern    bench.Pattern
	experiment bench.Experiment
	variant    bench.Variant
	level      bench.Level
	idle       bool // it is not run: others have its variant and its level
}

func (s subject) name() string {
	return strings.Trim(strings.Join([]string{s.experiment.Name, s.variant.Name, s.level.Name}, "/"), "/")
}

// subjects are all that the pattern's experiments can run, without those whose configuration and engines are the same.
func subjects(p bench.Pattern) []subject {
	var all []subject
	for _, e := range p.Experiments {
		levels := e.Levels
		if len(levels) == 0 {
			levels = []bench.Level{{}}
		}
		seen := map[string]bool{}
		for _, v := range e.Variants {
			for _, l := range levels {
				if l.Variants != nil && !slices.Contains(l.Variants, v.Name) {
					continue
				}
				config, _ := bench.MarshalConfig(v.Config, l.Config) // an error shows in the subject's first promise
				workload, _ := json.Marshal(l.Workload)
				id := fmt.Sprintf("%s %d %s %s", v.Name, v.Instances, config, workload)
				if !seen[id] {
					seen[id] = true
					all = append(all, subject{pattern: p, experiment: e, variant: v, level: l})
				}
			}
		}
	}
	return all
}

// covering are the same subjects, of which so many are run that every variant and every level of an experiment is: first those of which
// neither was, so that few suffice.
func covering(all []subject) []subject {
	ran := map[string]bool{}
	for i := range all {
		all[i].idle = true
	}
	for _, enough := range []int{2, 1} {
		for i := range all {
			s := &all[i]
			variant, level := s.experiment.Name+" variant "+s.variant.Name, s.experiment.Name+" level "+s.level.Name
			fresh := 0
			for _, what := range []string{variant, level} {
				if !ran[what] {
					fresh++
				}
			}
			if s.idle && fresh >= enough {
				s.idle, ran[variant], ran[level] = false, true, true
			}
		}
	}
	return all
}

// servers are the addresses that an engine of an experiment has for the kit: it has no replicas for services, which must do without.
func servers(e bench.Experiment, spec bench.EngineSpec) []string {
	names := []string{spec.Name}
	if e.Probes() && spec.Replicas > 0 {
		names = append(names, stack.ReplicaName(spec.Name, 0))
	}
	return names
}

func (s subject) config() (json.RawMessage, error) {
	return bench.MarshalConfig(s.variant.Config, s.level.Config)
}

func (s subject) workload() bench.Workload {
	if s.level.Workload != nil {
		return *s.level.Workload
	}
	return s.experiment.Workload
}

// enginesOf are the addresses of those engines that a trial of the subject has, out of all.
func (s subject) enginesOf(all map[string]string) map[string]string {
	urls := map[string]string{}
	for _, spec := range s.experiment.EnginesAt(s.level, s.variant) {
		for _, name := range servers(s.experiment, spec) {
			urls[name] = all[name]
		}
	}
	return urls
}

// promises are those that need the subject to run. They are kept in this order, on the same engines.
func (s subject) promises(urls map[string]string, grace time.Duration) []promise {
	k := trial{subject: s, engines: s.enginesOf(urls), grace: grace}
	switch {
	case s.idle && s.experiment.Probes():
		return k.probes()[:1]
	case s.idle:
		return []promise{{"configuration is accepted", func(context.Context) error { return s.acceptsConfig() }}}
	case s.experiment.Probes():
		return k.probes()
	}
	dependencies := k.dependencies()
	list := make([]promise, 0, 4+len(dependencies))
	list = append(list,
		promise{"configuration is accepted", func(context.Context) error { return s.acceptsConfig() }},
		promise{"unknown configuration is refused", k.refusesUnknownConfig},
		promise{"serves, shows bounded metrics, stops and leaks nothing", k.serves},
		promise{"starts again on seeded data", k.servesAgain},
	)
	for _, name := range dependencies {
		list = append(list, promise{"a dead " + name + " is said, not waited for", func(ctx context.Context) error {
			return k.survivesDead(ctx, name)
		}})
	}
	return list
}

func (s subject) acceptsConfig() error {
	role, ok := s.pattern.Roles[bench.ServiceRole]
	if !ok {
		return fmt.Errorf("%s has no role %q for load to drive", s.pattern.Name, bench.ServiceRole)
	}
	raw, err := s.config()
	if err != nil {
		return err
	}
	if err := serve.CheckConfig(role, raw); err != nil {
		return fmt.Errorf("the configuration of variant %s does not fit its role: %w", s.variant.Name, err)
	}
	for _, b := range s.experiment.Backends {
		raw, err := b.ConfigAt(s.level, s.variant)
		if err != nil {
			return err
		}
		if err := serve.CheckConfig(s.pattern.Roles[b.Role], raw); err != nil {
			return fmt.Errorf("the configuration of backend %s does not fit its role: %w", b.Role, err)
		}
	}
	return nil
}

// refusesUnknownConfig asks each role's own New, which must not rely on its caller having checked: a mistyped field
// that is ignored makes an experiment measure something else than it says.
func (k trial) refusesUnknownConfig(ctx context.Context) error {
	const field = "no_such_field"
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends a New that hangs
	for _, name := range slices.Sorted(maps.Keys(k.pattern.Roles)) {
		var config any
		merge := map[string]any{field: true}
		if name == bench.ServiceRole {
			config = k.variant.Config
			for f, v := range k.level.Config {
				merge[f] = v
			}
		}
		raw, err := bench.MarshalConfig(config, merge)
		if err != nil {
			return err
		}
		service, err := k.build(ctx, k.env(name, k.engines), raw)
		if err == nil {
			discard(ctx, service)
			return fmt.Errorf("role %s accepts the unknown field %q; decode its configuration with serve.Decode", name, field)
		}
		if !strings.Contains(err.Error(), field) {
			return fmt.Errorf("role %s refuses an unknown field, but does not name it: %w", name, err)
		}
	}
	return nil
}
