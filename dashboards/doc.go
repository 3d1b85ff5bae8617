// Package dashboards owns what Prometheus and Grafana are told about a run: the names of the metrics, the panels as
// data, and beside it the configuration files that docker-compose.yml mounts. It must never know how a metric is
// measured, and nothing is judged from what it shows. Its tests call it, and so does whoever checks a live run against
// its panels with dashtest.
package dashboards
