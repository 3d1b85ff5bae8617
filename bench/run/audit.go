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
	env := t.env(bench.ServiceRole, 0, 1)
	for _, e := range t.engines {
		env.URLs[e.Name()] = e.URL()
	}
	found, err := t.o.Pattern.Audit(ctx, env, t.config, samples)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	t.rec.Audit = &found
	return nil
}
