package result

import (
	"math"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"shakedown/bench"
	"shakedown/bench/load"
)

// An Interval is what ended from one look at the load to the next. Times are in milliseconds, of the arrivals that are measured, and
// null when there were none.
type Interval struct {
	AtS       float64      `json:"at_s"` // its end, from the beginning of the load
	ForS      float64      `json:"for_s"`
	Ledger    bench.Ledger `json:"ledger"` // it does not balance: what is scheduled in an interval may end in a later one
	P50       *float64     `json:"p50_ms" jsonschema:"nullable"`
	P99       *float64     `json:"p99_ms" jsonschema:"nullable"`
	P999      *float64     `json:"p99_9_ms" jsonschema:"nullable"`
	Max       *float64     `json:"max_ms" jsonschema:"nullable"`
	SendLagMS *float64     `json:"send_lag_p99_ms" jsonschema:"nullable"`
	InFlight  int64        `json:"in_flight"` // at its end
}

// A gatherer adds up ticks until an interval is over.
type gatherer struct {
	every         time.Duration
	last, tick    time.Duration // ends of the last interval, and of the last tick
	ledger        bench.Ledger
	inFlight      int64
	response, lag *hdrhistogram.Histogram // of the interval: sum's, or those of its only tick
	sum           struct{ response, lag *hdrhistogram.Histogram }
}

func newGatherer(every time.Duration) *gatherer {
	g := &gatherer{every: every, response: load.NewHistogram(), lag: load.NewHistogram()}
	g.sum.response, g.sum.lag = g.response, g.lag
	return g
}

// add says whether the interval is over. Ticks are not regular to the millisecond. What the interval has is to be looked at before
// the tick is the generator's again.
func (g *gatherer) add(t load.Tick) (over bool) {
	first := g.tick == g.last
	g.tick, g.inFlight, g.ledger = t.At, t.InFlight, plus(g.ledger, t.Interval)
	over = g.tick-g.last >= g.every-load.TickEvery/2
	switch {
	case t.Dist == nil:
	case over && first: // adding up takes longer than all else
		g.response, g.lag = t.Dist.Response, t.Dist.Lag
	default:
		g.response.Merge(t.Dist.Response)
		g.lag.Merge(t.Dist.Lag)
	}
	return over
}

// interval is what was added up.
func (g *gatherer) interval() Interval {
	i := Interval{AtS: g.tick.Seconds(), ForS: (g.tick - g.last).Seconds(), Ledger: g.ledger, InFlight: g.inFlight}
	if g.response.TotalCount() > 0 {
		v := percentiles(g.response, 50, 99, 99.9, 100)
		i.P50, i.P99, i.P999, i.Max = &v[0], &v[1], &v[2], &v[3]
	}
	if g.lag.TotalCount() > 0 {
		i.SendLagMS = &percentiles(g.lag, 99)[0]
	}
	return i
}

// next begins the next interval.
func (g *gatherer) next() {
	g.last, g.ledger = g.tick, bench.Ledger{}
	if g.response == g.sum.response {
		g.response.Reset()
		g.lag.Reset()
	}
	g.response, g.lag = g.sum.response, g.sum.lag
}

// maxPoints is how many intervals a series keeps; those of a long load are longer.
const maxPoints = 1200

// A Series is a load over time: its intervals, and how response times were spread in each.
type Series struct {
	*gatherer
	points []Interval
	heat   heat
	warm   bool // it keeps a heat map
}

// NewSeries is an empty series for a load of the given length. A heat map is for the page; it takes a millisecond an interval.
func NewSeries(length time.Duration, heatMap bool) *Series {
	every := load.TickEvery
	for length/every > maxPoints {
		every *= 2
	}
	return &Series{gatherer: newGatherer(every), warm: heatMap}
}

// Add takes a tick.
func (s *Series) Add(t load.Tick) {
	if s.add(t) {
		s.keep()
	}
}

func (s *Series) keep() {
	s.points = append(s.points, s.interval())
	if s.warm {
		s.heat = append(s.heat, columnOf(s.response))
	}
	s.next()
}

// finish keeps what came last, though its interval is not over.
func (s *Series) finish() {
	if s.tick > s.last {
		s.keep()
	}
}

// answeredPerS is how many requests were answered per second over a span of the load, from the first interval that ends after its
// beginning to the first that ends after its end; and how many were in flight then.
func (s *Series) answeredPerS(from, to time.Duration) (perS float64, inFlight int64) {
	var n int64
	var over float64
	for _, p := range s.points {
		if p.AtS-p.ForS < from.Seconds()-load.TickEvery.Seconds()/2 {
			continue
		}
		n, over, inFlight = n+p.Ledger.OK+p.Ledger.Degraded, over+p.ForS, p.InFlight
		if p.AtS >= to.Seconds() {
			break
		}
	}
	return float64(n) / max(over, 1e-9), inFlight
}

func plus(a, b bench.Ledger) bench.Ledger {
	return bench.Ledger{
		Scheduled: a.Scheduled + b.Scheduled, OK: a.OK + b.OK, Degraded: a.Degraded + b.Degraded, Refused: a.Refused + b.Refused,
		Failed: a.Failed + b.Failed, Unsure: a.Unsure + b.Unsure, Unsent: a.Unsent + b.Unsent,
	}
}

// A heat map has a column an interval, and in it a count for each bucket of response time: bucketsPerDecade a decade, from 10 µs up.
type heat []column

const (
	heatBuckets      = 7 * bucketsPerDecade
	bucketsPerDecade = 12
	heatFrom         = 10_000 // ns
)

type column [heatBuckets]int64

func columnOf(h *hdrhistogram.Histogram) (c column) {
	if h.TotalCount() == 0 {
		return c // Distribution lists values that an empty histogram does not have
	}
	for _, bar := range h.Distribution() {
		c[bucketOf(bar.To)] += bar.Count
	}
	return c
}

func bucketOf(ns int64) int {
	return min(max(int(math.Floor(math.Log10(float64(max(ns, 1))/heatFrom)*bucketsPerDecade)), 0), heatBuckets-1)
}
