package api

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"shakedown/chaos"
	"shakedown/chaos/proxy"
)

// A collector reads the links' counters when it is asked, so a metric moves while its connection lives. Its labels
// are bounded: the links of a run, two directions, four kinds of effect.
type collector struct{ proxy *proxy.Proxy }

var _ prometheus.Collector = collector{}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("shakedown_proxy_"+name, help, append([]string{"link"}, labels...), nil)
}

var (
	bytesDesc  = describe("bytes_total", "Bytes delivered to the end that the direction leads to.", "direction")
	activeDesc = describe("active_effects", "Effects in force, by what they do.", "effect")
)

// A series is one counter or gauge of a link.
type series struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(chaos.Counters) float64
}

func count(name, help string, of func(chaos.Counters) int64) series {
	return series{describe(name, help), prometheus.CounterValue, func(c chaos.Counters) float64 { return float64(of(c)) }}
}

var plain = []series{
	count("connections_total", "Connections accepted.", func(c chaos.Counters) int64 { return c.Connections }),
	count("resets_total", "Connections ended by a reset effect.", func(c chaos.Counters) int64 { return c.Resets }),
	count("dial_failures_total", "Connections closed because the upstream could not be reached.",
		func(c chaos.Counters) int64 { return c.DialFailures }),
	count("delayed_chunks_total", "Chunks that served a delay.", func(c chaos.Counters) int64 { return c.Delayed }),
	count("held_chunks_total", "Chunks that met a hold.", func(c chaos.Counters) int64 { return c.Held }),
	count("throttled_chunks_total", "Chunks that waited for bandwidth.", func(c chaos.Counters) int64 { return c.Throttled }),
	{
		describe("delayed_seconds_total", "Sum of the delays that delayed chunks served."), prometheus.CounterValue,
		func(c chaos.Counters) float64 { return float64(c.DelayedMicros) / 1e6 },
	},
	{
		describe("open_connections", "Connections open now."), prometheus.GaugeValue,
		func(c chaos.Counters) float64 { return float64(c.Open) },
	},
}

// Describe names every metric.
func (collector) Describe(out chan<- *prometheus.Desc) {
	out <- bytesDesc
	out <- activeDesc
	for _, s := range plain {
		out <- s.desc
	}
}

// Collect reads every link.
func (c collector) Collect(out chan<- prometheus.Metric) {
	for _, l := range c.proxy.Links() {
		now, err := l.Counters(context.Background()) // reads memory
		if err != nil {
			out <- prometheus.NewInvalidMetric(bytesDesc, err)
			continue
		}
		send := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
			out <- prometheus.MustNewConstMetric(d, kind, v, append([]string{l.Name()}, labels...)...)
		}
		send(bytesDesc, prometheus.CounterValue, float64(now.BytesUp), string(chaos.Upstream))
		send(bytesDesc, prometheus.CounterValue, float64(now.BytesDown), string(chaos.Downstream))
		for _, s := range plain {
			send(s.desc, s.kind, s.of(now))
		}
		for effect, n := range active(l.Effects()) {
			send(activeDesc, prometheus.GaugeValue, n, effect)
		}
	}
}

// active counts effects by what they do; one that does several things counts under each.
func active(effects map[string]chaos.Effect) map[string]float64 {
	n := map[string]float64{"delay": 0, "bandwidth": 0, "hold": 0, "reset": 0}
	add := func(name string, does bool) {
		if does {
			n[name]++
		}
	}
	for _, e := range effects {
		add("delay", e.Delay > 0 || e.Jitter > 0)
		add("bandwidth", e.BytesPerSecond > 0)
		add("hold", e.Hold)
		add("reset", e.Reset)
	}
	return n
}
