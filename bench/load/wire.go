package load

import (
	"errors"
	"fmt"
	"time"

	"shakedown/bench"
	"shakedown/bench/load/wire"
)

// An Encoder writes the HTTP/1.1 request of an arrival, whole and ready for the wire. It is pure in seq, safe for concurrent use,
// and allocates nothing once dst is large enough.
type Encoder interface {
	AppendHTTP(dst []byte, seq uint64) (out []byte, op bench.OpID, key int64)
}

// WireOptions are of a Wire.
type WireOptions struct {
	// Targets are the servers; arrival seq goes to target seq mod n, and the Encoder knows that too.
	Targets []wire.Target
	// Connections is the most connections to all targets together; arrivals beyond it wait for one. 0 means as many as it takes.
	Connections int
	Loops       int // event loops, each with a thread of its own; 0 means 1
	// Gather is how long arrivals may be held back so that several leave together, at 30 000/s and more; up to 10 000/s each
	// leaves when it is due, whatever this says.
	Gather  time.Duration
	Backend wire.Backend // "" means auto
}

// A Wire sends a plan's requests by the event loops of package wire.
type Wire struct {
	enc Encoder
	o   WireOptions
}

// DefaultGather makes an arrival cost little more in open loop than in closed loop: see docs/benchmarks/load.md.
const DefaultGather = 1600 * time.Microsecond

// NewWire fails when there is no target, or fewer connections than loops and targets need.
func NewWire(enc Encoder, o WireOptions) (*Wire, error) {
	if o.Loops == 0 {
		o.Loops = 1
	}
	switch {
	case enc == nil || len(o.Targets) == 0:
		return nil, errors.New("load: a wire needs an encoder and a target")
	case o.Loops < 0 || o.Connections < 0:
		return nil, fmt.Errorf("load: loops and connections must not be negative, got %d and %d", o.Loops, o.Connections)
	case o.Connections > 0 && o.Connections < o.Loops*len(o.Targets):
		return nil, fmt.Errorf("load: %d loops to %d targets need as many connections, got %d", o.Loops, len(o.Targets), o.Connections)
	}
	return &Wire{enc: enc, o: o}, nil
}

// connections is how many loop i may open to each target.
func (w *Wire) connections(i int) int {
	n, parts := w.o.Connections, w.o.Loops*len(w.o.Targets)
	if n == 0 {
		return 0
	}
	each := n / parts
	if i*len(w.o.Targets) < n%parts {
		each++
	}
	return each
}

// loops starts the loops of a plan. They run until all that they were given has ended.
func (g *generator) loops(stop func(cause error)) error {
	w := g.Wire
	loops := make([]*wire.Loop, w.o.Loops)
	for i := range loops {
		l, err := wire.NewLoop(wire.Options{
			Targets: w.o.Targets, Connections: w.connections(i), Timeout: g.Timeout, Zero: g.Zero, Backend: w.o.Backend, Gather: w.o.Gather,
			Urgent: g.users() == 0, Stop: &g.stopped, Drain: g.end() + g.Drain,
		}, newSchedule(g, i, len(loops)))
		if err != nil {
			return fmt.Errorf("load: %w", err)
		}
		loops[i] = l
	}
	for _, l := range loops {
		g.work.Go(func() {
			if err := l.Run(); err != nil {
				stop(fmt.Errorf("event loop: %w", err))
			}
		})
	}
	return nil
}
