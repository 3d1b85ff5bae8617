package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"shakedown/bench"
	"shakedown/bench/run"
	"shakedown/bench/schedule"
)

// scheduleFlags say of which run `show` prints the schedule.
type scheduleFlags struct {
	asked, quick bool
	seed         uint64
	repeats      int
}

func (s *scheduleFlags) register(f *pflag.FlagSet) {
	f.BoolVar(&s.asked, "schedule", false, "print when each fault is due in a run with --seed, --repeats and --quick")
	f.Uint64Var(&s.seed, "seed", 1, "the run's `number`")
	f.IntVar(&s.repeats, "repeats", 1, "how many `times` each variant runs")
	f.BoolVar(&s.quick, "quick", false, "phases are as short as in a quick run")
}

// show prints when every fault is due, from the trial's first arrival.
func (s *scheduleFlags) show(w io.Writer, e bench.Experiment) error {
	if s.repeats < 1 {
		return &run.InputError{Err: fmt.Errorf("--repeats is %d; it must be at least 1", s.repeats)}
	}
	e, err := e.Clone()
	if err != nil {
		return &run.InputError{Err: err}
	}
	if s.quick {
		e.Quicken()
	}
	all, err := run.Schedules(e, s.repeats, s.seed)
	if err != nil {
		return &run.InputError{Err: err}
	}
	out := &printer{w: w}
	for i, t := range all {
		if i > 0 {
			out.line("")
		}
		title := fmt.Sprintf("repeat %d of %d, seed %d", t.Repeat+1, s.repeats, s.seed)
		if t.Level != "" {
			title += ", at " + t.Level
		}
		out.line("%s", title)
		if len(t.Faults) == 0 {
			out.line("  no faults")
		}
		for _, x := range t.Faults {
			out.line("  %9s – %9s  %-12s %s", seconds(x.Begin), seconds(x.End), t.Phases[x.Phase].Name, what(x))
		}
	}
	return out.err
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3fs", d.Seconds()) }

func what(x schedule.Instance) string {
	var faults []string
	for _, f := range x.Faults {
		faults = append(faults, f.String())
	}
	line := strings.Join(faults, ", ")
	if x.Name != "" {
		line = fmt.Sprintf("%s %d: %s", x.Name, x.Number+1, line)
	}
	return line
}

// entryLine says an entry of a schedule in words.
func entryLine(e bench.Entry) string {
	var faults []string
	for _, f := range e.Faults {
		faults = append(faults, f.String())
	}
	line := strings.Join(faults, ", ")
	if e.Name != "" {
		line = e.Name + ": " + line
	}
	if r := e.Ramp; r != nil {
		line += fmt.Sprintf(", its %s from %v to %v in %d steps", r.Field, r.From, r.To, r.Steps)
	}
	if e.After != "" {
		line += " after " + e.After
	}
	for _, part := range []struct {
		word string
		bench.Bounds
	}{{"at", e.At}, {"for", e.For}, {"every", e.Every}} {
		if part.Bounds != (bench.Bounds{}) {
			line += fmt.Sprintf(" %s %s", part.word, part.Bounds)
		}
	}
	if e.Times > 0 {
		line += fmt.Sprintf(", %d times", e.Times)
	}
	return line
}
