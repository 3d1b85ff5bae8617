package measure

import (
	"cmp"
	"slices"
	"time"

	"shakedown/bench"
)

// spanStat is one way to put a number on the spans of a kind.
type spanStat struct {
	name string
	of   func(kind []bench.Span, ws []window) float64
}

// spanTable lists the stats of spans. A span belongs to the window in which it started; only concurrent_max sees
// those that began before the window. A burst is a set of spans of one key that overlap, directly or through others.
func spanTable() []spanStat {
	return []spanStat{
		{"count", func(kind []bench.Span, ws []window) float64 { return float64(len(within(kind, ws, start))) }},
		{"rate", func(kind []bench.Span, ws []window) float64 {
			return float64(len(within(kind, ws, start))) / total(ws).Seconds()
		}},
		{"mean_ms", spanValues("mean", func(s bench.Span) float64 { return ms(s.End - s.Start) })},
		{"p50_ms", spanValues("p50", func(s bench.Span) float64 { return ms(s.End - s.Start) })},
		{"p99_ms", spanValues("p99", func(s bench.Span) float64 { return ms(s.End - s.Start) })},
		{"value_mean", spanValues("mean", func(s bench.Span) float64 { return s.Value })},
		{"value_max", spanValues("max", func(s bench.Span) float64 { return s.Value })},
		{"concurrent_max", concurrentMax},
		{"burst_mean", burstSize("mean")},
		{"burst_max", burstSize("max")},
		{"burst_p50", burstSize("p50")},
		{"peak_100ms", peakStarts},
	}
}

func spanStats() []string {
	var names []string
	for _, s := range spanTable() {
		names = append(names, s.name)
	}
	return names
}

func start(s bench.Span) time.Duration { return s.Start }

// counted are the stats for which no span at all is an answer: zero.
var counted = []string{"count", "rate", "concurrent_max", "peak_100ms"}

// spans answers from the spans of one kind. A count of zero is believed only when the trial has other spans, which
// show that the services were recording; it then rests on one observation.
func spans(t *Trial, q bench.Query, ws []window) Value {
	var kind []bench.Span
	for _, s := range t.spans {
		if s.Kind == q.Name {
			kind = append(kind, s)
		}
	}
	n := len(within(kind, ws, start))
	switch {
	case n == 0 && len(t.spans) == 0:
		return none("no span was recorded")
	case n == 0 && !slices.Contains(counted, q.Stat):
		return none("no span of kind %q started in the window", q.Name)
	case n == 0 && q.Stat != "concurrent_max": // which also sees spans that began before the window
		return Value{N: 1, OK: true}
	}
	at := slices.IndexFunc(spanTable(), func(s spanStat) bool { return s.name == q.Stat })
	return Value{V: spanTable()[at].of(kind, ws), N: max(n, 1), OK: true}
}

// spanValues is a statistic of one number per span.
func spanValues(name string, of func(bench.Span) float64) func([]bench.Span, []window) float64 {
	return func(kind []bench.Span, ws []window) float64 {
		var vs []float64
		for _, s := range within(kind, ws, start) {
			vs = append(vs, of(s))
		}
		slices.Sort(vs)
		return stat(vs, name)
	}
}

// concurrentMax is the largest number of spans, whatever their key, that were open at one moment of the windows.
func concurrentMax(kind []bench.Span, ws []window) float64 {
	type edge struct {
		at    time.Duration
		delta int
	}
	most := 0
	for _, w := range ws {
		var edges []edge
		for _, s := range kind {
			from, to := max(s.Start, w.start), min(max(s.End, s.Start+1), w.end)
			if from < to {
				edges = append(edges, edge{from, 1}, edge{to, -1})
			}
		}
		// At one moment ends come before starts: a span that begins when another ends does not overlap it.
		slices.SortFunc(edges, func(a, b edge) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.delta, b.delta)) })
		open := 0
		for _, e := range edges {
			open += e.delta
			most = max(most, open)
		}
	}
	return float64(most)
}

// burstSize is a statistic of the sizes of the bursts that started in the windows, or zero when none did.
func burstSize(name string) func([]bench.Span, []window) float64 {
	return func(kind []bench.Span, ws []window) float64 {
		var sizes []float64
		for _, b := range bursts(kind) {
			if slices.ContainsFunc(ws, func(w window) bool { return w.contains(b.start) }) {
				sizes = append(sizes, float64(b.size))
			}
		}
		if len(sizes) == 0 {
			return 0
		}
		slices.Sort(sizes)
		return stat(sizes, name)
	}
}

// burst is a connected component of overlapping spans of one key.
type burst struct {
	start, end time.Duration
	size       int
}

// bursts joins spans, which are in order of their starts, into bursts. A span that begins when the last one ends does
// not overlap it; spans without length that begin together do.
func bursts(kind []bench.Span) []burst {
	var all []burst
	open := map[int64]int{} // by key: the index of its latest burst
	for _, s := range kind {
		end := max(s.End, s.Start+1)
		if i, ok := open[s.Key]; ok && s.Start < all[i].end {
			all[i].size++
			all[i].end = max(all[i].end, end)
			continue
		}
		open[s.Key] = len(all)
		all = append(all, burst{s.Start, end, 1})
	}
	return all
}

// peakStarts is the most starts in any 100 ms of the windows, wherever those 100 ms begin.
func peakStarts(kind []bench.Span, ws []window) float64 {
	most := 0
	for _, w := range ws {
		in := between(kind, w, start)
		first := 0
		for last := range in {
			for in[last].Start-in[first].Start >= 100*time.Millisecond {
				first++
			}
			most = max(most, last-first+1)
		}
	}
	return float64(most)
}
