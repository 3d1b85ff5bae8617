package serve

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"shakedown/bench"
)

// Buckets are the upper bounds, in seconds, of every latency histogram of a service.
var Buckets = []float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}

// metrics are the families that every service has. Rate, errors and duration of requests follow T. Wilkie's RED method.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	inFlight prometheus.Gauge
	panics   *prometheus.CounterVec

	attempts *prometheus.CounterVec
	errors   *prometheus.CounterVec
	waits    *prometheus.HistogramVec

	breakerState       *prometheus.GaugeVec
	breakerTransitions *prometheus.CounterVec

	hits, misses, rebuilds *prometheus.CounterVec

	pools *pools
}

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "shakedown_" + name, Help: help}, labels)
		r.MustRegister(v)
		return v
	}
	histogram := func(name, help string, labels ...string) *prometheus.HistogramVec {
		v := prometheus.NewHistogramVec(
			prometheus.HistogramOpts{Name: "shakedown_" + name, Help: help, Buckets: Buckets}, labels)
		r.MustRegister(v)
		return v
	}
	m := &metrics{
		requests: counter("requests_total", "Requests answered, by what became of them.", "op", "outcome"),
		seconds:  histogram("request_seconds", "Time from the handler's start to the answer.", "op"),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "shakedown_in_flight_requests", Help: "Requests being handled now.",
		}),
		panics:   counter("panics_total", "Handlers that panicked.", "op"),
		attempts: counter("dependency_attempts_total", "Calls made to a dependency, retries included.", "dependency"),
		errors:   counter("dependency_errors_total", "Calls to a dependency that failed.", "dependency", "kind"),
		waits:    histogram("dependency_seconds", "Time that one call to a dependency took.", "dependency"),
		breakerState: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "shakedown_breaker_state", Help: "1 for the state that the breaker is in, 0 for the others.",
		}, []string{"breaker", "state"}),
		breakerTransitions: counter("breaker_transitions_total", "Changes of a breaker to a state.", "breaker", "to"),
		hits:               counter("cache_hits_total", "Answers found in a cache.", "cache"),
		misses:             counter("cache_misses_total", "Answers not found in a cache.", "cache"),
		rebuilds:           counter("cache_rebuilds_total", "Cached values computed anew.", "cache"),
		pools:              newPools(),
	}
	r.MustRegister(m.inFlight, m.breakerState, m.pools)
	return m
}

// opMetrics are the series of one operation, resolved once so that a request pays no look-up.
type opMetrics struct {
	inFlight prometheus.Gauge
	outcomes []prometheus.Counter
	seconds  prometheus.Observer
}

func (m *metrics) op(name string) opMetrics {
	o := opMetrics{inFlight: m.inFlight, seconds: m.seconds.WithLabelValues(name)}
	for _, outcome := range bench.Outcomes() {
		o.outcomes = append(o.outcomes, m.requests.WithLabelValues(name, outcome.String()))
	}
	return o
}

func (o opMetrics) observe(outcome bench.Outcome, took time.Duration) {
	o.outcomes[outcome].Inc()
	o.seconds.Observe(took.Seconds())
}
