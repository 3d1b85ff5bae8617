package loadrun

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime/debug"

	"shakedown/bench/load"
	"shakedown/bench/run"
	"shakedown/internal/exit"
	"shakedown/internal/favour"
)

// Run sends the load that the flags ask for, and writes what came of it to out; all else goes to progress. in is for a body from standard
// input. Its error is an exit.Status when the result, and not an error, decides the exit code. A load that ctx ends is reported, marked
// aborted, and then the error.
func Run(ctx context.Context, o Options, in io.Reader, out, progress io.Writer) (err error) {
	if !o.given("seed") {
		if o.Seed, err = drawSeed(); err != nil {
			return err
		}
	}
	j, err := newJob(o, in)
	if err != nil {
		return &run.InputError{Err: err}
	}
	if err := j.open(ctx); err != nil {
		return err
	}
	defer func() { j.end() }()
	w, err := newOutput(o, out, progress)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	defer favour.Threads()()
	if o.Calibrate {
		if err := j.calibrate(ctx); err != nil {
			return err
		}
	}
	j.tell(progress)
	if o.Search {
		return j.search(ctx, w)
	}
	return j.once(ctx, w)
}

// drawSeed is a seed short enough to be typed.
func drawSeed() (uint64, error) {
	var b [4]byte
	_, err := crand.Read(b[:])
	return uint64(binary.LittleEndian.Uint32(b[:])), err
}

// calibrate measures the ceiling, and notes a rate above it.
func (j *job) calibrate(ctx context.Context) (err error) {
	if j.ceilingPerS, err = j.ceiling(ctx); err != nil {
		if ctx.Err() != nil {
			return aborted(ctx)
		}
		return &run.EnvironmentError{Err: err}
	}
	debug.FreeOSMemory() // or the load's own memory would not be told from the calibration's
	if peak := j.shape.peak(); peak > j.ceilingPerS {
		j.note("%g/s is more than the %.0f/s that this machine's generator comes to here, with a server that does nothing", peak, j.ceilingPerS)
	}
	return nil
}

// tell says what the user should know before the load begins.
func (j *job) tell(progress io.Writer) {
	for _, n := range j.notes {
		fmt.Fprintln(progress, "shakedown: note:", n)
	}
}

// once runs the load, once, and reports it.
func (j *job) once(ctx context.Context, w *output) error {
	rec, err := w.record(j.shape, nil)
	if err != nil {
		return err
	}
	w.showing(j.said()+"  "+j.shape.String(), j.shape)
	t, err := j.run(ctx, j.shape, j.o.Seed, func(t load.Tick) { w.tick(rec, t) })
	if err != nil {
		return err
	}
	if err := w.result(j, t, rec, nil); err != nil {
		return err
	}
	return t.status(ctx)
}

// status is how the trial ends the program.
func (t trial) status(ctx context.Context) error {
	switch {
	case t.aborted:
		return aborted(ctx)
	case len(t.void) > 0:
		return exit.Status(exit.Void)
	case !Met(t.found):
		return exit.Status(exit.Unexpected)
	default:
		return nil
	}
}
