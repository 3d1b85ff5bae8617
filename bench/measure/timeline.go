package measure

import (
	"slices"
	"time"

	"shakedown/bench"
	"shakedown/bench/record"
)

// Bucket is one slot of a trial's timeline. Arrivals are counted in the slot in which they were due.
type Bucket struct {
	Start, End time.Duration // offsets from the trial's zero
	// Offered, Goodput and Useful are arrivals per second: scheduled, ok within the SLO, ok or degraded within the SLO.
	Offered, Goodput, Useful float64
	// Outcomes are arrivals per second by bench.Outcome.
	Outcomes [6]float64
	// Sent is how many arrivals stand behind the percentiles; with none, those are zero and mean nothing.
	Sent int
	// P50, P90, P99 and Max are response times in ms of what was sent, timeouts included.
	P50, P90, P99, Max float64
	// InFlight is the mean number of requests in flight, of Ticks observations.
	InFlight float64
	Ticks    int
}

// Timeline cuts the trial into buckets of the given width, from its zero to the end of its last phase. The last bucket
// may be shorter; rates are relative to its real width. A width that is not positive gives no buckets.
func (t *Trial) Timeline(bucket time.Duration) []Bucket {
	end := t.end()
	if bucket <= 0 || end <= 0 {
		return nil
	}
	buckets := make([]Bucket, 0, (end+bucket-1)/bucket)
	for start := time.Duration(0); start < end; start += bucket {
		buckets = append(buckets, t.bucket(window{start, min(start+bucket, end)}))
	}
	return buckets
}

func (t *Trial) bucket(w window) Bucket {
	b := Bucket{Start: w.start, End: w.end}
	seconds := w.length().Seconds()
	var sent []float64
	for _, s := range between(t.samples, w, due) {
		b.Offered++
		b.Outcomes[s.Outcome]++
		if t.good(s) {
			b.Goodput++
		}
		if t.useful(s) {
			b.Useful++
		}
		if s.Outcome != bench.Unsent {
			sent = append(sent, ms(s.Response()))
		}
	}
	b.Offered /= seconds
	b.Goodput /= seconds
	b.Useful /= seconds
	for i := range b.Outcomes {
		b.Outcomes[i] /= seconds
	}
	if b.Sent = len(sent); b.Sent > 0 {
		slices.Sort(sent)
		b.P50, b.P90, b.P99 = nearestRank(sent, 0.5), nearestRank(sent, 0.9), nearestRank(sent, 0.99)
		b.Max = sent[len(sent)-1]
	}
	for _, f := range between(t.inFlight, w, tick) {
		b.InFlight += float64(f.N)
		b.Ticks++
	}
	if b.Ticks > 0 {
		b.InFlight /= float64(b.Ticks)
	}
	return b
}

func tick(f record.InFlight) time.Duration { return f.At }

// QuantilePoint is one point of a percentile curve.
type QuantilePoint struct {
	Quantile float64 // in (0, 1]; 1 is the maximum
	MS       float64 // response time
}

// Curve is the percentile curve of response times of what was sent in a phase ("" for all judged phases) by an
// operation ("" for all): its quantiles are evenly spaced between successive nines, as far as the samples reach, and
// it ends with the maximum. It is empty without samples.
func (t *Trial) Curve(op, phase string) []QuantilePoint {
	var sent []float64
	for _, s := range t.arrivals(t.windows(phase, 0), op) {
		if s.Outcome != bench.Unsent {
			sent = append(sent, ms(s.Response()))
		}
	}
	if len(sent) == 0 {
		return nil
	}
	slices.Sort(sent)
	const steps = 18 // per power of ten: 5 % apart up to p90, 0.5 % apart up to p99, …
	var curve []QuantilePoint
	// A quantile needs 1/(1−q) samples, or it is the maximum under another name.
	for rest := 1.0; rest*float64(len(sent)) >= 1; rest /= 10 {
		for i := range steps {
			q := 1 - rest*(1-0.9*float64(i)/steps)
			if q > 0 && (1-q)*float64(len(sent)) >= 1 {
				curve = append(curve, QuantilePoint{q, nearestRank(sent, q)})
			}
		}
	}
	return append(curve, QuantilePoint{1, sent[len(sent)-1]})
}

// attemptsMetric counts what a service asks of each dependency, first tries and retries alike.
const attemptsMetric = "shakedown_dependency_attempts_total"

// Attempts are the attempts per second at each dependency, summed over instances; a point stands for the interval
// that ends with it.
func (t *Trial) Attempts() map[string][]record.Point {
	byDependency := map[string][]record.Series{}
	for _, s := range t.series {
		if s.Name == attemptsMetric {
			byDependency[s.Labels["dependency"]] = append(byDependency[s.Labels["dependency"]], s)
		}
	}
	rates := make(map[string][]record.Point, len(byDependency))
	for name, all := range byDependency {
		rates[name] = t.rates(all)
	}
	return rates
}

// rates is the summed increase per second of counters, over a grid of their own scrape interval.
func (t *Trial) rates(counters []record.Series) []record.Point {
	step, last := time.Duration(0), time.Duration(0)
	for _, s := range counters {
		step = max(step, interval(s.Points))
		if n := len(s.Points); n > 0 {
			last = max(last, s.Points[n-1].At)
		}
	}
	if step <= 0 {
		return nil
	}
	var points []record.Point
	for at := max(t.scraped, 0) + step; at <= last; at += step {
		var sum float64
		for _, s := range counters {
			sum += t.increase(s, window{at - step, at})
		}
		points = append(points, record.Point{At: at, V: sum / step.Seconds()})
	}
	return points
}

// poolStates are the gauges that every connection pool exposes, by the name that Pool gives them.
var poolStates = map[string]string{
	"shakedown_pool_in_use":  "in_use",
	"shakedown_pool_idle":    "idle",
	"shakedown_pool_waiting": "waiting",
}

// Pool are the gauges of connection pools, summed over instances, by "POOL/in_use", "POOL/idle" and "POOL/waiting",
// where POOL is the series' label pool.
func (t *Trial) Pool() map[string][]record.Point {
	byKey := map[string][]record.Series{}
	for _, s := range t.series {
		if state, ok := poolStates[s.Name]; ok {
			key := s.Labels["pool"] + "/" + state
			byKey[key] = append(byKey[key], s)
		}
	}
	pools := make(map[string][]record.Point, len(byKey))
	for key, all := range byKey {
		pools[key] = sum(all)
	}
	return pools
}
