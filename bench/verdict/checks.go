package verdict

import (
	"fmt"

	"shakedown/bench"
	"shakedown/bench/measure"
)

// check judges one check, and the same check on the control where the check asks for that.
func (j *judge) check(c bench.Check) Check {
	on := j.weigh(c)
	out := Check{Check: c, Verdict: on.verdict, Reason: reason(c, on), Effect: on.effect, Of: on.of, Versus: on.versus}
	if !c.ControlFails {
		return out
	}
	control := j.weigh(j.onControl(c))
	out.Control = &control.verdict
	// A failing check needs no control: only a pass can be vacuous.
	if on.verdict != bench.Holds {
		return out
	}
	switch control.verdict {
	case bench.Holds:
		out.Verdict = bench.Unknown
		out.Reason += "; the control passes too, so this proves nothing: " + reason(c, control)
	case bench.Unknown:
		out.Verdict = bench.Unknown
		out.Reason += "; whether the control fails is unknown, so this proves nothing: " + reason(c, control)
	}
	return out
}

// weigh pairs the two sides of a check by repeat, since the trials of one repeat ran next to each other, and sets
// their effect against the bound.
func (j *judge) weigh(c bench.Check) judged {
	w := judged{ofQuery: j.whole(c.Of)}
	sides := []bench.Query{w.ofQuery}
	if c.Versus != nil {
		w.versusQuery = j.whole(*c.Versus)
		sides = append(sides, w.versusQuery)
	}
	for _, q := range sides {
		if why := j.unasked(q); why != "" {
			w.why = why
			w.effect.Missing, w.of.Missing = true, true
			return w
		}
	}
	order, of := j.repeats(w.ofQuery)
	effects := of
	if c.Versus != nil {
		var versus []datum
		effects, of, versus = pair(order, of, j.values[w.versusQuery], c.By)
		e := estimate(versus, arithmetic, j.run.Seed)
		w.versus = &e
	}
	w.of = estimate(of, arithmetic, j.run.Seed)
	w.effect = estimate(effects, scaleOf(c), j.run.Seed)
	decide(c, &w, effects)
	if w.effect.Missing && w.why == "" {
		w.why = "no repeat has a valid trial on both sides"
	}
	return w
}

// pair compares the two sides repeat by repeat, and returns the effects and the two sides of the repeats that have both.
func pair(order []int, of []datum, values map[int]measure.Value, by bench.Against) (effects, ofs, versus []datum) {
	for i, r := range order {
		v, ok := values[r]
		if !ok {
			continue
		}
		d := datumOf(v)
		effects, ofs, versus = append(effects, compare(of[i], d, by)), append(ofs, of[i]), append(versus, d)
	}
	return effects, ofs, versus
}

// unasked says why a query could not be answered by any trial.
func (j *judge) unasked(q bench.Query) string {
	at := place(q.Variant, q.Level)
	if j.run.Quick && !j.has(q) {
		return at + " is not part of this run, which is a quick one"
	}
	if err := measure.Validate(q, j.run.Experiment); err != nil {
		return err.Error()
	}
	switch t := j.cells[cell{q.Variant, q.Level}]; {
	case q.Variant == "":
		return "the query names no variant"
	case t.valid > 0:
		return ""
	case t.void > 0:
		return fmt.Sprintf("no trial of %s is valid: %s", at, t.reason)
	}
	return at + " was not run"
}

// has says whether the variant and the level that a query names are in the experiment as it was run.
func (j *judge) has(q bench.Query) bool {
	_, variant := j.run.Experiment.Variant(q.Variant)
	_, level := j.run.Experiment.Level(q.Level)
	return (q.Variant == "" || variant) && (q.Level == "" || level)
}
