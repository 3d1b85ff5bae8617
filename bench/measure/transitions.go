package measure

import (
	"time"

	"shakedown/bench"
	"shakedown/bench/record"
)

const (
	// recovered is the fraction of the baseline's goodput at which a service counts as back.
	recovered = 0.9
	// sustained is for how long it must stay there: one lucky slot is no recovery.
	sustained = time.Second
	// recoverSlot and detectSlot are the least widths of the slots in which goodput is judged. Recovery takes seconds
	// and is noisy; a fault shows at once.
	recoverSlot = 500 * time.Millisecond
	detectSlot  = 100 * time.Millisecond
	// leastInSlot is how many arrivals a slot needs; where the rate is low, slots grow until they have them.
	leastInSlot = 20
)

// transitions are the metrics that set a phase against the goodput of the baseline phase Name.
func transitions() []metric {
	return []metric{
		{MetricDoc{
			Name: "recover_s", Unit: Seconds, Named: "baseline phase", ByOp: true, Counts: "arrivals",
			What: "from the end of the phase's faults (without faults: from its start) until goodput is ≥ 90 % of the " +
				"baseline's for 1 s in a row",
		}, recoverS},
		{MetricDoc{
			Name: "detect_s", Unit: Seconds, Named: "baseline phase", ByOp: true, Counts: "arrivals",
			What: "from the phase's first fault (without faults: from its start) until goodput is < 90 % of the baseline's",
		}, detectS},
		{MetricDoc{
			Name: "share_of_baseline", Unit: RatioUnit, Named: "baseline phase", ByOp: true, Counts: "arrivals",
			What: "goodput ÷ the baseline's goodput",
		}, shareOfBaseline},
	}
}

// baseline is the goodput of the phase that the query names, which must be above zero.
func (t *Trial) baseline(q bench.Query) Value {
	v := t.share(t.arrivals(t.windows(q.Name, 0), q.Op), (*Trial).good)
	switch {
	case !v.OK:
		return none("the baseline %q: %s", q.Name, v.Why)
	case v.V == 0:
		return none("the baseline %q had no goodput", q.Name)
	}
	return v
}

func shareOfBaseline(t *Trial, q bench.Query, ws []window) Value {
	base, v := t.baseline(q), t.share(t.arrivals(ws, q.Op), (*Trial).good)
	switch {
	case !base.OK:
		return base
	case !v.OK:
		return v
	}
	return Value{V: v.V / base.V, N: min(v.N, base.N), OK: true}
}

// recoverS looks at all that follows the faults. When goodput never comes back, the observed time is a lower bound.
func recoverS(t *Trial, q bench.Query, _ []window) Value {
	base := t.baseline(q)
	if !base.OK {
		return base
	}
	span := t.span(q.Phase)
	from := span.Start
	for i, f := range span.Faults {
		if i == 0 {
			from = f.Healed
		}
		from = max(from, f.Healed)
	}
	n, watched := 0, time.Duration(0)
	for _, w := range t.loaded(from) {
		n += len(t.arrivals([]window{w}, q.Op))
		watched = w.end - from
		since := time.Duration(-1)
		for _, s := range t.slots(w, q.Op, recoverSlot) {
			switch {
			case s.goodput < recovered*base.V:
				since = -1
				continue
			case since < 0:
				since = s.start
			}
			if s.end-since >= sustained {
				return Value{V: (since - from).Seconds(), N: n, OK: true}
			}
		}
	}
	if n == 0 {
		return none("no arrival was due after the faults of phase %q", q.Phase)
	}
	return Value{V: watched.Seconds(), N: n, OK: true, Censored: true}
}

func detectS(t *Trial, q bench.Query, _ []window) Value {
	base := t.baseline(q)
	if !base.OK {
		return base
	}
	span := t.span(q.Phase)
	from := span.Start
	for i, f := range span.Faults {
		if i == 0 {
			from = f.Injected
		}
		from = min(from, f.Injected)
	}
	w := window{from, span.End}
	slots := t.slots(w, q.Op, detectSlot)
	if len(slots) == 0 {
		return none("fewer than %d arrivals were due in phase %q", leastInSlot, q.Phase)
	}
	for _, s := range slots {
		if s.goodput < recovered*base.V {
			return Value{V: (s.start - from).Seconds(), N: len(t.arrivals([]window{w}, q.Op)), OK: true}
		}
	}
	return none("goodput never dropped below %.0f %% of the baseline's", 100*recovered)
}

// span is the phase with the given name, which has been run.
func (t *Trial) span(phase string) record.PhaseSpan {
	for _, p := range t.data.Trial.Phases {
		if p.Name == phase {
			return p
		}
	}
	return record.PhaseSpan{}
}

// loaded are the stretches with load after the given moment; a silent phase between two of them says nothing.
func (t *Trial) loaded(from time.Duration) []window {
	var ws []window
	for _, p := range t.data.Trial.Phases {
		w := window{max(p.Start, from), p.End}
		if w.length() <= 0 || len(between(t.samples, w, due)) == 0 {
			continue
		}
		if n := len(ws); n > 0 && ws[n-1].end == w.start {
			ws[n-1].end = w.end
			continue
		}
		ws = append(ws, w)
	}
	return ws
}

// slot is a stretch of time with its goodput.
type slot struct {
	window
	goodput float64
}

// slots cuts the window into multiples of step that hold at least leastInSlot arrivals each. What is left at the end
// and holds fewer is dropped: it decides nothing.
func (t *Trial) slots(w window, op string, step time.Duration) []slot {
	var all []slot
	for from, to := w.start, w.start+step; to <= w.end; to += step {
		in := t.arrivals([]window{{from, to}}, op)
		if len(in) < leastInSlot {
			continue
		}
		all = append(all, slot{window{from, to}, float64(t.count(in, (*Trial).good)) / float64(len(in))})
		from = to
	}
	return all
}
