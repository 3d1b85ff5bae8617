package load

import (
	"context"
	"errors"
	"fmt"
	"time"

	"shakedown/bench"
)

// DefaultMaxInFlight is how many requests may be in flight when a plan does not say. Each costs some 30 kB and a file
// descriptor or two; far beyond it the generator would fail before the system under test does.
const DefaultMaxInFlight = 50_000

// A Client sends one request and waits for what becomes of it. It is safe for concurrent use.
//
// Do returns within the timeout, and soon after ctx is done: the generator waits for it. Answer.Outcome is Unsure when
// the request may have taken effect, Failed when it cannot have, and Unsent when it did not leave for want of a resource
// of the generator's own machine, such as a file descriptor.
type Client interface {
	Do(ctx context.Context, seq uint64, r bench.Request, timeout time.Duration) Answer
}

// Answer is what a Client learned of one request. The zero Answer is Unsure.
type Answer struct {
	Outcome bench.Outcome
	Flags   bench.Flags
	Value   int64
	Wait    time.Duration // for a connection of the client's pool, before the request was sent
	Cause   string        // of an outcome other than ok, in a few words: there should be few different ones
}

// Requests says what an arrival asks for. It is pure in seq and safe for concurrent use; *bench.Stream is one.
type Requests interface {
	Next(seq uint64) bench.Request
}

// A Sink takes what the generator records. Its methods are called by one goroutine at a time; an error ends the load.
type Sink interface {
	// Samples takes what became of arrivals, in no particular order. The slice is the generator's again afterwards.
	Samples([]bench.Sample) error
	// InFlight takes the number of requests that were sent and not answered at an offset from the plan's zero.
	InFlight(at time.Duration, n int64) error
}

// Arrivals are the due times of one phase in open loop, as offsets from its start, in order. arrival.Process is one.
type Arrivals interface {
	Next() (due time.Duration, ok bool)
}

// A Phase is one phase's load. A phase with neither Arrivals nor Closed is silent.
type Phase struct {
	Start, End time.Duration // offsets from the plan's zero
	Arrivals   Arrivals
	Closed     *bench.Closed
	Judged     bool
}

// A Plan is the load of one trial.
type Plan struct {
	// Zero is the trial's zero, a time of clock.Now; it may lie ahead. 0 means when Run is called.
	Zero     time.Duration
	Phases   []Phase // in order of time
	Requests Requests
	Timeout  time.Duration // when a user gives up, counted from when the request was sent
	Client   Client        // either a Client, or the event loops of a Wire
	Wire     *Wire
	Sink     Sink   // nil: single samples are not kept
	Seed     uint64 // of the think times of a closed loop
	// Measure asks for Distributions.
	Measure bool
	// Ops is how many operations Requests has; with more than one, Distributions tell them apart.
	Ops int
	// MaxInFlight guards the generator's memory: an arrival beyond it is Unsent. 0 means DefaultMaxInFlight.
	MaxInFlight int
	// Drain is how long the last requests are waited for after the last phase; then they are cut off and Unsure. 0 means Timeout.
	Drain time.Duration
	// OnTick, if set, is called every TickEvery by the goroutine that feeds the sink; it should return soon.
	OnTick func(Tick)
}

// Stats is how the generator fared. The ledger is of the whole plan; all other fields are over the judged phases, from
// the first one's start to the last one's end, or over all phases when none is judged.
type Stats struct {
	Ledger    bench.Ledger
	WallS     float64
	CPUS      float64 // user and system time of this process
	StealS    float64 // CPU time the hypervisor took, all cores
	IdleS     float64 // CPU time left idle, all cores
	GCPauseMS float64 // the longest stop-the-world pause, to the width of the runtime's histogram bucket
	MaxRSSMB  float64 // the largest resident set seen
	Users     int     // the most users of any closed loop
	// InFlightMean and InFlightMax are of requests that the generator had got to and that had not ended, sampled every 5 ms.
	InFlightMean float64
	InFlightMax  int64
	Dist         *Distributions // nil unless the plan asks for it
}

// prepare checks the plan and fills in what may be left out.
func (p *Plan) prepare(now time.Duration) error {
	switch {
	case p.Wire == nil && (p.Requests == nil || p.Client == nil):
		return errors.New("load: a plan needs Requests and a Client, or a Wire")
	case p.Wire != nil && p.Client != nil:
		return errors.New("load: a plan has a Client or a Wire, not both")
	case p.Timeout <= 0:
		return fmt.Errorf("load: timeout must be positive, got %v", p.Timeout)
	case p.Drain < 0:
		return fmt.Errorf("load: drain must not be negative, got %v", p.Drain)
	case p.MaxInFlight < 0:
		return fmt.Errorf("load: max in flight must not be negative, got %d", p.MaxInFlight)
	case len(p.Phases) == 0:
		return errors.New("load: a plan needs a phase")
	}
	var last time.Duration
	open := false
	for i, ph := range p.Phases {
		open = open || ph.Arrivals != nil
		switch {
		case ph.Start < last || ph.End < ph.Start:
			return fmt.Errorf("load: phase %d, %v to %v, is out of order", i, ph.Start, ph.End)
		case ph.Arrivals != nil && ph.Closed != nil:
			return fmt.Errorf("load: phase %d has an open and a closed loop", i)
		case ph.Closed != nil && ph.Closed.Users <= 0:
			return fmt.Errorf("load: phase %d: a closed loop needs users, got %d", i, ph.Closed.Users)
		case ph.Closed != nil && ph.Closed.Think < 0:
			return fmt.Errorf("load: phase %d: think time must not be negative, got %v", i, ph.Closed.Think)
		}
		last = ph.End
	}
	if p.Wire != nil && p.Wire.o.Loops > 1 && open {
		if p.users() > 0 {
			return errors.New("load: several loops can share an open or a closed loop, not both")
		}
		for i, ph := range p.Phases {
			if _, ok := ph.Arrivals.(sharer); ph.Arrivals != nil && !ok {
				return fmt.Errorf("load: phase %d: its arrivals cannot be shared by several loops", i)
			}
		}
	}
	if p.Zero == 0 {
		p.Zero = now
	}
	if p.Drain == 0 {
		p.Drain = p.Timeout
	}
	if p.MaxInFlight == 0 {
		p.MaxInFlight = DefaultMaxInFlight
	}
	return nil
}

// end is when the last phase ends.
func (p *Plan) end() time.Duration { return p.Phases[len(p.Phases)-1].End }

// window is the span that Stats is about.
func (p *Plan) window() (from, to time.Duration) {
	from, to = p.Phases[0].Start, p.end()
	judged := false
	for _, ph := range p.Phases {
		if ph.Judged && !judged {
			from, judged = ph.Start, true
		}
		if ph.Judged {
			to = ph.End
		}
	}
	return from, to
}

// measured are the spans that Distributions are about.
func (p *Plan) measured() []span {
	var spans []span
	for _, ph := range p.Phases {
		if ph.Judged {
			spans = append(spans, span{ph.Start, ph.End})
		}
	}
	if spans == nil {
		spans = []span{{p.Phases[0].Start, p.end()}}
	}
	return spans
}

// users is the most users of any closed loop of the plan.
func (p *Plan) users() int {
	n := 0
	for _, ph := range p.Phases {
		if ph.Closed != nil {
			n = max(n, ph.Closed.Users)
		}
	}
	return n
}
