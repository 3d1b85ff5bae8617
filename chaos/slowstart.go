package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"

	"shakedown/internal/units"
)

// SlowStart kills a process and holds its start back, so that from its end until it answers again it takes at least so long,
// as with a cold cache to fill or a log to replay. Meanwhile nobody listens: clients are refused. Healing no longer holds it
// back.
type SlowStart struct {
	Process string `json:"process"`
	// AtLeast is the least time from the end of the process until it answers.
	AtLeast units.Duration `json:"at_least"`
}

var _ Fault = (*SlowStart)(nil)

// Kind is "slow_start".
func (*SlowStart) Kind() string { return "slow_start" }

func (f *SlowStart) String() string { return fmt.Sprintf("start of %s takes %v", f.Process, f.AtLeast) }

// Validate wants the name of a process and a time.
func (f *SlowStart) Validate() error {
	if f.AtLeast <= 0 {
		return fmt.Errorf("at_least is %v; write how long a start takes at least, such as 5s", f.AtLeast)
	}
	return checkProcessName(f.Process)
}

const cannotAnswer = "be asked whether it answers"

// Available wants a process of that name that can be asked whether it answers.
func (f *SlowStart) Available(s Surface) error {
	_, err := ableOf[Answerer](s, f.Process, cannotAnswer)
	return err
}

// Inject proves itself by the process being gone and not answering.
func (f *SlowStart) Inject(ctx context.Context, s Surface) (Injection, error) {
	return effectFault[Answerer]{fault: f, process: f.Process, lacks: cannotAnswer, begin: f.begin}.inject(ctx, s)
}

func (f *SlowStart) begin(ctx context.Context, p Answerer) (processEffect, error) {
	h := &heldStart{SlowStart: f, process: p, done: make(chan struct{}), since: time.Now()}
	if err := p.Kill(ctx); err != nil {
		close(h.done)
		return h, err
	}
	h.since = time.Now()
	gone, err := observe(ctx, p, Gone)
	if err != nil {
		close(h.done)
		return h, err
	}
	refused := p.Answers(ctx)
	h.proof = Evidence{What: fmt.Sprintf("%s is gone (%v)", p.Name(), refused), Seen: gone.Seen && refused != nil}
	ctx, h.stop = context.WithCancel(context.WithoutCancel(ctx))
	go h.run(ctx)
	return h, nil
}

// heldStart is a start that is held back.
type heldStart struct {
	*SlowStart
	process Answerer
	proof   Evidence
	since   time.Time          // of its end
	stop    context.CancelFunc // nil when the start was never held back
	done    chan struct{}      // closed when nobody starts it any more; until then the rest is run's

	refused bool          // it did not answer right before its start
	took    time.Duration // until it answered; 0: it does not yet
	failed  error
}

func (h *heldStart) landed() Evidence { return h.proof }

// run has one owner: end waits for it.
func (h *heldStart) run(ctx context.Context) {
	defer close(h.done)
	if !pause(ctx, time.Until(h.since.Add(h.AtLeast.D()))) {
		return
	}
	h.refused = h.process.Answers(ctx) != nil
	if h.failed = running(ctx, h.process); h.failed == nil {
		h.took = time.Since(h.since)
	}
}

func (h *heldStart) end(ctx context.Context) (Evidence, error) {
	if h.stop != nil {
		h.stop()
	}
	<-h.done
	if err := running(ctx, h.process); err != nil {
		return Evidence{}, errors.Join(err, h.failed)
	}
	e := Evidence{
		What: fmt.Sprintf("%s until it answered", h.process.Name()), Unit: "ms",
		Want: inMillis(h.AtLeast.D()), Got: inMillis(h.took), Seen: h.took >= h.AtLeast.D() && h.refused,
	}
	if h.took == 0 { // healed before: it was held back for as long as the fault was in force
		e.Got, e.Seen = inMillis(time.Since(h.since)), true
		e.What = fmt.Sprintf("%s held back until the fault was healed", h.process.Name())
	}
	return e, nil
}

// inMillis is a time as evidence has it.
func inMillis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
