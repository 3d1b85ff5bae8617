package report

import (
	"fmt"
	"html/template"
	"slices"
	"strings"

	"shakedown/bench"
	"shakedown/bench/record"
	"shakedown/bench/verdict"
)

// A view is the page as its template sees it: text and positions, nothing left to compute.
type view struct {
	Title, Experiment, Note string
	Pill, Tone, Summary     string // the whole run in a few words; Tone is good, bad or unsure
	Facts                   []fact
	VoidHeading             string
	Void, Findings, Audits  []string
	Claims                  []claimView
	Tables                  []tableView
	Uncertainty             string
	Sweeps                  []sweepView
	Levels, Variants        []choice
	Factor                  string
	Timelines               []timelineView
	Examples                []exampleView
	Loaded                  bool // there was a load to chart
	Missing                 []string
	Ledger                  []ledgerView
	Generator               []generatorView
	Command                 string

	Data   template.JS
	Script template.JS
	Style  template.CSS
	Policy string

	charts chartData
}

type (
	exampleView struct{ Seen, Title, Text string }
	fact        struct{ Name, Value string }
	claimView   struct {
		ID, Text, Source, Mark, Outcome, Tone, Reason, On string
		Deciding                                          *checkView
		Checks                                            []checkView
		Open                                              bool
	}
	checkView struct {
		Text, When, Mark, Verdict, Tone, Bound, Effect, Reason string
		Plot                                                   *boundPlot
	}
	columnView struct {
		Title, Unit, Lo, Hi string
		Log                 bool
	}
	tableView struct {
		Level   string
		Columns []columnView
		Rows    []rowView
	}
	rowView struct {
		Variant, About, Note string
		Color                int
		Control              bool
		Cells                []cellView
	}
	cellView struct {
		Value, Interval string
		Dot             *dot
	}
	sweepView struct {
		Title, Level, Answer string
		Points               []pointView
	}
	pointView struct {
		X, Value string
		Enough   bool
	}
	choice struct {
		Name  string
		Index int
		On    bool
		Color int
	}
	timelineView struct {
		V, L         int
		Name         string
		Void         []string
		Phases       []phaseView
		Faults       []faultView
		Events       []eventView
		Findings     []string
		On, HasFault bool
	}
	phaseView struct {
		Name, Load, At, Width, Span string
		Judged                      bool
	}
	faultView struct {
		Fault, Span, At, Width string
		Landed, Effect         string
		Unseen                 bool
	}
	eventView  struct{ At, Kind, Name, Detail string }
	ledgerView struct {
		Name, Status string
		Cells        []string
		Void         []string
		Off          bool // the ledger does not balance
	}
	generatorView struct {
		Name  string
		Cells []string
	}
)

// palette is how many colours variants have in page.css; the control's is the first.
const palette = 8

func viewOf(in Input) view {
	r := in.Result
	e := r.Run.Experiment
	v := view{
		Title: orElse(e.Question, e.Name), Experiment: e.Name, Note: e.Note, Summary: summary(r), Facts: facts(r), VoidHeading: voidHeading(r), Void: voidReasons(r), Findings: r.Findings, Audits: r.Audits, Uncertainty: uncertainty(r),
		Factor: orElse(e.Factor, "level"),
	}
	v.Pill, v.Tone = pill(r)
	v.Loaded = !e.Probes()
	for _, x := range r.Examples {
		title, _, _ := strings.Cut(x.Text, "\n")
		v.Examples = append(v.Examples, exampleView{sightings(x), title, x.Text})
	}
	if len(r.Run.Command) > 0 {
		v.Command = shell(r.Run.Command)
	}
	for _, c := range r.Claims {
		v.Claims = append(v.Claims, claimOf(c))
	}
	v.tables(r)
	for _, s := range r.Sweeps {
		v.Sweeps = append(v.Sweeps, sweepOf(r, s))
	}
	v.charts, v.Missing = charts(in)
	for i, name := range v.charts.Variants {
		v.Variants = append(v.Variants, choice{Name: name, Index: i, Color: i % palette, On: i == 0})
	}
	for i, name := range v.charts.Levels {
		v.Levels = append(v.Levels, choice{Name: name, Index: i, On: i == 0})
	}
	if !v.Loaded {
		return v // nothing went over time, and no arrival went anywhere
	}
	for i := range v.charts.Trials {
		t := &v.charts.Trials[i]
		v.Timelines = append(v.Timelines, timelineOf(t, i == 0))
		v.Generator = append(v.Generator, generatorOf(t))
	}
	for _, t := range r.Trials {
		v.Ledger = append(v.Ledger, ledgerOf(t))
	}
	return v
}

// pill says whether the run came out as expected, or why it cannot say so.
func pill(r verdict.Result) (text, tone string) {
	if state := headline(r); state != "" {
		return state, "bad"
	}
	asExpected := 0
	for _, c := range r.Claims {
		if c.AsExpected {
			asExpected++
		}
	}
	switch {
	case len(r.Claims) == 0:
		return "nothing to decide", "unsure"
	case r.AsExpected:
		return "as expected", "good"
	}
	return fmt.Sprintf("%d of %s as expected", asExpected, plural(len(r.Claims), "claim")), "bad"
}

func facts(r verdict.Result) []fact {
	run := r.Run
	all := []fact{
		{"Pattern", run.Pattern},
		{"Trials", fmt.Sprintf("%s: %s × %s", trialsLine(r), plural(len(run.Experiment.Variants), "variant"), plural(run.Repeats, "repeat"))},
		{"Load", loadLine(run.Experiment)},
		{"Seed", decimal(run.Seed)},
		{"Started", run.Started.UTC().Format("2006-01-02 15:04 UTC")},
		{"Took", took(run)},
		{"Host", hostLine(run.Host)},
		{"Versions", versionLine(run)},
		{"Run", run.ID},
	}
	if levels := len(run.Experiment.Levels); levels > 0 {
		all[1].Value += " × " + plural(levels, "level")
	}
	if run.Quick {
		all[1].Value += ", quick"
	}
	if run.CapacityPerS > 0 {
		all = slices.Insert(all, 3, fact{"Capacity", number(run.CapacityPerS) + "/s, measured before the first trial"})
	}
	return slices.DeleteFunc(all, func(f fact) bool { return f.Value == "" })
}

func claimOf(c verdict.Claim) claimView {
	v := claimView{
		ID: c.ID, Text: c.Text, Source: c.Source, Mark: findingMarks[c.Finding], Outcome: outcome(c), Tone: toneOf(c),
		Reason: c.Reason, On: c.On, Open: !c.AsExpected,
	}
	at := slices.IndexFunc(c.Checks, func(k verdict.Check) bool {
		return (c.Finding == bench.Refuted) == (k.Verdict == bench.Fails)
	})
	v.Checks = make([]checkView, 0, len(c.Checks)) // Deciding points into it
	for i, k := range c.Checks {
		v.Checks = append(v.Checks, checkOf(k))
		if says(c, k) {
			v.Checks[i].Reason = ""
		}
		if i == max(at, 0) {
			v.Deciding = &v.Checks[i]
		}
	}
	return v
}

// toneOf is how a claim's card is coloured: by whether it came out as expected, not by the finding.
func toneOf(c verdict.Claim) string {
	switch {
	case c.Finding == bench.Undecided:
		return "unsure"
	case c.AsExpected:
		return "good"
	}
	return "bad"
}

func checkOf(c verdict.Check) checkView {
	tones := map[bench.Verdict]string{bench.Unknown: "unsure", bench.Holds: "good", bench.Fails: "bad"}
	v := checkView{
		Text: c.Text, When: c.When, Mark: checkMark(c), Verdict: c.Verdict.String(), Tone: tones[c.Verdict],
		Bound: bound(c), Effect: "no value", Reason: checkReason(c), Plot: plotOf(c),
	}
	if !c.Effect.Missing {
		v.Effect = checkScale(c).spell(c.Effect)
	}
	return v
}

// tables fills the tables of variants, one for each level; every figure of a column lies on one axis, in all of them.
func (v *view) tables(r verdict.Result) {
	e := r.Run.Experiment
	scales := columnScales(r)
	axes := make([]axis, len(scales))
	heads := make([]columnView, len(scales))
	for i, c := range e.Columns {
		var values []float64
		for _, cell := range r.Cells {
			if i < len(cell.Values) {
				values = append(values, extent(cell.Values[i])...)
			}
		}
		heads[i] = columnView{Title: c.Title, Unit: scales[i].unit}
		if a, ok := axisFor(values...); ok {
			axes[i], heads[i].Log = a, a.log
			heads[i].Lo, heads[i].Hi = number(slices.Min(values)/scales[i].per), number(slices.Max(values)/scales[i].per)
		}
	}
	for _, name := range levelNames(r) {
		t := tableView{Level: level(e, name)}
		kept := keptColumns(r, name)
		for _, i := range kept {
			t.Columns = append(t.Columns, heads[i])
		}
		for _, c := range r.Cells {
			if c.Level == name {
				t.Rows = append(t.Rows, rowViewOf(r, c, scales, axes, kept))
			}
		}
		v.Tables = append(v.Tables, t)
	}
}

func rowViewOf(r verdict.Result, c verdict.Cell, scales []scale, axes []axis, kept []int) rowView {
	plain := rowOf(r, c, scales, kept)
	row := rowView{Variant: c.Variant, Note: plain.note, Control: plain.marked()}
	if i := slices.Index(r.Run.Experiment.VariantNames(), c.Variant); i >= 0 {
		row.Color, row.About = i%palette, r.Run.Experiment.Variants[i].About
	}
	for _, i := range kept {
		cell := cellView{Value: "–"}
		if i < len(c.Values) {
			cell = cellView{scales[i].value(c.Values[i]), scales[i].interval(c.Values[i]), axes[i].dot(c.Values[i])}
		}
		row.Cells = append(row.Cells, cell)
	}
	return row
}

func sweepOf(r verdict.Result, s verdict.Sweep) sweepView {
	v := sweepView{Title: s.Title, Level: level(r.Run.Experiment, s.Level), Answer: sweepLine(s)}
	unit := ""
	if i := slices.IndexFunc(r.Run.Experiment.Sweeps, func(of bench.Sweep) bool { return of.Title == s.Title }); i >= 0 {
		unit = unitOf("", r.Run.Experiment.Sweeps[i].Of)
	}
	for _, p := range s.Points {
		v.Points = append(v.Points, pointView{exact(p.X), scaleOf(unit, p.Value).spell(p.Value), p.Enough})
	}
	return v
}

func timelineOf(t *chartTrial, on bool) timelineView {
	v := timelineView{V: t.V, L: t.L, Name: trialName(t.result), Void: t.result.Void, Findings: t.source.Findings, On: on}
	a := axis{lo: 0, hi: max(float64(t.End), 1e-9)}
	place := func(s chartSpan) (at, width, span string) {
		from, to := a.at(float64(s.From)), a.at(float64(s.To))
		return percent(from), percent(to - from), number(float64(s.From)) + "–" + number(float64(s.To)) + " s"
	}
	for i, p := range t.source.Phases {
		pv := phaseView{Name: p.Name, Load: "no load", Judged: p.Judged}
		pv.At, pv.Width, pv.Span = place(t.Phases[i])
		switch {
		case p.Users > 0:
			pv.Load = plural(p.Users, "user")
		case p.RateS > 0:
			pv.Load = number(p.RateS) + "/s"
		}
		v.Phases = append(v.Phases, pv)
		for _, f := range p.Faults {
			fv := faultView{Fault: instance(f), Landed: f.Landed.String(), Effect: f.Effect.String(), Unseen: !f.Landed.Seen}
			fv.At, fv.Width, fv.Span = place(t.Faults[len(v.Faults)])
			v.Faults = append(v.Faults, fv)
		}
	}
	for _, e := range t.events {
		v.Events = append(v.Events, eventView{fmt.Sprintf("%.2f", e.At.Seconds()), strings.ReplaceAll(e.Kind, "_", " "), e.Name, e.Detail})
	}
	return v
}

// instance names a fault, and which time of which entry of a schedule it is.
func instance(f record.FaultSpan) string {
	if f.Entry == "" {
		return f.Fault
	}
	return fmt.Sprintf("%s (%s, time %d)", f.Fault, f.Entry, f.Number+1)
}

// outcomes are the columns of the ledger, after scheduled.
func ledgerOf(t verdict.Trial) ledgerView {
	v := ledgerView{Name: trialName(t), Void: t.Void, Off: !t.Ledger.Balances()}
	if t.Status != record.Complete {
		v.Status = string(t.Status)
	}
	l := t.Ledger
	for _, n := range []int64{l.Scheduled, l.OK, l.Degraded, l.Refused, l.Failed, l.Unsure, l.Unsent} {
		v.Cells = append(v.Cells, group(fmt.Sprint(n)))
	}
	return v
}

func generatorOf(t *chartTrial) generatorView {
	v := generatorView{Name: trialName(t.result)}
	for _, stat := range []string{"p50", "p99", "max"} {
		lag := t.lag(stat)
		text := "–"
		if lag.OK {
			text = millis(lag.V)
		}
		v.Cells = append(v.Cells, text)
	}
	g := t.source.Gen
	of := func(part float64) string {
		if g.WallS <= 0 {
			return "–"
		}
		return number(100*part/g.WallS) + " %"
	}
	v.Cells = append(v.Cells, of(g.CPUS), of(g.StealS), of(g.IdleS), millis(g.GCPauseMS), number(g.MaxRSSMB)+" MB")
	return v
}

// millis is a duration in ms, in the unit that suits it.
func millis(v float64) string { return scaleFor("ms", v).spell(verdict.Estimate{Value: v}) }
