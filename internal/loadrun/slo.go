package loadrun

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"shakedown/bench/load"
)

// An SLO is what a load must meet, all of it.
type SLO []Term

// A Term is one condition on a load: on a response time, or on a share of all arrivals that were scheduled.
type Term struct {
	Metric string  // p50 … p99.9, max, mean; goodput, errors
	Rel    string  // < <= > >=
	Bound  float64 // milliseconds, or a share from 0 to 1
	Added  bool    // nobody asked for it: see ParseSLO
}

// quantiles are the metrics that are percentiles of the response time.
var quantiles = map[string]float64{"p50": 50, "p90": 90, "p95": 95, "p99": 99, "p99.9": 99.9}

const metricNames = "p50, p90, p95, p99, p99.9, max, mean, goodput, errors"

// addedErrors joins an SLO on response times alone. Only answers have one, so that a server that turns everybody away would meet it.
var addedErrors = Term{Metric: "errors", Rel: "<", Bound: 0.01, Added: true}

// ParseSLO reads terms such as "p99<50ms,goodput>99%". An SLO that says nothing of goodput or errors gets errors<1%.
func ParseSLO(text string) (SLO, error) {
	var slo SLO
	shares := false
	for _, part := range strings.Split(text, ",") {
		t, err := parseTerm(strings.TrimSpace(part))
		if err != nil {
			return nil, fmt.Errorf("%q: %w", strings.TrimSpace(part), err)
		}
		if slices.ContainsFunc(slo, func(o Term) bool { return o.Metric == t.Metric }) {
			return nil, fmt.Errorf("%s stands twice", t.Metric)
		}
		shares = shares || t.ratio()
		slo = append(slo, t)
	}
	if !shares {
		slo = append(slo, addedErrors)
	}
	return slo, nil
}

func parseTerm(text string) (Term, error) {
	at := strings.IndexAny(text, "<>")
	if at < 0 {
		return Term{}, fmt.Errorf("write a metric, < or >, and a bound, such as p99<50ms or goodput>99%%; the metrics are %s", metricNames)
	}
	t := Term{Metric: strings.TrimSpace(text[:at]), Rel: text[at : at+1]}
	bound, equal := strings.CutPrefix(text[at+1:], "=")
	if equal {
		t.Rel += "="
	}
	bound = strings.TrimSpace(bound)
	if _, ok := quantiles[t.Metric]; !ok && !slices.Contains([]string{"max", "mean", "goodput", "errors"}, t.Metric) {
		return t, fmt.Errorf("there is no metric %q; there are %s", t.Metric, metricNames)
	}
	if atLeast := t.Metric == "goodput"; atLeast != (t.Rel[0] == '>') {
		return t, fmt.Errorf("%s wants %s", t.Metric, map[bool]string{true: "> or >=", false: "< or <="}[atLeast])
	}
	if t.ratio() {
		percent, ok := strings.CutSuffix(bound, "%")
		v, err := strconv.ParseFloat(strings.TrimSpace(percent), 64)
		if !ok || err != nil || !(v >= 0 && v <= 100) {
			return t, fmt.Errorf("the bound must be a percentage from 0%% to 100%%, such as 99%%")
		}
		t.Bound = v / 100
		return t, nil
	}
	d, err := time.ParseDuration(bound)
	if err != nil || d <= 0 {
		return t, fmt.Errorf("the bound must be a positive time with a unit, such as 50ms")
	}
	t.Bound = float64(d) / 1e6
	return t, nil
}

func (t Term) ratio() bool { return t.Metric == "goodput" || t.Metric == "errors" }

// String is the term as ParseSLO reads it.
func (t Term) String() string {
	if t.ratio() {
		return t.Metric + t.Rel + strconv.FormatFloat(round(100*t.Bound, 1e9), 'f', -1, 64) + "%"
	}
	return t.Metric + t.Rel + time.Duration(t.Bound*1e6).String()
}

func round(v, unit float64) float64 { return float64(int64(v*unit+0.5)) / unit }

// A Finding is what a load made of a term. Value is in milliseconds or a share, as the bound is; where AtLeast is set the true value is
// that or more, because users gave up before they knew. A term without a value, for want of answers, is not met.
type Finding struct {
	Term
	Value   float64
	Known   bool // there is a value
	AtLeast bool
	Met     bool
}

// Judge says what the load made of each term. timeout is when its users gave up.
func (s SLO) Judge(d *load.Distributions, timeout time.Duration) []Finding {
	found := make([]Finding, 0, len(s))
	for _, t := range s {
		f := Finding{Term: t}
		switch {
		case t.ratio() && d.Ledger.Scheduled > 0:
			f.share(d)
		case !t.ratio() && d.Response.TotalCount() > 0:
			f.time(d, timeout)
		}
		found = append(found, f)
	}
	return found
}

// Met says whether every term is met.
func Met(found []Finding) bool {
	return !slices.ContainsFunc(found, func(f Finding) bool { return !f.Met })
}

// share: goodput is the share of scheduled arrivals that were answered in full, errors that of those that were not answered.
func (f *Finding) share(d *load.Distributions) {
	l := d.Ledger
	f.Known, f.Value = true, float64(l.OK)/float64(l.Scheduled)
	if f.Metric == "errors" {
		f.Value = float64(l.Refused+l.Failed+l.Unsure+l.Unsent) / float64(l.Scheduled)
	}
	f.Met = f.holds(f.Value)
}

// time: the users who gave up wait for ever, as far as anybody knows. Those who waited to the time-out stand at the top of the
// distribution as it is; those who were cut off earlier might stand there too, so the term is only met if it is even then.
func (f *Finding) time(d *load.Distributions, timeout time.Duration) {
	h, n := d.Response, float64(d.Response.TotalCount())
	patient := above(h, timeout)
	early := max(0, d.Censored-patient)
	f.Known = true
	q, percentile := quantiles[f.Metric]
	switch {
	case percentile:
		f.Value = inMS(h.ValueAtPercentile(q))
		worst := q + 100*float64(early)/n
		f.AtLeast = d.Censored > 0 && (worst >= 100 || h.ValueAtPercentile(worst) >= atTimeout(timeout))
		f.Met = f.holds(f.Value) && !f.AtLeast && f.holds(inMS(h.ValueAtPercentile(worst)))
	case f.Metric == "max":
		f.Value, f.AtLeast = inMS(h.Max()), d.Censored > 0
		f.Met = f.holds(f.Value) && !f.AtLeast
	default: // the mean
		f.Value, f.AtLeast = h.Mean()/1e6, d.Censored > 0
		f.Met = f.holds(f.Value) && !f.AtLeast
	}
}

// missed is a term that is not met, in words.
func (f Finding) missed() string {
	switch {
	case !f.Known:
		return f.String() + " cannot be judged: there were no answers"
	case f.ratio():
		return fmt.Sprintf("%s is missed with %.3g%%", f, 100*f.Value)
	case f.AtLeast:
		return fmt.Sprintf("%s is missed with at least %.3g ms", f, f.Value)
	default:
		return fmt.Sprintf("%s is missed with %.3g ms", f, f.Value)
	}
}

func (t Term) holds(v float64) bool {
	switch t.Rel {
	case "<":
		return v < t.Bound
	case "<=":
		return v <= t.Bound
	case ">":
		return v > t.Bound
	default:
		return v >= t.Bound
	}
}

// atTimeout is the time-out as a histogram may have it: its values are true to 0.1 %.
func atTimeout(timeout time.Duration) int64 { return int64(timeout) - int64(timeout)/500 }

// above counts the values at or beyond the time-out.
func above(h *hdrhistogram.Histogram, timeout time.Duration) int64 {
	var n int64
	for _, bar := range h.Distribution() {
		if bar.To >= atTimeout(timeout) {
			n += bar.Count
		}
	}
	return n
}

func inMS(ns int64) float64 { return float64(ns) / 1e6 }
