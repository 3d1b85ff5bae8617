package measure

import (
	"slices"
	"time"

	"shakedown/bench/record"
)

// interval is the usual gap between two points: the median, so that one late scrape does not matter.
func interval(points []record.Point) time.Duration {
	if len(points) < 2 {
		return 0
	}
	gaps := make([]time.Duration, 0, len(points)-1)
	for i := 1; i < len(points); i++ {
		gaps = append(gaps, points[i].At-points[i-1].At)
	}
	slices.Sort(gaps)
	return gaps[len(gaps)/2]
}

// increase is by how much a counter rose within the window. Between two scrapes it is taken to rise linearly. A value
// below the one before it is a restart, and counts in full. A counter that was first seen later than the trial's first
// scrape began at zero one interval earlier: clients make a series at its first use.
func (t *Trial) increase(s record.Series, w window) float64 {
	if len(s.Points) == 0 {
		return 0
	}
	var sum float64
	step, first := interval(s.Points), s.Points[0]
	if first.At > t.scraped+step+step/2 {
		sum += overlap(first.At-step, first.At, w) * first.V
	}
	for i := 1; i < len(s.Points); i++ {
		a, b := s.Points[i-1], s.Points[i]
		rise := b.V - a.V
		if rise < 0 {
			rise = b.V
		}
		sum += overlap(a.At, b.At, w) * rise
	}
	return sum
}

// overlap is the fraction of [a, b] that lies in the window; a span without length is in it or not.
func overlap(a, b time.Duration, w window) float64 {
	if a >= b {
		if w.contains(b) {
			return 1
		}
		return 0
	}
	inside := min(b, w.end) - max(a, w.start)
	return float64(max(inside, 0)) / float64(b-a)
}

// sum adds gauges up at every moment at which one of them was scraped, with the latest value of each. A gauge that has
// not been scraped for three of its intervals is gone, and adds nothing: its process died.
func sum(gauges []record.Series) []record.Point {
	if len(gauges) == 1 {
		return gauges[0].Points
	}
	var times []time.Duration
	for _, g := range gauges {
		for _, p := range g.Points {
			times = append(times, p.At)
		}
	}
	slices.Sort(times)
	times = slices.Compact(times)
	sums := make([]record.Point, len(times))
	for i, at := range times {
		sums[i].At = at
	}
	for _, g := range gauges {
		stale, next := 3*interval(g.Points), 0
		for i, at := range times {
			for next < len(g.Points) && g.Points[next].At <= at {
				next++
			}
			if next > 0 && (stale == 0 || at-g.Points[next-1].At <= stale) {
				sums[i].V += g.Points[next-1].V
			}
		}
	}
	return sums
}
