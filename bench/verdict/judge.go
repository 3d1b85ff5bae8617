package verdict

import (
	"cmp"
	"fmt"
	"slices"

	"shakedown/bench"
	"shakedown/bench/check"
	"shakedown/bench/measure"
	"shakedown/bench/record"
)

// Judge says what a run comes to. It loads the n trials one at a time and keeps only their values, so that a run may
// be larger than memory. It fails when a trial cannot be loaded; everything else that is wrong with a run is said in
// the Result. The order of the trials does not matter.
func Judge(run record.Run, load func(i int) (record.Data, error), n int) (Result, error) {
	j := newJudge(run)
	for i := range n {
		data, err := load(i)
		if err != nil {
			return Result{}, fmt.Errorf("judging run %s: trial %d: %w", run.ID, i, err)
		}
		j.hear(data)
	}
	return j.result(n), nil
}

// cell is a variant at a level.
type cell struct{ variant, level string }

// tally is what became of a cell's trials.
type tally struct {
	valid, void int
	reason      string // why the first void one is
}

// judge collects the answers of all trials to all queries of an experiment.
type judge struct {
	run      record.Run
	queries  map[cell][]bench.Query                // what is asked of a cell's trials
	values   map[bench.Query]map[int]measure.Value // by repeat
	cells    map[cell]tally
	trials   []Trial
	complete int
	findings []string
	audits   []string
	heard    []example
}

func newJudge(run record.Run) *judge {
	j := &judge{
		run: run, queries: map[cell][]bench.Query{}, values: map[bench.Query]map[int]measure.Value{}, cells: map[cell]tally{},
	}
	for _, c := range run.Experiment.Checks {
		j.ask(c.Of)
		if c.Versus != nil {
			j.ask(*c.Versus)
		}
		if c.ControlFails {
			on := j.onControl(c)
			j.ask(on.Of)
			if on.Versus != nil {
				j.ask(*on.Versus)
			}
		}
	}
	for _, l := range run.Experiment.LevelList() {
		for _, v := range run.Experiment.Variants {
			for _, c := range run.Experiment.Columns {
				j.ask(inCell(c.Of, cell{v.Name, l.Name}))
			}
			for _, s := range run.Experiment.Sweeps {
				j.ask(inCell(s.Of, cell{v.Name, l.Name}))
			}
		}
	}
	return j
}

func inCell(q bench.Query, c cell) bench.Query {
	q.Variant, q.Level = c.variant, c.level
	return q
}

// whole names the variant and the level that a query leaves out, where there is only one.
func (j *judge) whole(q bench.Query) bench.Query {
	if vs := j.run.Experiment.Variants; q.Variant == "" && len(vs) == 1 {
		q.Variant = vs[0].Name
	}
	if ls := j.run.Experiment.Levels; q.Level == "" && len(ls) == 1 {
		q.Level = ls[0].Name
	}
	return q
}

func (j *judge) ask(q bench.Query) {
	q = j.whole(q)
	if _, asked := j.values[q]; asked {
		return
	}
	j.values[q] = map[int]measure.Value{}
	at := cell{q.Variant, q.Level}
	j.queries[at] = append(j.queries[at], q)
}

// onControl is the check with the control in place of the variant that it speaks of. A comparison within that variant
// stays within one variant; a comparison with another stays with the other.
func (j *judge) onControl(c bench.Check) bench.Check {
	if len(j.run.Experiment.Variants) == 0 {
		return c
	}
	variant, control := j.whole(c.Of).Variant, j.run.Experiment.Variants[0].Name
	c.Of.Variant = control
	if c.Versus != nil && j.whole(*c.Versus).Variant == variant {
		versus := *c.Versus
		versus.Variant = control
		c.Versus = &versus
	}
	return c
}

// hear takes down one trial.
func (j *judge) hear(data record.Data) {
	t := data.Trial
	void := check.Validity(j.run, data)
	j.trials = append(j.trials, Trial{
		Index: t.Index, Variant: t.Variant, Level: t.Level, Repeat: t.Repeat, Status: t.Status, Void: void, Ledger: t.Ledger,
	})
	for _, f := range t.Findings {
		j.findings = append(j.findings, fmt.Sprintf("trial %d (%s, repeat %d): %s", t.Index, place(t.Variant, t.Level), t.Repeat+1, f))
	}
	if t.Audit != nil {
		j.heard = append(j.heard, exampleOf(t))
		if line := auditLine(t); line != "" {
			j.audits = append(j.audits, line)
		}
	}
	if t.Status == record.Complete && !data.Truncated {
		j.complete++
	}
	at := cell{t.Variant, t.Level}
	heard := j.cells[at]
	if len(void) > 0 {
		heard.void++
		heard.reason = cmp.Or(heard.reason, void[0])
		j.cells[at] = heard
		return
	}
	heard.valid++
	j.cells[at] = heard
	trial := measure.New(j.run, data)
	for _, q := range j.queries[at] {
		j.values[q][t.Repeat] = trial.Value(q)
	}
}

func (j *judge) result(n int) Result {
	r := Result{
		SchemaVersion: SchemaVersion, Run: j.run, Status: j.run.Status, Claims: []Claim{}, Cells: j.table(), Sweeps: j.sweeps(),
		Findings: j.findings, Audits: j.audits, Examples: j.examples(),
	}
	slices.SortStableFunc(j.trials, func(a, b Trial) int { return cmp.Compare(a.Index, b.Index) })
	r.Trials = append([]Trial{}, j.trials...)
	r.Reasons = j.void(n)
	r.Void = len(r.Reasons) > 0
	r.Claims = append(r.Claims, j.claims()...)
	r.AsExpected = !r.Void && len(r.Claims) > 0
	for _, c := range r.Claims {
		r.AsExpected = r.AsExpected && c.AsExpected
	}
	return r
}

// void says why no verdict may be drawn from the run.
func (j *judge) void(n int) []string {
	var reasons []string
	planned := j.run.Planned
	switch {
	case n == 0:
		reasons = append(reasons, "no trial was run")
	case n < planned || j.run.Status != record.Complete && j.complete < planned:
		reasons = append(reasons, fmt.Sprintf("the run is %s: %d of %d trials are complete", j.run.Status, j.complete, planned))
	}
	for _, c := range j.run.Experiment.Checks {
		sides := []bench.Query{c.Of}
		if c.Versus != nil {
			sides = append(sides, *c.Versus)
		}
		if c.ControlFails {
			sides = append(sides, j.onControl(c).Of)
		}
		for _, q := range sides {
			q = j.whole(q)
			t := j.cells[cell{q.Variant, q.Level}]
			if t.valid > 0 || t.void == 0 {
				continue
			}
			text := fmt.Sprintf("no trial of %s is valid; the first: %s", place(q.Variant, q.Level), t.reason)
			if !slices.Contains(reasons, text) {
				reasons = append(reasons, text)
			}
		}
	}
	return reasons
}

// table is a row for every variant and level that ran: level by level, the variants in the experiment's order.
func (j *judge) table() []Cell {
	rows := []Cell{}
	for _, l := range j.run.Experiment.LevelList() {
		for _, v := range j.run.Experiment.Variants {
			at := cell{v.Name, l.Name}
			t, ran := j.cells[at]
			if !ran {
				continue
			}
			row := Cell{Variant: v.Name, Level: l.Name, Values: []Estimate{}, Valid: t.valid, Void: t.void}
			for _, c := range j.run.Experiment.Columns {
				if !c.At(l.Name) {
					row.Values = append(row.Values, Estimate{Missing: true})
					continue
				}
				_, data := j.repeats(inCell(c.Of, at))
				row.Values = append(row.Values, estimate(data, arithmetic, j.run.Seed))
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// repeats are the repeats that answered a query, in order, and what they said.
func (j *judge) repeats(q bench.Query) ([]int, []datum) {
	values := j.values[j.whole(q)]
	var order []int
	for r := range values {
		order = append(order, r)
	}
	slices.Sort(order)
	data := make([]datum, len(order))
	for i, r := range order {
		data[i] = datumOf(values[r])
	}
	return order, data
}
