// Package run is the orchestrator: from an experiment to a run directory. It is the only package that knows engines,
// proxy, services, generator, faults and the recorder at once, and it never judges what it recorded. The commands call it.
package run
