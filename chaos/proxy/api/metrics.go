package api

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"shakedown/chaos"
	"shakedown/chaos/proxy"
)

// A collector reads the links' counters when it is asked, so a metric moves while its connection lives. Its labels
// are bounded: the links, two directions, the fields of an effect.
type collector struct{ proxy *proxy.Proxy }

var _ prometheus.Collector = collector{}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("shakedown_proxy_"+name, help, append([]string{"link"}, labels...), nil)
}

var (
	bytesDesc    = describe("bytes_total", "Bytes delivered to the end that the direction leads to.", "direction")
	receivedDesc = describe("received_bytes_total", "Bytes that came from the end that the direction leads from.", "direction")
	activeDesc   = describe("active_effects", "Effects in force, by what they do.", "effect")
	delayDesc    = describe("delay_seconds", "Delays that chunks achieved.")
	askedDesc    = describe("delay_asked_seconds", "Delays that the same chunks were to have.")
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
	count("dial_failures_total", "Connections closed because the upstream could not be reached.",
		func(c chaos.Counters) int64 { return c.DialFailures }),
	count("resets_total", "Connections ended by a reset effect.", func(c chaos.Counters) int64 { return c.Resets }),
	count("closes_total", "Connections ended by a close effect.", func(c chaos.Counters) int64 { return c.Closes }),
	count("limited_total", "Connections ended because they had passed so many bytes.", func(c chaos.Counters) int64 { return c.Limited }),
	count("half_opened_total", "Connections forgotten without a word.", func(c chaos.Counters) int64 { return c.HalfOpened }),
	count("connect_delays_total", "Connections whose server heard of them later.", func(c chaos.Counters) int64 { return c.ConnectDelays }),
	count("slow_closes_total", "Ends of streams that were kept back.", func(c chaos.Counters) int64 { return c.SlowCloses }),
	count("delayed_chunks_total", "Chunks that served a delay.", func(c chaos.Counters) int64 { return c.Delayed }),
	count("lost_segments_total", "Segments that came late as if a lossy path had dropped them.", func(c chaos.Counters) int64 { return c.Lost }),
	count("held_chunks_total", "Chunks that met a hold.", func(c chaos.Counters) int64 { return c.Held }),
	count("throttled_chunks_total", "Chunks that waited for bandwidth.", func(c chaos.Counters) int64 { return c.Throttled }),
	count("slices_total", "Pieces that a slicer wrote.", func(c chaos.Counters) int64 { return c.Sliced }),
	count("corrupted_total", "Chunks and datagrams in which a bit was flipped.", func(c chaos.Counters) int64 { return c.Corrupted }),
	count("datagrams_total", "Datagrams that came.", func(c chaos.Counters) int64 { return c.Datagrams }),
	count("dropped_datagrams_total", "Datagrams that were dropped.", func(c chaos.Counters) int64 { return c.Dropped }),
	count("duplicated_datagrams_total", "Datagrams that were sent twice.", func(c chaos.Counters) int64 { return c.Duplicated }),
	count("reordered_datagrams_total", "Datagrams that a later one overtook.", func(c chaos.Counters) int64 { return c.Reordered }),
	{
		describe("delayed_seconds_total", "Sum of the delays that delayed chunks served."), prometheus.CounterValue,
		func(c chaos.Counters) float64 { return float64(c.DelayedMicros) / 1e6 },
	},
	{
		describe("open_connections", "Connections open now."), prometheus.GaugeValue,
		func(c chaos.Counters) float64 { return float64(c.Open) },
	},
}

// does tells what an effect does.
var does = map[string]func(chaos.Effect) bool{
	"delay":         func(e chaos.Effect) bool { return e.Delay > 0 || e.Jitter > 0 || e.Law == chaos.Traced },
	"loss":          func(e chaos.Effect) bool { return e.Loss > 0 },
	"bandwidth":     func(e chaos.Effect) bool { return e.BytesPerSecond > 0 },
	"slice":         func(e chaos.Effect) bool { return e.SliceBytes > 0 },
	"hold":          func(e chaos.Effect) bool { return e.Hold },
	"reset":         func(e chaos.Effect) bool { return e.Reset },
	"close":         func(e chaos.Effect) bool { return e.Close },
	"refuse":        func(e chaos.Effect) bool { return e.Refuse },
	"connect_delay": func(e chaos.Effect) bool { return e.ConnectDelay > 0 },
	"half_open":     func(e chaos.Effect) bool { return e.HalfOpen },
	"slow_close":    func(e chaos.Effect) bool { return e.SlowClose > 0 },
	"limit_bytes":   func(e chaos.Effect) bool { return e.LimitBytes > 0 },
	"corrupt":       func(e chaos.Effect) bool { return e.Corrupt > 0 },
	"drop":          func(e chaos.Effect) bool { return e.Drop > 0 },
	"duplicate":     func(e chaos.Effect) bool { return e.Duplicate > 0 },
	"reorder":       func(e chaos.Effect) bool { return e.Reorder > 0 },
}

// Describe names every metric.
func (collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{bytesDesc, receivedDesc, activeDesc, delayDesc, askedDesc} {
		out <- d
	}
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
		send(receivedDesc, prometheus.CounterValue, float64(now.ReceivedUp), string(chaos.Upstream))
		send(receivedDesc, prometheus.CounterValue, float64(now.ReceivedDown), string(chaos.Downstream))
		for _, s := range plain {
			send(s.desc, s.kind, s.of(now))
		}
		effects := l.Effects()
		for what, is := range does {
			send(activeDesc, prometheus.GaugeValue, active(effects, is), what)
		}
		out <- histogram(delayDesc, now.Delays, l.Name())
		out <- histogram(askedDesc, now.Asked, l.Name())
	}
}

// active counts the effects that do something; one that does several things counts under each.
func active(effects map[string]chaos.Effect, is func(chaos.Effect) bool) (n float64) {
	for _, e := range effects {
		if is(e) {
			n++
		}
	}
	return n
}

// bounds are those of the buckets of delays, in seconds; those of the histograms that they are made from are much finer.
var bounds = []float64{
	.0001, .00025, .0005, .001, .0025, .005, .01, .02, .03, .04, .05, .075, .1, .15, .2, .3, .5, .75, 1, 2.5, 5, 10, 30,
}

// histogram makes the metric of a histogram. Its sum is that of the middles of fine buckets.
func histogram(d *prometheus.Desc, h chaos.Histogram, link string) prometheus.Metric {
	buckets, sum := make(map[float64]uint64, len(bounds)), 0.0
	for fine, n := range h {
		sum += float64(n) * chaos.Middle(fine).Seconds()
		for _, bound := range bounds {
			if fine <= chaos.Bucket(time.Duration(bound*float64(time.Second))) {
				buckets[bound] += uint64(n)
			}
		}
	}
	for _, bound := range bounds { // also those that are empty
		buckets[bound] += 0
	}
	return prometheus.MustNewConstHistogram(d, uint64(h.Count()), sum, buckets, link)
}
