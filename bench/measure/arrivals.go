package measure

import (
	"math"
	"slices"

	"shakedown/bench"
)

// shareOf is a metric that counts arrivals with a property, over all that were scheduled.
func shareOf(name, what string, counts func(*Trial, bench.Sample) bool) metric {
	doc := MetricDoc{Name: name, What: what, Unit: Share, ByOp: true, Counts: "arrivals"}
	return metric{doc, func(t *Trial, q bench.Query, ws []window) Value {
		return t.share(t.arrivals(ws, q.Op), counts)
	}}
}

func (t *Trial) share(arrivals []bench.Sample, counts func(*Trial, bench.Sample) bool) Value {
	if len(arrivals) == 0 {
		return none("no arrival was due")
	}
	n := t.count(arrivals, counts)
	return Value{V: float64(n) / float64(len(arrivals)), N: len(arrivals), OK: true}
}

func (t *Trial) count(arrivals []bench.Sample, counts func(*Trial, bench.Sample) bool) int {
	n := 0
	for _, s := range arrivals {
		if counts(t, s) {
			n++
		}
	}
	return n
}

// rateOf is a metric that counts arrivals with a property, per second of the window.
func rateOf(name, what string, counts func(*Trial, bench.Sample) bool) metric {
	doc := MetricDoc{Name: name, What: what, Unit: PerSecond, ByOp: true, Counts: "arrivals"}
	return metric{doc, func(t *Trial, q bench.Query, ws []window) Value {
		arrivals := t.arrivals(ws, q.Op)
		if len(arrivals) == 0 {
			return none("no arrival was due")
		}
		return Value{V: float64(t.count(arrivals, counts)) / total(ws).Seconds(), N: len(arrivals), OK: true}
	}}
}

// completed is the rate at which answers came. Unlike throughput_per_s it does not credit the window with answers that came
// after it, so that above the capacity it is the capacity, however long the queue.
func completed(t *Trial, q bench.Query, ws []window) Value {
	whole := []window{{start: math.MinInt64, end: math.MaxInt64}}
	answered := 0
	for _, s := range t.arrivals(whole, q.Op) {
		if s.Outcome == bench.OK && slices.ContainsFunc(ws, func(w window) bool { return w.contains(s.Done) }) {
			answered++
		}
	}
	if due := len(t.arrivals(ws, q.Op)); due == 0 && answered == 0 {
		return none("no arrival was due, and no answer came")
	}
	return Value{V: float64(answered) / total(ws).Seconds(), N: answered, OK: true}
}

// flagged is the share of answers with a flag.
func flagged(t *Trial, q bench.Query, ws []window) Value {
	flag, answered, with := bench.ParseFlags(q.Name), 0, 0
	for _, s := range t.arrivals(ws, q.Op) {
		if !s.Outcome.Answered() {
			continue
		}
		answered++
		if s.Flags&flag != 0 {
			with++
		}
	}
	if answered == 0 {
		return none("no arrival was answered")
	}
	return Value{V: float64(with) / float64(answered), N: answered, OK: true}
}

func wasSent(s bench.Sample) bool { return s.Outcome != bench.Unsent }

func wasAnswered(s bench.Sample) bool { return s.Outcome.Answered() }

// timeOf is a metric on a time in ms of the arrivals that count.
func timeOf(name, what string, counts func(bench.Sample) bool, of func(bench.Sample) float64) metric {
	doc := MetricDoc{Name: name, What: what, Stats: quantiles, Unit: Millis, ByOp: true, Counts: "arrivals"}
	return metric{doc, func(t *Trial, q bench.Query, ws []window) Value {
		var times []float64
		for _, s := range t.arrivals(ws, q.Op) {
			if counts(s) {
				times = append(times, of(s))
			}
		}
		if len(times) == 0 {
			return none("no arrival counts towards %s", name)
		}
		slices.Sort(times)
		return Value{V: stat(times, q.Stat), N: len(times), OK: true}
	}}
}

// inFlight is a statistic of the ticker's observations.
func inFlight(t *Trial, q bench.Query, ws []window) Value {
	ticks := within(t.inFlight, ws, tick)
	if len(ticks) == 0 {
		return none("the requests in flight were not recorded")
	}
	if q.Stat == "last" {
		return Value{V: float64(ticks[len(ticks)-1].N), N: len(ticks), OK: true}
	}
	ns := make([]float64, len(ticks))
	for i, f := range ticks {
		ns[i] = float64(f.N)
	}
	slices.Sort(ns)
	return Value{V: stat(ns, q.Stat), N: len(ns), OK: true}
}
