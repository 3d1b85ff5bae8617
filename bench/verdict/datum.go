package verdict

import (
	"shakedown/bench"
	"shakedown/bench/measure"
)

// side says on which side of a datum's value the truth may lie.
type side uint8

const (
	exact   side = iota
	atLeast      // the truth is the value or more
	atMost       // the truth is the value or less
)

// datum is what one repeat says.
type datum struct {
	v      float64
	n      int // the least number of observations behind it
	side   side
	beyond bool // a number above zero over zero: more than any bound, whatever v is
	why    string
}

// known says whether there is anything to go by.
func (d datum) known() bool { return d.why == "" }

func datumOf(v measure.Value) datum {
	d := datum{v: v.V, n: v.N}
	switch {
	case !v.OK && v.Why == "":
		d.why = "no data"
	case !v.OK:
		d.why = v.Why
	case v.Censored:
		d.side = atLeast
	}
	return d
}

// compare is of ÷ versus or of − versus, within one repeat.
func compare(of, versus datum, by bench.Against) datum {
	d := datum{n: min(of.n, versus.n)}
	switch {
	case !of.known():
		d.why = of.why
	case !versus.known():
		d.why = versus.why
	case of.side != exact && versus.side != exact:
		d.why = "both sides are known as bounds only"
	case by == bench.Difference:
		d.v, d.side = of.v-versus.v, of.side
		if versus.side == atLeast {
			d.side = atMost
		}
	default:
		ratio(of, versus, &d)
	}
	if !finite(d.v) {
		return datum{n: d.n, why: "the comparison is no finite number"}
	}
	return d
}

// ratio sets d to of ÷ versus.
func ratio(of, versus datum, d *datum) {
	switch {
	case versus.v == 0 && versus.side != exact:
		d.why = "the other side is only known to be at least 0"
	case versus.v == 0 && of.v == 0:
		d.why = "0 ÷ 0 says nothing"
	case versus.v == 0 && of.v < 0, (of.v < 0 || versus.v < 0) && (of.side != exact || versus.side != exact):
		d.why = "a ratio of negative numbers says nothing here"
	case versus.v == 0:
		d.v, d.side, d.beyond = of.v, atLeast, true
	default:
		d.v, d.side = of.v/versus.v, of.side
		if versus.side == atLeast {
			d.side = atMost
		}
	}
}
