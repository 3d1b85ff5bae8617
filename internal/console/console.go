// Package console is the live view of a run, or of a load, on a terminal: what runs now, how it fares, what was injected, and
// what is done. It only shows what it is told; in a pipe nobody should make one.
package console

import (
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"time"

	"shakedown/bench/load"
	"shakedown/bench/record"
	"shakedown/bench/run"
)

// View draws a few lines that change in place, below the lines of what is done.
type View struct {
	mu      sync.Mutex
	screen  screen
	title   string
	total   int
	done    int
	until   time.Time
	trial   run.Planned
	phase   string
	ends    time.Time
	faults  []string
	history []float64 // p99 of the last ticks, in ms
	last    load.Tick
}

var _ run.Progress = (*View)(nil)

// New makes a view on a terminal; width is asked anew for every drawing.
func New(out io.Writer, title string, width func() int) *View {
	return &View{screen: screen{out: out, width: width}, title: title}
}

// Planned shows what is to come.
func (v *View) Planned(trials []run.Planned, estimate time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.total = len(trials)
	v.until = time.Now().Add(estimate)
	v.screen.print(fmt.Sprintf("%s%s%s  %d trials, about %s", bold, v.title, reset, v.total, roughly(estimate)))
}

// Doing shows what happens outside of trials.
func (v *View) Doing(what string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.screen.print(dim + what + " …" + reset)
}

// TrialStarted shows the trial that runs now.
func (v *View) TrialStarted(t run.Planned) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.trial, v.phase, v.faults, v.history, v.last = t, "starting servers", nil, nil, load.Tick{}
	v.ends = time.Time{} // of the trial before
	v.draw()
}

// PhaseStarted shows the phase that runs now.
func (v *View) PhaseStarted(name string, length time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.phase, v.ends = name, time.Now().Add(length)
	v.draw()
}

// Fault shows the faults in force.
func (v *View) Fault(f record.FaultSpan, healed bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !healed {
		v.faults = append(v.faults, f.Fault)
	} else {
		for i, name := range v.faults {
			if name == f.Fault {
				v.faults = append(v.faults[:i:i], v.faults[i+1:]...)
				break
			}
		}
	}
	v.draw()
}

// Tick shows how the load fares.
func (v *View) Tick(t load.Tick) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.last = t
	v.history = append(v.history, float64(t.P99)/1e6)
	v.draw()
}

// TrialEnded leaves one line of what the trial came to.
func (v *View) TrialEnded(t run.Planned, s run.Summary) {
	v.mu.Lock()
	defer v.mu.Unlock()
	l := s.Stats.Ledger
	if !t.Again {
		v.done++
	}
	v.screen.print(fmt.Sprintf("%s%3d/%d%s %-26s %s%s", dim, v.done, v.total, reset, name(t), share(l.OK, l.Scheduled), others(l.Degraded, l.Refused, l.Failed, l.Unsure, l.Unsent)))
	v.trial = run.Planned{}
	v.phase = ""
	v.draw()
}

// Finding leaves a line on something that nobody asked for.
func (v *View) Finding(text string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.screen.print(red + "! " + reset + text)
	v.draw()
}

// Close removes what changes in place.
func (v *View) Close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.screen.erase()
}

func name(t run.Planned) string {
	text := t.Variant.Name
	if t.Level.Name != "" {
		text += " · " + t.Level.Name
	}
	if t.Again {
		text += " (again)"
	}
	return text
}

func (v *View) draw() {
	if v.phase == "" {
		v.screen.erase()
		return
	}
	width := v.screen.width()
	lines := []string{
		fmt.Sprintf("%s%3d/%d%s %s%s%s  %s%s  %sabout %s left%s", dim, min(v.done+1, v.total), v.total, reset, bold, name(v.trial), reset,
			v.phase, v.remaining(), dim, roughly(time.Until(v.until)), reset),
	}
	if n := v.last.Interval.Ended(); n > 0 {
		i := v.last.Interval
		lines = append(lines,
			fmt.Sprintf("        %s ok%s  in flight %d", bar(float64(i.OK+i.Degraded)/float64(n)), others(i.Degraded, i.Refused, i.Failed, i.Unsure, i.Unsent), v.last.InFlight),
			fmt.Sprintf("        p50 %s  p99 %s  %s", ms(v.last.P50), ms(v.last.P99), spark(v.history, max(10, width-44))))
	}
	if len(v.faults) > 0 {
		lines = append(lines, fmt.Sprintf("        %s↯ %s%s", red, strings.Join(v.faults, ", "), reset))
	}
	v.screen.show(lines)
}

func (v *View) remaining() string {
	if left := time.Until(v.ends); left > 0 && !v.ends.IsZero() {
		return fmt.Sprintf(" %.0f s", math.Ceil(left.Seconds()))
	}
	return ""
}

func bar(share float64) string {
	const cells = 20
	full := int(math.Round(share * cells))
	return fmt.Sprintf("%s%s%s%s%s %3.0f %%", green, strings.Repeat("█", full), dim, strings.Repeat("░", cells-full), reset, 100*share)
}

func share(n, of int64) string {
	if of == 0 {
		return "no arrivals"
	}
	return fmt.Sprintf("%5.1f %% of %d ok", 100*float64(n)/float64(of), of)
}

func others(degraded, refused, failed, unsure, unsent int64) string {
	var b strings.Builder
	for _, o := range []struct {
		n    int64
		name string
	}{{degraded, "degraded"}, {refused, "refused"}, {failed, "failed"}, {unsure, "unsure"}, {unsent, "unsent"}} {
		if o.n > 0 {
			fmt.Fprintf(&b, ", %d %s", o.n, o.name)
		}
	}
	return b.String()
}

func ms(d time.Duration) string {
	v := float64(d) / 1e6
	switch {
	case v >= 1000:
		return fmt.Sprintf("%5.2f s ", v/1000)
	case v >= 10:
		return fmt.Sprintf("%5.0f ms", v)
	default:
		return fmt.Sprintf("%5.2f ms", v)
	}
}

// spark draws the last values on a log scale from 1 ms to 10 s.
func spark(values []float64, width int) string {
	const levels = "▁▂▃▄▅▆▇█"
	steps := []rune(levels)
	values = values[max(0, len(values)-width):]
	var b strings.Builder
	for _, v := range values {
		at := int(math.Log10(max(v, 1)) / 4 * float64(len(steps)))
		b.WriteRune(steps[min(at, len(steps)-1)])
	}
	return b.String()
}

func roughly(d time.Duration) string {
	switch {
	case d <= 0:
		return "no time"
	case d < time.Minute:
		return fmt.Sprintf("%.0f s", math.Ceil(d.Seconds()))
	case d < 90*time.Minute:
		return fmt.Sprintf("%.0f min", math.Ceil(d.Minutes()))
	default:
		return fmt.Sprintf("%.1f h", d.Hours())
	}
}
