package measure

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"shakedown/bench"
)

// MetricDoc says what one metric is; the catalog's pages and the validation of experiments both read it.
type MetricDoc struct {
	Name  string   `json:"name"`
	What  string   `json:"what"`
	Stats []string `json:"stats,omitempty"` // empty: the metric is one number and takes no stat
	Unit  string   `json:"unit"`            // "" where it depends on the stat or on the series; UnitOf tells
	// Named says what Query.Name is, or is empty when the metric takes none.
	Named string `json:"named,omitempty"`
	// ByOp: the metric can be restricted to one operation.
	ByOp bool `json:"by_op,omitempty"`
	// Counts says what Value.N counts: "arrivals", "answers", "spans", "points" or "ticks".
	Counts string `json:"counts"`
}

// metric is a row of the table: its documentation and how it is computed over windows that are not empty.
type metric struct {
	MetricDoc
	value func(t *Trial, q bench.Query, ws []window) Value
}

// The units in which metrics answer.
const (
	Share      = "share" // of arrivals, in [0, 1]
	RatioUnit  = "ratio"
	Millis     = "ms"
	Seconds    = "s"
	PerSecond  = "1/s"
	Spans      = "spans"
	InRequests = "requests"
	Writes     = "writes"
)

var quantiles = []string{"mean", "p50", "p90", "p95", "p99", "p99_9", "max"}

// table is the one list of metrics. It is a function because the rows' functions reach back to it.
func table() []metric {
	rows := []metric{
		shareOf("goodput", "ok answers within the operation's SLO ÷ scheduled arrivals", (*Trial).good),
		shareOf("useful", "ok and degraded answers within the SLO ÷ scheduled arrivals", (*Trial).useful),
	}
	for _, o := range []bench.Outcome{bench.OK, bench.Degraded, bench.Refused, bench.Failed, bench.Unsure, bench.Unsent} {
		rows = append(rows, shareOf(o.String(), "arrivals that ended "+o.String()+" ÷ scheduled arrivals",
			func(_ *Trial, s bench.Sample) bool { return s.Outcome == o }))
	}
	rows = append(rows,
		metric{MetricDoc{
			Name: "flag", What: "answers that carry the flag ÷ answered arrivals", Unit: Share, Named: "flag", ByOp: true,
			Counts: "answers",
		}, flagged},
		rateOf("throughput_per_s", "ok answers to arrivals due in the window, per second",
			func(_ *Trial, s bench.Sample) bool { return s.Outcome == bench.OK }),
		rateOf("goodput_per_s", "ok answers within the SLO to arrivals due in the window, per second", (*Trial).good),
		metric{MetricDoc{
			Name: "completed_per_s", What: "ok answers that came in the window, whenever their arrivals were due, per second",
			Unit: PerSecond, ByOp: true, Counts: "arrivals",
		}, completed},
		rateOf("offered_per_s", "scheduled arrivals per second", func(*Trial, bench.Sample) bool { return true }),
		timeOf("response_ms", "due to done, of everything sent; what timed out counts with the time it was given up at",
			wasSent, func(s bench.Sample) float64 { return ms(s.Response()) }),
		timeOf("answer_ms", "due to done, of ok and degraded answers only",
			wasAnswered, func(s bench.Sample) float64 { return ms(s.Response()) }),
		timeOf("service_ms", "sent to done, of everything sent: what a closed-loop generator would report",
			wasSent, func(s bench.Sample) float64 { return ms(s.Service()) }),
		timeOf("send_lag_ms", "due to sent: how late the generator was",
			wasSent, func(s bench.Sample) float64 { return ms(s.Lag()) }),
		timeOf("age_ms", "the age that answers state of their value (in µs, in the sample's Value)",
			wasAnswered, func(s bench.Sample) float64 { return float64(s.Value) / 1000 }),
		metric{MetricDoc{
			Name: "in_flight", What: "requests in flight, as the generator's own ticker counted them",
			Stats: []string{"mean", "max", "last"}, Unit: InRequests, Counts: "ticks",
		}, inFlight},
		metric{MetricDoc{
			Name: "amplification", What: "attempts at the dependency, over all instances ÷ scheduled arrivals",
			Unit: RatioUnit, Named: "dependency", Counts: "arrivals",
		}, amplification},
		metric{MetricDoc{
			Name: "series", What: `scraped series, selected by metric or metric{label="value",…} and summed`,
			Stats: []string{"mean", "max", "min", "last", "increase", "rate"}, Named: "series", Counts: "points",
		}, series},
		metric{MetricDoc{
			Name: "span", What: "intervals of work that services recorded", Stats: spanStats(), Named: "span kind",
			Counts: "spans",
		}, spans},
	)
	rows = append(rows, metric{MetricDoc{
		Name: "audit", What: "what the pattern's audit counted in the engines after the trial, or its probe in place of a load, by name: lost, doubled …",
		Named: "number of the audit", Counts: "writes",
	}, audited})
	return append(rows, transitions()...)
}

// Metrics documents every metric, in the order of the table in the package's documentation.
func Metrics() []MetricDoc {
	rows := table()
	docs := make([]MetricDoc, len(rows))
	for i, m := range rows {
		docs[i] = m.MetricDoc
	}
	return docs
}

func find(name string) (metric, bool) {
	rows := table()
	i := slices.IndexFunc(rows, func(m metric) bool { return m.Name == name })
	if i < 0 {
		return metric{}, false
	}
	return rows[i], true
}

// Doc documents the metric with the given name.
func Doc(name string) (MetricDoc, bool) {
	m, ok := find(name)
	return m.MetricDoc, ok
}

// UnitOf is the unit of a query's answer; it is empty for a series, which is in whatever unit it was scraped in.
func UnitOf(q bench.Query) string {
	m, _ := find(q.Metric)
	switch {
	case q.Metric == "span" && strings.HasSuffix(q.Stat, "_ms"):
		return Millis
	case q.Metric == "span" && q.Stat == "rate":
		return PerSecond
	case q.Metric == "span" && !strings.HasPrefix(q.Stat, "value_"):
		return Spans
	case q.Metric == "audit" && strings.HasSuffix(q.Name, "_per_s"):
		return PerSecond
	case q.Metric == "audit" && strings.HasSuffix(q.Name, "_s"):
		return Seconds
	case q.Metric == "audit" && strings.HasSuffix(q.Name, "_share"):
		return Share
	case q.Metric == "audit":
		return Writes
	}
	return m.Unit
}

// Value answers the query from this trial; the query's Variant and Level are the caller's business. Where there is
// nothing to answer from, OK is false and Why says so. V is always a finite number.
func (t *Trial) Value(q bench.Query) Value {
	m, ok := find(q.Metric)
	if !ok {
		return none("%v", unknownMetric(q.Metric))
	}
	if err := m.check(q); err != nil {
		return none("%v", err)
	}
	if _, ok := t.workload.OpIndex(q.Op); q.Op != "" && !ok {
		return none("there is no operation %q", q.Op)
	}
	ws := t.windows(q.Phase, q.Tail)
	if len(ws) == 0 && q.Metric != "audit" { // which speaks of the whole trial
		return none("%s was not run", phaseWords(q.Phase))
	}
	v := m.value(t, q, ws)
	if math.IsNaN(v.V) || math.IsInf(v.V, 0) {
		return none("%s has no finite value", q.Metric)
	}
	return v
}

func none(format string, args ...any) Value { return Value{Why: fmt.Sprintf(format, args...)} }

func phaseWords(phase string) string {
	if phase == "" {
		return "a judged phase"
	}
	return fmt.Sprintf("phase %q", phase)
}
