package chaos

import (
	"bufio"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"shakedown/internal/units"
)

// A law is a distribution of delays, in ns.
type law struct {
	Law
	delay, jitter, shape float64
	trace                []units.Duration
}

// mean is the mean delay; of the normal law, what it would be if it did not stop at 0.
func (l law) mean() float64 {
	switch l.Law {
	case Pareto:
		return l.delay + l.jitter
	case Traced:
		sum := 0.0
		for _, d := range l.trace {
			sum += float64(d)
		}
		return sum / float64(len(l.trace))
	}
	return l.delay
}

// variance is that of the normal law, or of the trace.
func (l law) variance() float64 {
	if l.Law != Traced {
		return l.jitter * l.jitter
	}
	mean, sum := l.mean(), 0.0
	for _, d := range l.trace {
		sum += (float64(d) - mean) * (float64(d) - mean)
	}
	return sum / float64(len(l.trace))
}

// least is a mean below which that of n delays does not fall.
func (l law) least(n int64) float64 {
	switch l.Law {
	case Uniform:
		return l.delay - l.jitter
	case Pareto:
		return l.delay
	}
	return max(0, l.mean()-4*math.Sqrt(l.variance()/float64(max(n, 1))))
}

// most is a delay that hardly any exceeds.
func (l law) most() units.Duration {
	if l.Law == Traced {
		return slices.Max(l.trace)
	}
	return units.Duration(l.quantile(0.9999))
}

// quantile is the delay that a share q does not exceed. That of the pareto law is of a Lomax distribution with the mean
// jitter, λ((1−q)^(−1/α) − 1) with λ = jitter (α − 1) (K. S. Lomax, "Business failures", JASA 49, 1954).
func (l law) quantile(q float64) float64 {
	switch l.Law {
	case Normal:
		return max(0, l.delay+l.jitter*math.Sqrt2*math.Erfinv(2*q-1))
	case Pareto:
		return l.delay + l.jitter*(l.shape-1)*(math.Pow(1-q, -1/l.shape)-1)
	case Traced:
		sorted := slices.Sorted(slices.Values(l.trace))
		return float64(sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)])
	}
	return l.delay + l.jitter*(2*q-1)
}

// maxTrace bounds a trace, which the proxy keeps in memory and the record in every copy of the experiment.
const maxTrace = 100_000

func checkTrace(trace []units.Duration) error {
	switch {
	case len(trace) == 0:
		return errors.New("the trace is empty")
	case len(trace) > maxTrace:
		return fmt.Errorf("the trace has %d delays; it may have %d", len(trace), maxTrace)
	case slices.Min(trace) < 0:
		return fmt.Errorf("the trace has a delay of %s; none may be negative", slices.Min(trace))
	case slices.Max(trace) == 0:
		return errors.New("the trace has no delay above 0")
	}
	return nil
}

// readTrace reads one delay a line: "12ms", or a number of milliseconds, as ping prints them. Empty lines and those that
// start with # do not count.
func readTrace(path string) ([]units.Duration, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("trace_file: %w", err)
	}
	defer func() { _ = f.Close() }()
	var trace []units.Duration
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		var d units.Duration
		if ms, err := strconv.ParseFloat(text, 64); err == nil && math.Abs(ms) < 1e9 {
			d = units.Duration(ms * 1e6)
		} else if err := d.UnmarshalText([]byte(text)); err != nil {
			return nil, fmt.Errorf("trace_file %s: line %d: %w", path, n, err)
		}
		if trace = append(trace, d); len(trace) > maxTrace {
			break
		}
	}
	if err := errors.Join(lines.Err(), checkTrace(trace)); err != nil {
		return nil, fmt.Errorf("trace_file %s: %w", path, err)
	}
	return trace, nil
}
