package stack

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// rabbitStats names the series of the plugin rabbitmq_prometheus that are read, and what they are called here. Those of queues are of all
// queues together, and at most a second old.
var rabbitStats = []struct{ series, name, kind string }{
	{"rabbitmq_queue_messages_ready", "shakedown_rabbitmq_messages_ready", "gauge"},
	{"rabbitmq_queue_messages_unacked", "shakedown_rabbitmq_messages_unacked", "gauge"},
	{"rabbitmq_connections", "shakedown_rabbitmq_connections", "gauge"},
	{"rabbitmq_alarms_memory_used_watermark", "shakedown_rabbitmq_memory_alarm", "gauge"},
	{"rabbitmq_process_resident_memory_bytes", "shakedown_rabbitmq_memory_bytes", "gauge"},
}

// Stats reads what the run's own node shows to Prometheus; an attached one may show nothing.
func (r *rabbitServer) Stats(ctx context.Context) ([]Stat, error) {
	if r.own == nil {
		return nil, nil
	}
	text, err := getText(ctx, "http://"+loopbackAddr(r.ports[metricsPort])+"/metrics")
	if err != nil {
		return nil, fmt.Errorf("statistics of %s: %w", r.name, err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("statistics of %s: %w", r.name, err)
	}
	stats := make([]Stat, 0, len(rabbitStats))
	for _, s := range rabbitStats {
		family := families[s.series]
		if family == nil {
			return nil, fmt.Errorf("statistics of %s: there is no %s", r.name, s.series)
		}
		var sum float64
		for _, m := range family.GetMetric() {
			sum += m.GetGauge().GetValue() + m.GetCounter().GetValue() + m.GetUntyped().GetValue()
		}
		stats = append(stats, Stat{Name: s.name, Type: s.kind, Value: sum})
	}
	return stats, nil
}

// getText is the body of an answer of 200, on a connection of its own.
func getText(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answered %s", url, res.Status)
	}
	return string(raw), err
}
