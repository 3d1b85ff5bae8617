package chaos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"shakedown/internal/units"
)

// Latency adds a delay to every byte of a link, in each direction that it touches: with Direction left out, a round trip
// grows by twice the delay. Law spreads the delay, and the spread replays from Seed.
type Latency struct {
	Link string `json:"link"`
	// Delay is the middle of the uniform law, the mean of the normal one, and the least of the pareto one.
	Delay units.Duration `json:"delay,omitempty"`
	// Jitter is half the width of the uniform law, the standard deviation of the normal one, and the mean of what the
	// pareto one adds.
	Jitter units.Duration `json:"jitter,omitempty"`
	// Law is uniform when left out, "normal", "pareto" or "trace".
	Law Law `json:"law,omitempty"`
	// Shape is the tail index of the pareto law, 3 when left out; the smaller, the heavier the tail.
	Shape float64 `json:"shape,omitempty"`
	// Trace are the delays of the trace law, in turn; TraceFile has them one a line, "12ms" or a number of milliseconds.
	Trace     []units.Duration `json:"trace,omitempty"`
	TraceFile string           `json:"trace_file,omitempty"`
	// Direction is "upstream", "downstream", or both when left out.
	Direction Direction `json:"direction,omitempty"`
	// Share of the connections that are delayed; all when left out.
	Share float64 `json:"share,omitempty"`
	Seed  uint64  `json:"seed,omitempty"`
}

var (
	_ Fault      = (*Latency)(nil)
	_ FileReader = (*Latency)(nil)
)

// Kind is "latency".
func (*Latency) Kind() string { return "latency" }

func (f *Latency) String() string {
	delay := f.Delay.String()
	switch {
	case f.Law == Pareto:
		delay += "+pareto " + f.Jitter.String()
	case f.Law == Traced && f.TraceFile != "":
		delay = "of " + f.TraceFile
	case f.Law == Traced:
		delay = fmt.Sprintf("of a trace of %d", len(f.Trace))
	case f.Jitter > 0:
		delay += "±" + f.Jitter.String()
	}
	if f.Law == Normal {
		delay += " normal"
	}
	return fmt.Sprintf("latency %s %s %s%s", delay, f.Direction.where(), arrow(f.Link), of(f.Share))
}

// Validate wants a delay that can be told from none: one that may be nothing cannot be proven.
func (f *Latency) Validate() error {
	if err := cmp.Or(checkLinkName(f.Link), f.Direction.validate(), checkShare(f.Share)); err != nil {
		return err
	}
	return f.checkLaw()
}

func (f *Latency) checkLaw() error {
	if f.Law == Traced {
		switch {
		case (len(f.Trace) == 0) == (f.TraceFile == ""):
			return errors.New("the law trace needs either trace, a list of delays, or trace_file, the name of a file with them")
		case f.Delay != 0 || f.Jitter != 0:
			return errors.New("the law trace takes its delays from the trace; leave delay and jitter out")
		case f.TraceFile == "":
			return checkTrace(f.Trace)
		}
		return nil // the file is read when it is needed
	}
	switch {
	case f.Trace != nil || f.TraceFile != "":
		return fmt.Errorf("a trace needs the law trace; law is %q", f.Law)
	case f.Delay <= 0:
		return fmt.Errorf("delay is %s; it must be above 0", f.Delay)
	case f.Jitter < 0:
		return fmt.Errorf("jitter is %s; it must not be negative", f.Jitter)
	case f.Law != Pareto && f.Shape != 0:
		return errors.New("shape is the tail index of the law pareto; leave it out")
	}
	switch f.Law {
	case Uniform:
		if f.Jitter >= f.Delay {
			return fmt.Errorf("jitter is %s; it must be at least 0 and below the delay of %s", f.Jitter, f.Delay)
		}
	case Normal:
		if f.Jitter > f.Delay {
			return fmt.Errorf("jitter is %s; as a standard deviation it must be at most the delay of %s", f.Jitter, f.Delay)
		}
	case Pareto:
		if f.Shape != 0 && !(f.Shape > 1 && f.Shape <= 100) {
			return fmt.Errorf("shape is %v; it must be above 1, or the mean would be infinite, and at most 100", f.Shape)
		}
	default:
		return fmt.Errorf("law %q is unknown; it is normal, pareto, trace, or left out for uniform", f.Law)
	}
	return nil
}

// Available wants a link of that name, and a trace that can be read.
func (f *Latency) Available(s Surface) error {
	if err := availableOn(s, f, f.Link, anything); err != nil {
		return err
	}
	_, err := f.law()
	return err
}

// Inject proves itself by the growth of a probe's round trip.
func (f *Latency) Inject(ctx context.Context, s Surface) (Injection, error) {
	if err := f.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Kind(), err)
	}
	law, err := f.law()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f, err)
	}
	ways := float64(f.Direction.ways())
	floor, probes := law.provable(ways)
	return injectLinks(ctx, s, linkFault{
		fault: f, link: f.Link, timed: true,
		effect: Effect{
			Direction: f.Direction, Delay: f.Delay, Jitter: f.Jitter, Law: f.Law, Shape: f.Shape, Trace: law.trace,
			Share: f.Share, Seed: f.Seed,
		},
		tries: rarely(f.Share), mean: probes,
		giveUp: func(_ Probe, patience time.Duration) time.Duration { return patience + 4*law.most().D() },
		landed: func(link string, without, under Probe) Evidence {
			grown := float64(under.RoundTrip - without.RoundTrip)
			if f.Share > 0 && f.Share < 1 { // noise would not slow two round trips of one connection alike
				grown = min(grown, float64(under.First-without.First))
			}
			return Evidence{
				What: "growth of the probe's round trip on " + link,
				Want: millis(ways * law.mean()), Got: millis(grown), Unit: "ms",
				// Only the lower bound is the fault's: a busy machine adds to both probes, not always alike.
				Seen: answered(without) && answered(under) && grown >= 0.8*ways*floor,
			}
		},
		met: func(c Counters) Evidence {
			mean := float64(c.DelayedMicros) * 1e3 / float64(max(c.Delayed, 1))
			e := Evidence{
				What: fmt.Sprintf("mean delay of %d chunks of real traffic on %s", c.Delayed, arrow(f.Link)),
				Want: millis(law.mean()), Got: millis(mean), Unit: "ms",
				Seen: c.Delayed > 0 && mean >= 0.9*law.least(c.Delayed),
			}
			if n := c.Delays.Count(); n > 0 {
				e.Spread = &Spread{Count: n, Asked: c.Asked.millis(), Achieved: c.Delays.millis()}
			}
			return e
		},
	})
}

// law is how the delays are spread. It reads the trace, when that is in a file.
func (f *Latency) law() (law, error) {
	l := law{Law: f.Law, delay: float64(f.Delay), jitter: float64(f.Jitter), shape: f.Shape, trace: f.Trace}
	if l.shape == 0 {
		l.shape = 3
	}
	if f.TraceFile == "" {
		return l, nil
	}
	var err error
	l.trace, err = readTrace(f.TraceFile)
	return l, err
}

// Files is the file of the trace, if it is in one.
func (f *Latency) Files() []string {
	if f.TraceFile == "" {
		return nil
	}
	return []string{f.TraceFile}
}

// Inline reads the trace.
func (f *Latency) Inline() (err error) {
	if f.TraceFile != "" {
		f.Trace, err = readTrace(f.TraceFile)
	}
	if err == nil {
		f.TraceFile = ""
	}
	return err
}

func millis(ns float64) float64 { return ns / 1e6 }

// provable is a delay that the mean of so many round trips exceeds, on average a direction, but for once in 10 000.
func (l law) provable(ways float64) (floor float64, probes int) {
	switch l.Law {
	case Uniform:
		return l.delay - l.jitter, 1
	case Pareto:
		return l.delay, 1
	}
	// Half the mean is 4 standard errors below it.
	n := math.Ceil(64 * l.variance() / (l.mean() * l.mean()) / ways)
	return l.mean() / 2, int(min(max(n, 1), 200))
}
