package stack

import (
	"bytes"
	"context"
	"fmt"
	"net/http"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// etcdStats names the series of /metrics (etcd documentation, "Metrics") that are read, summed over their labels, and what they are
// called here.
var etcdStats = []struct {
	series string
	of     func(*dto.Metric) float64
	name   string
	kind   string
}{
	{"etcd_server_has_leader", ofGauge, "shakedown_etcd_has_leader", "gauge"},
	{"etcd_server_leader_changes_seen_total", ofCounter, "shakedown_etcd_leader_changes_total", "counter"},
	{"etcd_server_proposals_committed_total", ofGauge, "shakedown_etcd_proposals_committed_total", "counter"}, // a gauge there
	{"etcd_server_proposals_pending", ofGauge, "shakedown_etcd_proposals_pending", "gauge"},
	{"etcd_server_slow_apply_total", ofCounter, "shakedown_etcd_slow_applies_total", "counter"},
	{"etcd_disk_wal_fsync_duration_seconds", ofCount, "shakedown_etcd_wal_fsyncs_total", "counter"},
	{"etcd_disk_wal_fsync_duration_seconds", ofSum, "shakedown_etcd_wal_fsync_seconds_total", "counter"},
	{"etcd_debugging_lease_granted_total", ofCounter, "shakedown_etcd_leases_granted_total", "counter"},
	{"etcd_debugging_server_lease_expired_total", ofCounter, "shakedown_etcd_leases_expired_total", "counter"},
	{"grpc_server_started_total", ofCounter, "shakedown_etcd_requests_total", "counter"},
}

func ofGauge(m *dto.Metric) float64   { return m.GetGauge().GetValue() }
func ofCounter(m *dto.Metric) float64 { return m.GetCounter().GetValue() }
func ofCount(m *dto.Metric) float64   { return float64(m.GetHistogram().GetSampleCount()) }
func ofSum(m *dto.Metric) float64     { return m.GetHistogram().GetSampleSum() }

// Stats reads the server's own metrics. A series that this version of etcd does not have is left out.
func (e *etcdServer) Stats(ctx context.Context) ([]Stat, error) {
	text, err := e.read(ctx, http.MethodGet, "/metrics", nil)
	if err != nil {
		return nil, fmt.Errorf("statistics of %s: %w", e.name, withoutURL(err))
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("statistics of %s: %w", e.name, err)
	}
	var stats []Stat
	for _, s := range etcdStats {
		family, ok := families[s.series]
		if !ok {
			continue
		}
		total := Stat{Name: s.name, Type: s.kind}
		for _, m := range family.GetMetric() {
			total.Value += s.of(m)
		}
		stats = append(stats, total)
	}
	return stats, nil
}
