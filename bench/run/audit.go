package run

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"shakedown/bench"
)

// auditTimeout bounds the audit of one trial.
const auditTimeout = 2 * time.Minute

// probeTimeout bounds the probe of one trial.
const probeTimeout = 10 * time.Minute

// probe lets the pattern ask the engines, in place of a load.
func (t *trial) probe(ctx context.Context) error {
	name := t.o.Experiment.Probe
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	t.progress.PhaseStarted("probing: "+name, 0)
	found, err := t.o.Pattern.Probes[name].Run(ctx, t.straight(), t.config)
	if err != nil {
		return fmt.Errorf("probe %s: %w", name, err)
	}
	t.rec.Audit = &found
	return nil
}

// straight tells the addresses of the engines themselves, without the proxy between.
func (t *trial) straight() bench.Env {
	env := t.env(bench.ServiceRole, 0, 1)
	for _, e := range t.engines {
		env.URLs[e.Name()] = e.URL()
	}
	return env
}

// audit lets the pattern account for what its users were told, once the load is over and every fault healed.
func (t *trial) audit(ctx context.Context) error {
	if t.o.Pattern.Audit == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, auditTimeout)
	defer cancel()
	t.mu.Lock()
	samples := t.samples
	t.samples = nil
	t.mu.Unlock()
	slices.SortFunc(samples, func(a, b bench.Sample) int { return cmp.Compare(a.Seq, b.Seq) })
	found, err := t.o.Pattern.Audit(ctx, t.straight(), t.config, samples)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	t.rec.Audit = &found
	return nil
}
