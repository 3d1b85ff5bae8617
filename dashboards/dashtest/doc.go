// Package dashtest owns the proof that what dashboards promises is there: it runs a real Prometheus with the repository's
// own configuration and asks it every query of every panel. It must never know how a run is made.
// Tests call it: those of dashboards with a small hub and service, and those of the orchestrator with a whole run.
package dashtest
