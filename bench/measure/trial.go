package measure

import (
	"cmp"
	"math"
	"slices"
	"sort"
	"time"

	"shakedown/bench"
	"shakedown/bench/record"
)

// Trial is what one trial left, indexed for queries. It is read-only, so it may be shared between goroutines.
type Trial struct {
	data     record.Data
	workload bench.Workload
	samples  []bench.Sample    // by Due
	inFlight []record.InFlight // by At
	spans    []bench.Span      // by Start
	series   []record.Series   // points by At
	scraped  time.Duration     // the first scraped point of the trial
}

// New indexes the trial's data. It copies what it has to sort and leaves data as it is.
func New(run record.Run, data record.Data) *Trial {
	// A level that is no longer part of the experiment is the zero Level: what is common to all applies.
	level, _ := run.Experiment.Level(data.Trial.Level)
	t := &Trial{
		data:     data,
		workload: run.Experiment.WorkloadAt(level),
		samples:  sorted(data.Samples, func(s bench.Sample) time.Duration { return s.Due }),
		inFlight: sorted(data.InFlight, func(f record.InFlight) time.Duration { return f.At }),
		spans:    sorted(data.Spans, func(s bench.Span) time.Duration { return s.Start }),
		series:   slices.Clone(data.Series),
		scraped:  -1,
	}
	for i := range t.series {
		s := &t.series[i]
		s.Points = sorted(finite(s.Points), func(p record.Point) time.Duration { return p.At })
		if len(s.Points) > 0 && (t.scraped < 0 || s.Points[0].At < t.scraped) {
			t.scraped = s.Points[0].At
		}
	}
	return t
}

// finite leaves out the points that are no numbers, which some exporters give for what they do not know.
func finite(points []record.Point) []record.Point {
	odd := func(p record.Point) bool { return math.IsNaN(p.V) || math.IsInf(p.V, 0) }
	if !slices.ContainsFunc(points, odd) {
		return points
	}
	return slices.DeleteFunc(slices.Clone(points), odd)
}

// sorted is xs in order of time; elements at the same time keep their order.
func sorted[T any](xs []T, at func(T) time.Duration) []T {
	byTime := func(a, b T) int { return cmp.Compare(at(a), at(b)) }
	if slices.IsSortedFunc(xs, byTime) {
		return xs
	}
	xs = slices.Clone(xs)
	slices.SortStableFunc(xs, byTime)
	return xs
}

// between is the part of xs, which is in order of time, from start (included) to end (excluded).
func between[T any](xs []T, w window, at func(T) time.Duration) []T {
	i := sort.Search(len(xs), func(i int) bool { return at(xs[i]) >= w.start })
	j := sort.Search(len(xs), func(j int) bool { return at(xs[j]) >= w.end })
	return xs[i:max(i, j)]
}

// window is a half-open span of the trial, [start, end).
type window struct{ start, end time.Duration }

func (w window) length() time.Duration { return w.end - w.start }

func (w window) contains(t time.Duration) bool { return w.start <= t && t < w.end }

// windows are the spans that a query speaks of; none when the phase was not run or has no length.
func (t *Trial) windows(phase string, tail float64) []window {
	var ws []window
	for _, p := range t.data.Trial.Phases {
		if p.Name != phase && (phase != "" || !p.Judged) {
			continue
		}
		w := window{p.Start, p.End}
		if tail > 0 && tail < 1 {
			w.start = w.end - time.Duration(tail*float64(w.length()))
		}
		if w.length() > 0 {
			ws = append(ws, w)
		}
	}
	return ws
}

// within is all of xs that falls into one of the windows.
func within[T any](xs []T, ws []window, at func(T) time.Duration) []T {
	if len(ws) == 1 {
		return between(xs, ws[0], at)
	}
	var all []T
	for _, w := range ws {
		all = append(all, between(xs, w, at)...)
	}
	return all
}

func total(ws []window) time.Duration {
	var sum time.Duration
	for _, w := range ws {
		sum += w.length()
	}
	return sum
}

// arrivals are the samples due in the windows, of one operation or (op "") of all.
func (t *Trial) arrivals(ws []window, op string) []bench.Sample {
	all := within(t.samples, ws, due)
	if op == "" {
		return all
	}
	id, ok := t.workload.OpIndex(op)
	if !ok {
		return nil
	}
	var some []bench.Sample
	for _, s := range all {
		if s.Op == id {
			some = append(some, s)
		}
	}
	return some
}

func due(s bench.Sample) time.Duration { return s.Due }

// inSLO says whether the answer came within its operation's SLO, measured from due: what the user waited.
func (t *Trial) inSLO(s bench.Sample) bool {
	return s.Response() <= t.workload.SLOOf(s.Op).D()
}

func (t *Trial) good(s bench.Sample) bool { return s.Outcome == bench.OK && t.inSLO(s) }

func (t *Trial) useful(s bench.Sample) bool { return s.Outcome.Answered() && t.inSLO(s) }

// end is when the last phase ended, or the last arrival was due where that is later.
func (t *Trial) end() time.Duration {
	var end time.Duration
	for _, p := range t.data.Trial.Phases {
		end = max(end, p.End)
	}
	if n := len(t.samples); n > 0 {
		end = max(end, t.samples[n-1].Due+1)
	}
	return end
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
