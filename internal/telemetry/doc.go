// Package telemetry owns what a run shows of itself to Prometheus while it is in progress: load, faults and the trial as
// metrics, and the services that are up as targets. It must never decide anything, and nothing is judged from it: the
// record is the run directory. The orchestrator calls it; Prometheus, set up in dashboards, reads it.
package telemetry
