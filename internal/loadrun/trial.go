package loadrun

import (
	"context"
	"fmt"
	"time"

	"shakedown/bench/load"
)

// A trial is one load from its warm-up to its last answer, and what came of it.
type trial struct {
	shape    shape
	seed     uint64
	stats    load.Stats
	void     []string // why it may not be believed
	found    []Finding
	growth   float64 // of the arrivals that the server has not dealt with, per second
	aborted  bool
	measured time.Duration // how much of the shape's length was
}

// run runs one load of the given shape. A load that the user stopped is a trial too; other errors are the machine's or the program's.
func (j *job) run(ctx context.Context, s shape, seed uint64, onTick func(load.Tick)) (trial, error) {
	t := trial{shape: s, seed: seed}
	phases, err := s.phases(seed)
	if err != nil {
		return t, err
	}
	p := load.Plan{
		Phases: phases, Requests: j.work, Timeout: j.o.Timeout, Client: j.client, Seed: seed, Measure: true, Ops: j.work.Ops(),
		MaxInFlight: j.guard,
	}
	if j.client == nil {
		if p.Wire, err = j.wire(); err != nil {
			return t, err
		}
	}
	var backlog slope
	p.OnTick = func(tick load.Tick) {
		if s.warmup <= tick.At && tick.At < s.warmup+s.length {
			l := tick.Ledger
			backlog.add(tick.At.Seconds(), float64(l.Scheduled-l.OK-l.Degraded-l.Refused-l.Failed))
		}
		onTick(tick)
	}
	began := time.Now()
	stats, err := load.Run(ctx, p)
	t.stats, t.growth = stats, backlog.perS()
	t.measured = min(max(0, time.Since(began)-s.warmup), s.length)
	if t.aborted = ctx.Err() != nil; err != nil && !t.aborted {
		return t, err
	}
	t.void, err = j.judge(t)
	if stats.Dist != nil {
		t.found = j.slo.Judge(stats.Dist, j.o.Timeout)
	}
	return t, err
}

// judge says why the trial may not be believed.
func (j *job) judge(t trial) ([]string, error) {
	f := fare{
		stats: t.stats, window: t.shape.length, timeout: j.o.Timeout, closed: t.shape.closed != nil, cores: j.cores, machine: j.machine,
		scheduled: -1, aborted: t.aborted,
	}
	if j.client == nil {
		f.loops, f.gather = j.o.Loops, j.o.Gather
	}
	if !f.closed && !t.aborted {
		n, err := t.shape.scheduled(t.seed)
		if err != nil {
			return nil, fmt.Errorf("count the arrivals of the schedule: %w", err)
		}
		f.scheduled = n
	}
	return f.void(), nil
}

// A slope is the straight line that fits points best, by least squares.
type slope struct{ n, x, y, xx, xy float64 }

func (s *slope) add(x, y float64) {
	s.n, s.x, s.y, s.xx, s.xy = s.n+1, s.x+x, s.y+y, s.xx+x*x, s.xy+x*y
}

// perS is how steep the line is; 0 with too few points.
func (s *slope) perS() float64 {
	d := s.n*s.xx - s.x*s.x
	if s.n < 3 || d <= 0 {
		return 0
	}
	return (s.n*s.xy - s.x*s.y) / d
}
