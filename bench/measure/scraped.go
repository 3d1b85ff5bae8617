package measure

import (
	"slices"
	"time"

	"shakedown/bench"
	"shakedown/bench/record"
)

// selected are the series that a selector names.
func (t *Trial) selected(s Selector) []record.Series {
	var some []record.Series
	for _, r := range t.series {
		if s.Matches(r) && len(r.Points) > 0 {
			some = append(some, r)
		}
	}
	return some
}

// amplification compares what dependencies were asked with what users asked.
func amplification(t *Trial, q bench.Query, ws []window) Value {
	arrivals := t.arrivals(ws, "")
	if len(arrivals) == 0 {
		return none("no arrival was due")
	}
	attempts := t.increases(t.selected(Selector{attemptsMetric, map[string]string{"dependency": q.Name}}), ws)
	if !attempts.OK {
		return none("no attempts at %q were scraped", q.Name)
	}
	return Value{V: attempts.V / float64(len(arrivals)), N: len(arrivals), OK: true}
}

// series is a statistic of what was scraped.
func series(t *Trial, q bench.Query, ws []window) Value {
	s, err := ParseSelector(q.Name)
	if err != nil {
		return none("%v", err)
	}
	some := t.selected(s)
	if len(some) == 0 {
		return none("no series matches %s", s)
	}
	if q.Stat == "increase" || q.Stat == "rate" {
		if slices.ContainsFunc(some, func(r record.Series) bool { return r.Type == "gauge" }) {
			return none("%s is a gauge, and %s asks for a counter", s, q.Stat)
		}
		v := t.increases(some, ws)
		if q.Stat == "rate" {
			v.V /= total(ws).Seconds()
		}
		return v
	}
	points := within(sum(some), ws, func(p record.Point) time.Duration { return p.At })
	if len(points) == 0 {
		return none("%s was not scraped in the window", s)
	}
	if q.Stat == "last" {
		return Value{V: points[len(points)-1].V, N: len(points), OK: true}
	}
	vs := make([]float64, len(points))
	for i, p := range points {
		vs[i] = p.V
	}
	slices.Sort(vs)
	return Value{V: stat(vs, q.Stat), N: len(vs), OK: true}
}

// increases adds up by how much counters rose in the windows. N is the number of points that reach into them.
func (t *Trial) increases(counters []record.Series, ws []window) Value {
	v := Value{Why: "the counter was not scraped in the window"}
	for _, w := range ws {
		for _, c := range counters {
			first, last := c.Points[0].At, c.Points[len(c.Points)-1].At
			if first >= w.end || last < w.start {
				continue
			}
			v.V += t.increase(c, w)
			v.N += max(1, len(between(c.Points, w, func(p record.Point) time.Duration { return p.At })))
			v.OK, v.Why = true, ""
		}
	}
	return v
}
