package result

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"shakedown/bench"
	"shakedown/bench/load"
	"shakedown/bench/load/search"
)

// SchemaVersion is the version of Result's JSON form, published in docs/schema. Within a version fields are added, and none changes.
const SchemaVersion = 1

// A Result is what a load came to. Everything is of the arrivals that were due in the measured time, after the warm-up. What its fields
// mean is in the published schema too, in these words.
type Result struct {
	SchemaVersion int    `json:"schema_version"`
	Target        string `json:"target"`
	Mode          string `json:"mode" jsonschema:"enum=open,enum=closed"`
	// what was scheduled per second; in closed loop, what users asked
	OfferedPerS float64 `json:"offered_per_s"`
	// what was answered (ok, degraded) per second; in open loop, where the server had fallen behind when the last arrivals were due, until
	// then: what it answers from its backlog afterwards does not make it faster
	AchievedPerS float64 `json:"achieved_per_s"`
	// every scheduled arrival ends in exactly one outcome
	Ledger bench.Ledger `json:"ledger"`
	// from due to done: what a user waits. Of the ok, the degraded and the unsure; a user who gave up counts with the time after which he
	// did. Null when there was nothing to measure, here and in the next ones.
	ResponseMS *Times `json:"response_ms" jsonschema:"nullable"`
	// from sent to done, of the same
	ServiceMS *Times `json:"service_ms" jsonschema:"nullable"`
	// how late the generator got to requests, of all that it got to
	SendLagMS *Times `json:"send_lag_ms" jsonschema:"nullable"`
	// how long requests then waited for a connection
	ConnWaitMS *Times `json:"conn_wait_ms" jsonschema:"nullable"`
	// user and system time of the whole generator process over the measured time
	ClientCPUS float64 `json:"client_cpu_s"`
	// its largest resident set, in 10⁶ bytes
	MaxRSSMB float64 `json:"max_rss_mb"`
	// whether the numbers say something of the server; if not, void_reasons says why
	Valid       bool     `json:"valid"`
	VoidReasons []string `json:"void_reasons"`

	// how many requests never came back
	Censored int64 `json:"censored"`
	// which of response_ms are lower bounds for that
	AtLeast []string `json:"at_least"`
	// which of service_ms are
	ServiceAtLeast []string       `json:"service_at_least"`
	Causes         []Cause        `json:"causes"`
	Ops            []Op           `json:"ops,omitempty"`
	InFlight       InFlight       `json:"in_flight"`
	SLO            []Term         `json:"slo,omitempty"`
	Search         *search.Result `json:"search,omitempty"`
	Series         []Interval     `json:"series"`
	Aborted        bool           `json:"aborted"`
	Arrival        string         `json:"arrival"` // how they arrived, in words
	Seed           uint64         `json:"seed"`
	DurationS      float64        `json:"duration_s"` // that was measured
	WarmupS        float64        `json:"warmup_s"`
	TimeoutMS      float64        `json:"timeout_ms"`
	// the most there could be; 0: as many as it took
	Connections int    `json:"connections"`
	Client      string `json:"client"` // what sent the load
	// client_cpu_s over the requests that were sent
	CPUPerRequestUS float64 `json:"cpu_us_per_request"`
	// what this machine's generator came to against a server that does nothing; not there when it was not measured
	CeilingPerS float64 `json:"ceiling_per_s,omitempty"`
	Machine     Machine `json:"machine"`
	Version     string  `json:"version"`
	Started     string  `json:"started"` // RFC 3339

	response, service *hdrhistogram.Histogram // for the page
	heat              heat
}

// Times are the statistics of a distribution, in milliseconds, true to 0.1 %.
type Times struct {
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P95  float64 `json:"p95"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99_9"`
	Max  float64 `json:"max"`
}

// A Cause is why requests were not ok.
type Cause struct {
	Cause string `json:"cause"`
	Count int64  `json:"count"`
}

// An Op is the share of one operation of a mix.
type Op struct {
	Name       string       `json:"name"`
	Ledger     bench.Ledger `json:"ledger"` // its scheduled are those that ended
	ResponseMS *Times       `json:"response_ms" jsonschema:"nullable"`
	Censored   int64        `json:"censored"`
	AtLeast    []string     `json:"at_least"`
}

// InFlight is of the requests that the generator had got to and that had not ended.
type InFlight struct {
	Mean float64 `json:"mean"`
	Max  int64   `json:"max"`
}

// A Term is one term of an SLO, and what the load made of it.
type Term struct {
	Term    string   `json:"term"`                        // as it was written
	Value   *float64 `json:"value" jsonschema:"nullable"` // milliseconds, or a share from 0 to 1; null: nothing to judge by
	AtLeast bool     `json:"at_least"`                    // the true value is that or more
	Met     bool     `json:"met"`
}

// Machine is where the load was sent from.
type Machine struct {
	Cores  int    `json:"cores"`
	CPU    string `json:"cpu"`
	Kernel string `json:"kernel"`
}

// Meta is what a caller knows of a load beside its statistics.
type Meta struct {
	Target, Arrival, Client string
	Closed                  bool
	Measured                time.Duration // of the time after the warm-up, how much there was
	Warmup, Timeout         time.Duration
	Connections             int
	Seed                    uint64
	Ops                     []string // names of the operations
	VoidReasons             []string
	Aborted                 bool
	SLO                     []Term
	Search                  *search.Result
	CeilingPerS             float64
	Machine                 Machine
	Version                 string
	Started                 time.Time
}

// New is the result of a load. series may be nil.
func New(m Meta, s load.Stats, series *Series) Result {
	r := Result{
		SchemaVersion: SchemaVersion, Target: m.Target, Mode: "open", ClientCPUS: s.CPUS, MaxRSSMB: s.MaxRSSMB,
		Valid: len(m.VoidReasons) == 0, VoidReasons: notNil(m.VoidReasons), AtLeast: []string{}, ServiceAtLeast: []string{}, Causes: []Cause{}, Series: []Interval{},
		InFlight: InFlight{s.InFlightMean, s.InFlightMax}, SLO: m.SLO, Search: m.Search, Aborted: m.Aborted, Arrival: m.Arrival, Seed: m.Seed,
		DurationS: m.Measured.Seconds(), WarmupS: m.Warmup.Seconds(), TimeoutMS: float64(m.Timeout) / 1e6, Connections: m.Connections, Client: m.Client,
		CeilingPerS: m.CeilingPerS, Machine: m.Machine, Version: m.Version, Started: m.Started.UTC().Format(time.RFC3339),
	}
	if m.Closed {
		r.Mode = "closed"
	}
	if series != nil {
		series.finish()
		r.Series, r.heat = notNil(series.points), series.heat
	}
	d := s.Dist
	if d == nil {
		return r
	}
	r.Ledger, r.Censored = d.Ledger, d.Censored
	if sec := r.DurationS; sec > 0 {
		r.OfferedPerS = float64(d.Ledger.Scheduled) / sec
		r.AchievedPerS = achieved(m, s, series)
	}
	if sent := d.Ledger.Ended() - d.Ledger.Unsent; sent > 0 {
		r.CPUPerRequestUS = s.CPUS * 1e6 / float64(sent)
	}
	r.ResponseMS, r.ServiceMS, r.SendLagMS, r.ConnWaitMS = TimesOf(d.Response), TimesOf(d.Service), TimesOf(d.Lag), TimesOf(d.Wait)
	r.response, r.service = d.Response, d.Service
	r.AtLeast = append(r.AtLeast, atLeast(d.Response, d.Censored, m.Timeout)...)
	r.ServiceAtLeast = append(r.ServiceAtLeast, atLeast(d.Service, d.Censored, m.Timeout)...)
	for _, cause := range slices.Sorted(maps.Keys(d.Causes)) {
		r.Causes = append(r.Causes, Cause{cause, d.Causes[cause]})
	}
	slices.SortStableFunc(r.Causes, func(a, b Cause) int { return cmp.Compare(b.Count, a.Count) })
	for i, op := range d.Ops {
		if i < len(m.Ops) {
			l := op.Ledger
			l.Scheduled = l.Ended()
			r.Ops = append(r.Ops, Op{m.Ops[i], l, TimesOf(op.Response), op.Censored, notNil(atLeast(op.Response, op.Censored, m.Timeout))})
		}
	}
	return r
}

// achieved is the AchievedPerS of a load: the server had fallen behind when the last tick of the load found as many in flight as usual,
// though nothing was due any more.
func achieved(m Meta, s load.Stats, series *Series) float64 {
	answered := float64(s.Dist.Ledger.OK+s.Dist.Ledger.Degraded) / m.Measured.Seconds()
	if series != nil && !m.Closed {
		perS, left := series.answeredPerS(m.Warmup, m.Warmup+m.Measured)
		if left > 1 && float64(left) > s.InFlightMean/2 {
			return min(answered, perS)
		}
	}
	return answered
}

func notNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// TimesOf are the statistics of a histogram in nanoseconds; nil when it is empty.
func TimesOf(h *hdrhistogram.Histogram) *Times {
	if h == nil || h.TotalCount() == 0 {
		return nil
	}
	v := percentiles(h, 50, 90, 95, 99, 99.9, 100)
	return &Times{Mean: h.Mean() / 1e6, P50: v[0], P90: v[1], P95: v[2], P99: v[3], P999: v[4], Max: v[5]}
}

// percentiles are values of a histogram in nanoseconds, in ms. The hundredth is the largest.
func percentiles(h *hdrhistogram.Histogram, p ...float64) []float64 {
	ms := make([]float64, len(p))
	for i, ns := range h.ValueAtPercentilesSlice(p) {
		ms[i] = float64(ns) / 1e6
	}
	return ms
}

// stats are the statistics in the order and by the names of Times.
var stats = []struct {
	name       string
	percentile float64
}{{"mean", 100}, {"p50", 50}, {"p90", 90}, {"p95", 95}, {"p99", 99}, {"p99_9", 99.9}, {"max", 100}}

// atLeast are the statistics that are lower bounds, because users gave up. Those who waited to the time-out are at the top of the
// distribution anyway; those who were cut off before might belong there too, and a percentile is a lower bound when it would then
// reach the time-out, or have no value.
func atLeast(h *hdrhistogram.Histogram, censored int64, timeout time.Duration) []string {
	if censored == 0 {
		return nil
	}
	limit := int64(timeout) - int64(timeout)/500 // as a histogram may have it
	var patient int64
	for _, bar := range h.Distribution() {
		if bar.To >= limit {
			patient += bar.Count
		}
	}
	early := 100 * float64(max(0, censored-patient)) / float64(h.TotalCount())
	var names []string
	for _, s := range stats {
		if worst := s.percentile + early; worst >= 100 || h.ValueAtPercentile(worst) >= limit {
			names = append(names, s.name)
		}
	}
	return names
}
