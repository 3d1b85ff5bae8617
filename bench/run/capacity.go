package run

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"shakedown/bench"
	"shakedown/bench/record"
)

// measureCapacity drives the control in closed loop and takes its throughput for the capacity, which phases may then state
// their rates by. It is a trial like any other, except that its record is thrown away.
func (r *runner) measureCapacity(ctx context.Context) (err error) {
	c := r.o.Experiment.Capacity
	scratch := *r
	scratch.progress = silent{}
	scratch.o.Experiment.Abort = nil // a closed loop that is to find the limit has no floor
	if scratch.writer, err = record.Create(filepath.Join(r.work.Dir(), "capacity"), record.Run{ID: "capacity", Experiment: r.o.Experiment}); err != nil {
		return err
	}
	closed := c.Closed
	t, err := scratch.newTrial(Planned{
		Variant: r.o.Experiment.Variants[0], Seed: r.o.Seed,
		Level: bench.Level{Phases: []bench.Phase{{Name: "capacity", For: c.For, Closed: &closed, Judged: true}}},
	})
	if err != nil {
		return &InputError{err}
	}
	if t.writer, err = scratch.writer.Trial(t.rec); err != nil {
		return err
	}
	stats, err := t.run(ctx)
	if err := errors.Join(err, t.writer.Finish(t.rec), scratch.writer.Finish(record.Complete, nil)); err != nil {
		return err
	}
	if stats.Ledger.OK == 0 {
		return fmt.Errorf("%s answered nothing in %v", r.o.Experiment.Variants[0].Name, c.For)
	}
	r.capacity = float64(stats.Ledger.OK) / c.For.Seconds()
	return r.writer.Update(func(run *record.Run) { run.CapacityPerS = r.capacity })
}
