package result

import (
	"math"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"shakedown/bench"
	"shakedown/bench/load"
)

// An Interval is what ended from one look at the load to the next. Times are in milliseconds, and 0 when nothing was measured.
type Interval struct {
	AtS       float64      `json:"at_s"` // its end, from the beginning of the load
	ForS      float64      `json:"for_s"`
	Ledger    bench.Ledger `json:"ledger"`
	P50       float64      `json:"p50_ms"`
	P99       float64      `json:"p99_ms"`
	P999      float64      `json:"p99_9_ms"`
	Max       float64      `json:"max_ms"`
	SendLagMS float64      `json:"send_lag_p99_ms"`
	InFlight  int64        `json:"in_flight"`
}

// IntervalOf is what a tick says, the last one having been at the given time.
func IntervalOf(t load.Tick, last time.Duration) Interval {
	i := Interval{AtS: t.At.Seconds(), ForS: (t.At - last).Seconds(), Ledger: t.Interval, InFlight: t.InFlight}
	if t.Dist == nil {
		return i
	}
	if times := TimesOf(t.Dist.Response); times != nil {
		i.P50, i.P99, i.P999, i.Max = times.P50, times.P99, times.P999, times.Max
	}
	if lag := TimesOf(t.Dist.Lag); lag != nil {
		i.SendLagMS = lag.P99
	}
	return i
}

// maxPoints is how many intervals a series keeps: beyond, neighbours become one.
const maxPoints = 1200

// A Series is a load over time: its intervals, of at least Every, and how response times were spread in each.
type Series struct {
	points []Interval
	heat   heat
	every  time.Duration
	last   time.Duration // of the last interval
	tick   time.Duration // of the last tick
	sum    Interval
	column column
}

// NewSeries is an empty series for a load of the given length.
func NewSeries(length time.Duration) *Series {
	every := load.TickEvery
	for length/every > maxPoints {
		every *= 2
	}
	return &Series{every: every}
}

// Add takes a tick.
func (s *Series) Add(t load.Tick) {
	i := IntervalOf(t, s.tick)
	s.tick = t.At
	sum := &s.sum
	sum.Ledger = plus(sum.Ledger, i.Ledger)
	if n := ended(i); n >= ended(*sum)-n { // percentiles of intervals cannot be added: those of the larger half stand for both
		sum.P50, sum.P99, sum.P999 = i.P50, i.P99, i.P999
	}
	sum.Max, sum.SendLagMS, sum.InFlight = max(sum.Max, i.Max), max(sum.SendLagMS, i.SendLagMS), i.InFlight
	if t.Dist != nil {
		s.column.add(t.Dist.Response)
	}
	if t.At-s.last < s.every-load.TickEvery/2 { // ticks are not that regular
		return
	}
	sum.AtS, sum.ForS = t.At.Seconds(), (t.At - s.last).Seconds()
	s.points = append(s.points, *sum)
	s.heat = append(s.heat, s.column)
	s.last, s.sum, s.column = t.At, Interval{}, column{}
}

func ended(i Interval) int64 { return i.Ledger.Ended() }

func plus(a, b bench.Ledger) bench.Ledger {
	return bench.Ledger{
		Scheduled: a.Scheduled + b.Scheduled, OK: a.OK + b.OK, Degraded: a.Degraded + b.Degraded, Refused: a.Refused + b.Refused,
		Failed: a.Failed + b.Failed, Unsure: a.Unsure + b.Unsure, Unsent: a.Unsent + b.Unsent,
	}
}

// A heat map has a column an interval, and in it a weight for each bucket of response time: bucketsPerDecade a decade, from 10 µs up.
type heat []column

const (
	heatBuckets      = 56
	bucketsPerDecade = 8
	heatFrom         = 10_000 // ns
)

type column [heatBuckets]uint32

// spread are percentiles that lie evenly: as many of them as fall into a bucket are its share of the answers.
var spread = func() []float64 {
	p := make([]float64, 64)
	for i := range p {
		p[i] = 100 * (float64(i) + 0.5) / float64(len(p))
	}
	return p
}()

func (c *column) add(h *hdrhistogram.Histogram) {
	n := h.TotalCount()
	if n == 0 {
		return
	}
	for _, ns := range h.ValueAtPercentilesSlice(spread) {
		c[bucketOf(ns)] += uint32(max(1, n/int64(len(spread))))
	}
}

func bucketOf(ns int64) int {
	return min(max(int(math.Log10(float64(max(ns, 1))/heatFrom)*bucketsPerDecade), 0), heatBuckets-1)
}
