package telemetry

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"shakedown/bench"
)

// A Hub collects what the orchestrator says of the run. All methods are safe for concurrent use, and none blocks on
// whoever reads. Operations, faults and trials become labels: their names come from the experiment, so they are bounded.
type Hub struct {
	registry *prometheus.Registry
	trial    trialInfo
	faults   *prometheus.GaugeVec
	inFlight prometheus.Gauge

	scheduled, outcomes, good *prometheus.CounterVec
	response                  *prometheus.HistogramVec
	lag                       prometheus.Histogram

	mu      sync.Mutex
	targets []Target

	serving serving
}

// The upper bounds, in seconds, of the histograms: what a user waits, and how late the generator sends.
var (
	responseBuckets = []float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}
	lagBuckets      = []float64{0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1}
)

// New makes a hub with a registry of its own. It serves nothing until Serve or Handler is used.
func New() *Hub {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "shakedown_load_" + name, Help: help}, labels)
	}
	h := &Hub{
		registry:  prometheus.NewRegistry(),
		scheduled: counter("scheduled_total", "Arrivals whose outcome is known, by operation.", "op"),
		outcomes:  counter("outcomes_total", "Arrivals, by what became of them.", "op", "outcome"),
		good:      counter("good_total", "Arrivals that were ok within the SLO.", "op"),
		response: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "shakedown_load_response_seconds", Help: "Response time, from when the arrival was due.", Buckets: responseBuckets,
		}, []string{"op"}),
		lag: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "shakedown_load_send_lag_seconds", Help: "How late the generator sent.", Buckets: lagBuckets,
		}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "shakedown_load_in_flight", Help: "Requests sent and not answered yet.",
		}),
		faults: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "shakedown_fault_active", Help: "1 while the fault is in force, 0 after.",
		}, []string{"fault", "kind"}),
	}
	h.registry.MustRegister(h.scheduled, h.outcomes, h.good, h.response, h.lag, h.inFlight, h.faults, &h.trial,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return h
}

// Trial says which trial begins; no phase of it has begun yet.
func (h *Hub) Trial(t Trial) { h.trial.set(&t, "") }

// Phase says which phase of the trial begins.
func (h *Hub) Phase(name string) { h.trial.set(nil, name) }

// FaultActive says that a fault has taken effect, or is gone; fault is what chaos.Fault.String says.
func (h *Hub) FaultActive(fault, kind string, active bool) {
	v := 0.0
	if active {
		v = 1
	}
	h.faults.WithLabelValues(fault, kind).Set(v)
}

// InFlight says how many requests are in flight now.
func (h *Hub) InFlight(n int64) { h.inFlight.Set(float64(n)) }

// Samples counts arrivals of the workload that have ended. One counts as scheduled when it has ended, so that the ratio
// of any two of the counters is about the same arrivals.
func (h *Hub) Samples(w bench.Workload, batch []bench.Sample) {
	for _, s := range batch {
		op := opName(w, s.Op)
		h.scheduled.WithLabelValues(op).Inc()
		h.outcomes.WithLabelValues(op, s.Outcome.String()).Inc()
		if s.Outcome == bench.Unsent {
			continue // nobody waited for an answer
		}
		if s.Outcome == bench.OK && s.Response() <= w.SLOOf(s.Op).D() {
			h.good.WithLabelValues(op).Inc()
		}
		h.response.WithLabelValues(op).Observe(s.Response().Seconds())
		h.lag.Observe(max(s.Lag(), time.Duration(0)).Seconds())
	}
}

// opName never fails: a sample of an operation that the workload lacks is a bug elsewhere, and must not end a run here.
func opName(w bench.Workload, op bench.OpID) string {
	if int(op) < len(w.Ops) {
		return w.Ops[op].Name
	}
	return "unknown"
}
