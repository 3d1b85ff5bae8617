package dashboards

import (
	"embed"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// HarnessAddr is where prometheus.yml looks for the harness: the default address of its telemetry.
const HarnessAddr = "127.0.0.1:9477"

//go:embed prometheus/prometheus.yml prometheus/rules.yml
var prometheusFiles embed.FS

// PrometheusFile is the text of prometheus.yml or rules.yml.
func PrometheusFile(name string) ([]byte, error) {
	return prometheusFiles.ReadFile("prometheus/" + name)
}

// RuleNames are the names of all recording and alerting rules of rules.yml, in its order.
func RuleNames() ([]string, error) {
	text, err := PrometheusFile("rules.yml")
	if err != nil {
		return nil, err
	}
	var file struct {
		Groups []struct {
			Rules []struct{ Record, Alert string }
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("rules.yml: %w", err)
	}
	var names []string
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			names = append(names, r.Record+r.Alert) // a rule has one of the two
		}
	}
	return names, nil
}
