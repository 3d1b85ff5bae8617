package run

import (
	"time"

	"shakedown/bench/load"
	"shakedown/bench/record"
)

// Progress is told how the run goes, for a terminal view. Calls come from several goroutines, one at a time for a trial.
type Progress interface {
	// Planned comes first: all trials, and about how long they take.
	Planned(trials []Planned, estimate time.Duration)
	// Doing says what happens outside of trials: "measuring the capacity".
	Doing(what string)
	TrialStarted(t Planned)
	PhaseStarted(name string, length time.Duration)
	Fault(f record.FaultSpan, healed bool)
	Tick(t load.Tick)
	TrialEnded(t Planned, ledger Summary)
	Finding(text string)
}

// Summary is what a trial came to, before any judging.
type Summary struct {
	Stats load.Stats
	Took  time.Duration
}

type silent struct{}

func (silent) Planned([]Planned, time.Duration)   {}
func (silent) Doing(string)                       {}
func (silent) TrialStarted(Planned)               {}
func (silent) PhaseStarted(string, time.Duration) {}
func (silent) Fault(record.FaultSpan, bool)       {}
func (silent) Tick(load.Tick)                     {}
func (silent) TrialEnded(Planned, Summary)        {}
func (silent) Finding(string)                     {}
