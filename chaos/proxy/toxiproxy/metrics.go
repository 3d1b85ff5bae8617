package toxiproxy

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"shakedown/chaos"
	"shakedown/chaos/proxy"
)

// labels are those of Toxiproxy's metrics of proxies.
var labels = []string{"direction", "proxy", "listener", "upstream"}

var (
	receivedDesc = prometheus.NewDesc("toxiproxy_proxy_received_bytes_total", "", labels, nil)
	sentDesc     = prometheus.NewDesc("toxiproxy_proxy_sent_bytes_total", "", labels, nil)
)

// Metrics are Toxiproxy's own metrics of its proxies, under its names, for dashboards that have them. They move while a
// connection lives; Toxiproxy's do when it ends.
func Metrics(p *proxy.Proxy) prometheus.Collector { return metrics{p} }

type metrics struct{ links *proxy.Proxy }

// Describe names both.
func (metrics) Describe(out chan<- *prometheus.Desc) {
	out <- receivedDesc
	out <- sentDesc
}

// Collect reads every link.
func (m metrics) Collect(out chan<- prometheus.Metric) {
	for _, l := range m.links.Links() {
		n, err := l.Counters(context.Background()) // reads memory
		if err != nil {
			out <- prometheus.NewInvalidMetric(sentDesc, err)
			continue
		}
		send := func(d *prometheus.Desc, bytes int64, direction chaos.Direction) {
			out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(bytes),
				string(direction), l.Name(), l.Addr(), upstreamOf(l.Spec()))
		}
		send(receivedDesc, n.ReceivedUp, chaos.Upstream)
		send(receivedDesc, n.ReceivedDown, chaos.Downstream)
		send(sentDesc, n.BytesUp, chaos.Upstream)
		send(sentDesc, n.BytesDown, chaos.Downstream)
	}
}
