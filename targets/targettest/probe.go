package targettest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"strings"

	"go.uber.org/goleak"

	"shakedown/bench"
	"shakedown/targets/serve"
)

// probes are the promises of a subject that a probe asks about, in place of a service under load.
func (k trial) probes() []promise {
	list := []promise{
		{"configuration is accepted", func(context.Context) error { return k.probeAcceptsConfig() }},
		{"unknown configuration is refused", k.probeRefusesUnknownConfig},
		{"the probe answers what is asked, and leaks nothing", k.probeAnswers},
		{"the probe answers again on seeded data", k.probeAnswers},
	}
	for _, name := range k.dependencies() {
		list = append(list, promise{"a dead " + name + " is said, not waited for", func(ctx context.Context) error {
			return k.probeSaysDead(ctx, name)
		}})
	}
	return list
}

func (k trial) theProbe() bench.Probe { return k.pattern.Probes[k.experiment.Probe] }

func (k trial) probeAcceptsConfig() error {
	raw, err := k.config()
	if err != nil {
		return err
	}
	return serve.CheckConfig(bench.Role{Config: k.theProbe().Config}, raw)
}

func (k trial) probeRefusesUnknownConfig(ctx context.Context) error {
	const field = "no_such_field"
	merge := maps.Clone(k.level.Config)
	if merge == nil {
		merge = map[string]any{}
	}
	merge[field] = true
	raw, err := bench.MarshalConfig(k.variant.Config, merge)
	if err != nil {
		return err
	}
	if _, err := k.theProbe().Run(ctx, k.env(bench.ServiceRole, k.engines), raw); err == nil || !strings.Contains(err.Error(), field) {
		return fmt.Errorf("the probe takes the unknown field %q, or does not name it (%w); decode its configuration with serve.Decode", field, err)
	}
	return nil
}

// probeAnswers runs the probe on seeded engines: every number that the experiment asks for must be there.
func (k trial) probeAnswers(ctx context.Context) error {
	before := goleak.IgnoreCurrent()
	if err := k.seed(ctx); err != nil {
		return err
	}
	raw, err := k.config()
	if err != nil {
		return err
	}
	found, err := k.theProbe().Run(ctx, k.env(bench.ServiceRole, k.engines), raw)
	if err != nil {
		return err
	}
	var errs []error
	for _, q := range k.asksOfThis() {
		if v, ok := found.Numbers[q]; !ok || math.IsNaN(v) || math.IsInf(v, 0) {
			errs = append(errs, fmt.Errorf("the experiment asks for %q, and the probe says %v, %t", q, v, ok))
		}
	}
	if found.Of < 1 {
		errs = append(errs, errors.New("the probe does not say how many questions it answered (Of), so that its numbers are worth nothing"))
	}
	return errors.Join(append(errs, k.leaksNothing(before))...)
}

// asksOfThis are the numbers that columns and checks ask for at this variant and level.
func (k trial) asksOfThis() []string {
	var names []string
	add := func(q bench.Query) {
		if q.Metric == "audit" && (q.Variant == "" || q.Variant == k.variant.Name) && (q.Level == "" || q.Level == k.level.Name) {
			names = append(names, q.Name)
		}
	}
	for _, c := range k.experiment.Columns {
		if c.At(k.level.Name) {
			add(c.Of)
		}
	}
	for _, c := range k.experiment.Checks {
		add(c.Of)
		if c.Versus != nil {
			add(*c.Versus)
		}
	}
	return names
}

// probeSaysDead gives the probe an address at which nothing listens. Where it does not need the engine at this level it may answer.
func (k trial) probeSaysDead(ctx context.Context, name string) error {
	dead, err := deadAddress()
	if err != nil {
		return err
	}
	defer dead.close()
	urls := maps.Clone(k.engines)
	if urls[name], err = dead.instead(urls[name]); err != nil {
		return err
	}
	raw, err := k.config()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, k.grace)
	defer cancel()
	if _, err := k.theProbe().Run(ctx, k.env(bench.ServiceRole, urls), raw); ctx.Err() != nil {
		return fmt.Errorf("the probe waits for a dead %s: %w", name, err)
	}
	return nil
}
