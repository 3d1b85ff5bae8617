package serve

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// PoolStats is the state of one pool of connections, workers or permits.
type PoolStats struct {
	InUse, Idle, Max int
	// Waiting is how many callers are asking for a member at this moment and have none yet.
	Waiting int
	// Acquires are the acquisitions that have ended, and AcquireTime is the time they took together.
	Acquires    int64
	AcquireTime time.Duration
	// EmptyAcquires are those that found nothing idle and had to wait.
	EmptyAcquires int64
}

// PoolStats shows a pool as shakedown_pool_… metrics; stats is called at every scrape. A second pool of the same name
// takes the place of the first.
func (s *Server) PoolStats(name string, stats func() PoolStats) {
	p := s.metrics.pools
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats[name] = stats
}

// pools is a collector that asks every pool when it is scraped.
type pools struct {
	mu     sync.Mutex
	stats  map[string]func() PoolStats
	series []poolSeries
}

type poolSeries struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(PoolStats) float64
}

func newPools() *pools {
	gauge := func(name, help string, value func(PoolStats) float64) poolSeries {
		desc := prometheus.NewDesc("shakedown_pool_"+name, help, []string{"pool"}, nil)
		return poolSeries{desc, prometheus.GaugeValue, value}
	}
	counter := func(name, help string, value func(PoolStats) float64) poolSeries {
		s := gauge(name, help, value)
		s.kind = prometheus.CounterValue
		return s
	}
	return &pools{stats: map[string]func() PoolStats{}, series: []poolSeries{
		gauge("in_use", "Members handed out now.", func(p PoolStats) float64 { return float64(p.InUse) }),
		gauge("idle", "Members waiting to be used.", func(p PoolStats) float64 { return float64(p.Idle) }),
		gauge("waiting", "Callers waiting for a member now.", func(p PoolStats) float64 { return float64(p.Waiting) }),
		gauge("max", "The most members that the pool may have.", func(p PoolStats) float64 { return float64(p.Max) }),
		counter("acquire_seconds_total", "Time spent on acquisitions.",
			func(p PoolStats) float64 { return p.AcquireTime.Seconds() }),
		counter("acquires_total", "Acquisitions that ended, with a member or without.",
			func(p PoolStats) float64 { return float64(p.Acquires) }),
		counter("empty_acquires_total", "Acquisitions that found nothing idle and waited.",
			func(p PoolStats) float64 { return float64(p.EmptyAcquires) }),
	}}
}

func (p *pools) Describe(ch chan<- *prometheus.Desc) {
	for _, s := range p.series {
		ch <- s.desc
	}
}

func (p *pools) Collect(ch chan<- prometheus.Metric) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, stats := range p.stats {
		now := stats()
		for _, s := range p.series {
			ch <- prometheus.MustNewConstMetric(s.desc, s.kind, s.value(now), name)
		}
	}
}
