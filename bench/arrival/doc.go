// Package arrival owns the arrival processes of the open loop: when, within a phase, each request is due. It never
// reads a clock, sleeps or sends: a process is a pure function of its parameters and a seed, so that a run replays.
// The orchestrator makes one process for each phase, and the generator draws due times from it.
package arrival
