package verdict

import (
	"fmt"
	"math"

	"shakedown/bench"
	"shakedown/bench/measure"
)

const (
	// near is how close to its bound, as a fraction of it, a value without an interval decides nothing.
	near = 0.10
	// nearShare is the same for shares of arrivals, absolute.
	nearShare = 0.02
	// The least numbers of observations where the check does not say: a median or a share of fewer than 30 arrivals is
	// noise, and a percentile of fewer than 1/(1−q) samples is the maximum under another name.
	minArrivals, minP99, minP999 = 30, 100, 1000
)

// judged is what the data of one check come to.
type judged struct {
	verdict              bench.Verdict
	why                  string // of an unknown verdict
	effect, of           Estimate
	versus               *Estimate
	ofQuery, versusQuery bench.Query
}

// minOps is the least number of observations that the check needs on either side.
func minOps(c bench.Check, q bench.Query) int {
	if c.MinOps > 0 {
		return c.MinOps
	}
	doc, _ := measure.Doc(q.Metric)
	switch {
	case doc.Counts != "arrivals" && doc.Counts != "answers":
		return 1
	case q.Stat == "p99":
		return minP99
	case q.Stat == "p99_9":
		return minP999
	}
	return minArrivals
}

// decide sets the effect, of which data are the repeats, against the check's bound.
func decide(c bench.Check, j *judged, data []datum) {
	var bounded []datum
	beyond := 0
	for _, d := range data {
		switch {
		case !d.known():
			j.why = d.why
		case d.beyond:
			beyond++
		default:
			bounded = append(bounded, d)
		}
	}
	switch {
	case j.effect.Missing:
		return // why says what was missing
	case j.effect.Censored && j.effect.Below:
		j.why = "some repeats are bounds from above and others from below"
		return
	}
	j.why = ""
	if few := tooFew(c, j); few != "" {
		j.why = few
		return
	}
	if c.Never {
		j.verdict = never(c, data)
		return
	}
	if beyond == 0 {
		j.verdict, j.why = against(c, j.effect, margin(c, j))
		j.effect.Tilde = j.verdict == bench.Unknown
		return
	}
	j.verdict = bench.Fails
	if c.Rel == bench.AtLeast {
		j.verdict = bench.Holds
	}
	if len(bounded) == 0 {
		return
	}
	rest, _ := against(c, estimate(bounded, scaleOf(c), 0), margin(c, j))
	if rest != j.verdict {
		j.verdict, j.why = bench.Unknown, "some repeats are beyond every bound and the others do not agree with them"
		j.effect.Tilde = true
	}
}

// never fails with the first repeat that is beyond the bound.
func never(c bench.Check, data []datum) bench.Verdict {
	verdict := bench.Unknown
	for _, d := range data {
		switch {
		case !d.known():
		case d.beyond || compareRange(c, d.v, d.v, d.side == atLeast) == bench.Fails:
			return bench.Fails
		case d.side == exact:
			verdict = bench.Holds
		}
	}
	return verdict
}

func tooFew(c bench.Check, j *judged) string {
	if need := minOps(c, j.ofQuery); j.of.N < need {
		return fmt.Sprintf("%d observations, needs %d", j.of.N, need)
	}
	if j.versus != nil {
		if need := minOps(c, j.versusQuery); j.versus.N < need {
			return fmt.Sprintf("%d observations on the other side, needs %d", j.versus.N, need)
		}
	}
	return ""
}

// scaleOf is how the check's effect is averaged.
func scaleOf(c bench.Check) scale {
	if c.Versus != nil && c.By != bench.Difference {
		return geometric
	}
	return arithmetic
}

// margin is how close to the bound a point without an interval decides nothing.
func margin(c bench.Check, j *judged) float64 {
	share := measure.UnitOf(c.Of) == measure.Share
	switch {
	case share && c.Versus == nil && c.Bound >= 0 && c.Bound <= 1:
		return min(nearShare, min(c.Bound, 1-c.Bound)/2)
	case share && c.By == bench.Difference && c.Versus != nil:
		return nearShare
	case c.Of.Metric == "amplification" && c.Versus == nil && c.Bound > 1:
		return near * (c.Bound - 1) // one call a request is none too many: what counts is the excess
	case c.Bound == 0 && c.By == bench.Difference && j.versus != nil:
		return near * math.Abs(j.versus.Value)
	}
	return near * math.Abs(c.Bound)
}

// against compares an estimate with the check's bound.
func against(c bench.Check, e Estimate, margin float64) (bench.Verdict, string) {
	lo, hi := e.Value, e.Value
	if e.Lo != nil && e.Hi != nil {
		lo, hi = *e.Lo, *e.Hi
	} else if !e.Censored && !e.Below && !isClear(c, e.Value, margin) {
		return bench.Unknown, fmt.Sprintf("too close to the bound to tell from %d %s", e.Repeats, plural(e.Repeats, "repeat"))
	}
	if e.Censored {
		hi = math.Inf(1)
	}
	if e.Below {
		lo = math.Inf(-1)
	}
	switch v := compareRange(c, lo, hi, e.Censored); {
	case v != bench.Unknown:
		return v, ""
	case e.Censored:
		return v, "the recording ended too early to tell"
	case e.Below:
		return v, "only known from above, which does not tell"
	default:
		return v, "the interval holds the bound"
	}
}

// isClear says whether a point is far enough from the edges of what the check accepts, or on one.
func isClear(c bench.Check, v, margin float64) bool {
	edges := []float64{c.Bound}
	if c.Rel == bench.Equal {
		w := band(c)
		edges = []float64{c.Bound - w, c.Bound + w}
		margin = min(margin, w/2) // a margin wider than the band would leave nothing to accept
	}
	for _, edge := range edges {
		if d := math.Abs(v - edge); d > 0 && d <= margin {
			return false
		}
	}
	return true
}

// band is the half-width of what Equal accepts: a fraction of the bound, or of 1 where the bound is zero.
func band(c bench.Check) float64 {
	if c.Bound == 0 {
		return c.Band
	}
	return c.Band * math.Abs(c.Bound)
}

// compareRange says whether the whole of [lo, hi] satisfies the relation, or the whole violates it. Where the truth is
// lo or more, reaching the bound violates "at most".
func compareRange(c bench.Check, lo, hi float64, censored bool) bench.Verdict {
	least, most := math.Inf(-1), math.Inf(1) // of what the check accepts
	switch c.Rel {
	case bench.AtMost:
		most = c.Bound
	case bench.AtLeast:
		least = c.Bound
	case bench.Equal:
		least, most = c.Bound-band(c), c.Bound+band(c)
	}
	switch {
	case lo > most, hi < least, censored && lo >= most:
		return bench.Fails
	case lo >= least && hi <= most:
		return bench.Holds
	}
	return bench.Unknown
}
