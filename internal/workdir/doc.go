// Package workdir owns the cache folder: templates that are kept, and one working directory a run, with the journal of
// what the run started and changed. It recognises a run whose harness was killed by the lock the harness no longer holds,
// and sweeps up after it; it never starts anything, and never knows what an engine or an experiment is.
// The orchestrator opens it, packages proc and stack write in it, and `shakedown clean` sweeps it.
package workdir
