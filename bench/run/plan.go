package run

import (
	"math/rand/v2"
	"slices"
	"time"

	"shakedown/bench"
	"shakedown/bench/schedule"
)

// Planned is one trial to come.
type Planned struct {
	Index   int  // in the order of execution
	Again   bool // the same trial was run before, and was void
	Variant bench.Variant
	Level   bench.Level
	Repeat  int
	Seed    uint64
	Length  time.Duration // of its phases
}

// plan lays out the trials: every repeat is a block of all variants at all levels, in a seeded random order, so that
// what drifts on the machine meets every variant alike. The trials of one block share a seed: the same arrivals and the
// same keys meet every variant, which takes the luck of the draw out of their comparison.
func plan(e bench.Experiment, repeats int, seed uint64) []Planned {
	var trials []Planned
	rng := rand.New(rand.NewPCG(seed, 0))
	for repeat := range repeats {
		block := len(trials)
		trialSeed := rng.Uint64()
		for _, level := range e.LevelList() {
			for _, variant := range e.Variants {
				if !level.Runs(variant.Name) {
					continue
				}
				trials = append(trials, Planned{
					Variant: variant, Level: level, Repeat: repeat, Seed: trialSeed, Length: length(e.PhasesAt(level)),
				})
			}
		}
		rng.Shuffle(len(trials)-block, func(i, j int) {
			trials[block+i], trials[block+j] = trials[block+j], trials[block+i]
		})
	}
	return trials
}

// A TrialSchedule is when the faults of the trials of one block at one level are due: it is the same for every variant.
type TrialSchedule struct {
	Repeat int
	Level  string
	Phases []bench.Phase
	Faults []schedule.Instance
}

// Schedules are those of a run with the given seed, in the order of repeats and levels.
func Schedules(e bench.Experiment, repeats int, seed uint64) ([]TrialSchedule, error) {
	var all []TrialSchedule
	trials := plan(e, repeats, seed)
	for repeat := range repeats {
		for _, level := range e.LevelList() {
			i := slices.IndexFunc(trials, func(t Planned) bool { return t.Repeat == repeat && t.Level.Name == level.Name })
			if i < 0 {
				continue // no variant runs there
			}
			phases := e.PhasesAt(level)
			faults, err := schedule.New(trials[i].Seed, phases)
			if err != nil {
				return nil, err
			}
			all = append(all, TrialSchedule{repeat, level.Name, phases, faults})
		}
	}
	return all, nil
}

func length(phases []bench.Phase) time.Duration {
	var sum time.Duration
	for _, p := range phases {
		sum += p.For.D()
	}
	return sum
}

// perTrial is about what starting, seeding and stopping take for one trial, for estimates.
const perTrial = 1500 * time.Millisecond

// Estimate is about how long an experiment takes.
func Estimate(e bench.Experiment, repeats int) time.Duration {
	var sum time.Duration
	for _, t := range plan(e, repeats, 0) {
		sum += t.Length + perTrial
	}
	if e.Capacity != nil {
		sum += e.Capacity.For.D() + perTrial
	}
	return sum
}
