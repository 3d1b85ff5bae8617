package console

import (
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"shakedown/bench"
	"shakedown/bench/load"
	"shakedown/bench/load/search"
)

// Load is the live view of `shakedown load`: a few lines that change in place, and a line above them for each trial of a search.
type Load struct {
	mu     sync.Mutex
	screen screen

	title          string
	warmup, length time.Duration
	at             time.Duration // of the last tick
	gathering      figures
	shown          figures
	inFlight       int64
	heat           heat
}

// figures are what happened over a while.
type figures struct {
	since, until        time.Duration
	counts              bench.Ledger
	response, lag, wait *hdrhistogram.Histogram
}

// readable is how long figures stay: what changes four times a second cannot be read.
const readable = time.Second

// NewLoad makes a view on a terminal; width is asked anew for every drawing.
func NewLoad(out io.Writer, width func() int) *Load {
	return &Load{screen: screen{out: out, width: width}, gathering: newFigures(), shown: newFigures()}
}

func newFigures() figures {
	return figures{response: load.NewHistogram(), lag: load.NewHistogram(), wait: load.NewHistogram()}
}

// Begin shows a load, or a trial of a search, that begins.
func (v *Load) Begin(title string, warmup, length time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.title, v.warmup, v.length, v.at, v.inFlight = title, warmup, length, 0, 0
	v.gathering.reset(0)
	v.shown.reset(0)
	v.heat.columns = nil
	v.draw()
}

// Tick shows how the load fares.
func (v *Load) Tick(t load.Tick) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.at, v.inFlight = t.At, t.InFlight
	v.gathering.add(t)
	if t.Dist != nil {
		v.heat.add(t.Dist.Response)
	}
	if first := v.shown.until == 0; first || v.gathering.until-v.gathering.since >= readable-load.TickEvery/2 {
		v.shown, v.gathering = v.gathering, v.shown
		v.gathering.reset(t.At)
	}
	v.draw()
}

// Tried leaves a line on a trial of a search.
func (v *Load) Tried(t search.Trial) {
	v.mu.Lock()
	defer v.mu.Unlock()
	mark := red + "missed" + reset
	switch {
	case !t.Valid:
		mark = yellow + "void  " + reset
	case t.Met:
		mark = green + "met   " + reset
	}
	measured := "p99 " + ms(time.Duration(t.P99MS*1e6))
	if !t.Settled {
		measured = fmt.Sprintf("the queue grows by %.3g/s", t.BacklogGrowthPerS)
	}
	line := fmt.Sprintf("%8s  %s  %s  goodput %s", perSecond(t.RatePerS), mark, measured, percent(t.Goodput))
	if !t.Valid {
		line = fmt.Sprintf("%8s  %s  %s", perSecond(t.RatePerS), mark, strings.Join(t.Why, "; "))
	}
	if t.Purpose == search.Repeat {
		line += dim + "  repeat" + reset
	}
	v.screen.print(line)
	v.title = ""
}

// Close removes what changes in place.
func (v *Load) Close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.screen.erase()
}

func (f *figures) add(t load.Tick) {
	f.until = t.At
	i := t.Interval
	f.counts = bench.Ledger{
		Scheduled: f.counts.Scheduled + i.Scheduled, OK: f.counts.OK + i.OK, Degraded: f.counts.Degraded + i.Degraded,
		Refused: f.counts.Refused + i.Refused, Failed: f.counts.Failed + i.Failed, Unsure: f.counts.Unsure + i.Unsure,
		Unsent: f.counts.Unsent + i.Unsent,
	}
	if t.Dist != nil {
		f.response.Merge(t.Dist.Response)
		f.lag.Merge(t.Dist.Lag)
		f.wait.Merge(t.Dist.Wait)
	}
}

func (f *figures) reset(since time.Duration) {
	f.since, f.until, f.counts = since, 0, bench.Ledger{}
	f.response.Reset()
	f.lag.Reset()
	f.wait.Reset()
}

func (v *Load) draw() {
	if v.title == "" {
		v.screen.erase()
		return
	}
	lines := []string{fmt.Sprintf("%s%s%s  %s", bold, v.title, reset, v.clock())}
	if v.shown.until > 0 {
		lines = append(lines, v.shown.rates(), v.shown.times(v.inFlight), v.shown.generator())
		lines = append(lines, v.heat.rows(v.screen.width())...)
	}
	v.screen.show(lines)
}

// clock is how far the load is.
func (v *Load) clock() string {
	total := v.warmup + v.length
	text := fmt.Sprintf("%.0f of %.0f s", math.Floor(min(v.at, total).Seconds()), math.Ceil(total.Seconds()))
	switch {
	case v.at >= total:
		return text + dim + "  waiting for the last answers" + reset
	case v.at < v.warmup:
		return text + dim + "  warming up" + reset
	default:
		return text
	}
}

// rates says how much was asked and how much of it was answered.
func (f *figures) rates() string {
	c, over := f.counts, (f.until - f.since).Seconds()
	text := fmt.Sprintf("  offered %8s  answered %8s", perSecond(float64(c.Scheduled)/over), perSecond(float64(c.OK+c.Degraded)/over))
	if n := c.Ended(); n > 0 {
		text += "  " + bar(float64(c.OK)/float64(n)) + " ok"
	}
	return text
}

// times says how long it took. Nothing is measured while the load warms up.
func (f *figures) times(inFlight int64) string {
	return fmt.Sprintf("  p50 %s  p99 %s  p99.9 %s  in flight %d",
		quantile(f.response, 50), quantile(f.response, 99), quantile(f.response, 99.9), inFlight)
}

// generator says how late it was, how long it lacked connections, and what was not ok.
func (f *figures) generator() string {
	text := "  lag p99 " + quantile(f.lag, 99)
	if f.wait.TotalCount() > 0 && f.wait.ValueAtPercentile(99) >= worthSaying {
		text += "  wait p99 " + quantile(f.wait, 99)
	}
	c := f.counts
	return text + "  " + strings.TrimPrefix(others(c.Degraded, c.Refused, c.Failed, c.Unsure, c.Unsent), ", ")
}

// worthSaying is how long requests must wait for a connection for it to be shown, in nanoseconds.
const worthSaying = 10_000

func quantile(h *hdrhistogram.Histogram, percentile float64) string {
	if h.TotalCount() == 0 {
		return "      – "
	}
	return ms(time.Duration(h.ValueAtPercentile(percentile)))
}

func perSecond(v float64) string {
	if v >= 100 || v == math.Trunc(v) {
		return fmt.Sprintf("%.0f/s", v)
	}
	return fmt.Sprintf("%.1f/s", v)
}

// percent never rounds what is not all up to all.
func percent(share float64) string {
	if share < 1 && share > 0.999 {
		return fmt.Sprintf("%.2f %%", math.Floor(1e4*share)/100)
	}
	return fmt.Sprintf("%.3g %%", 100*share)
}
