package listappend

import (
	"context"
	"fmt"
)

// DefaultExamples is how many findings of a sort are kept when Options do not say.
const DefaultExamples = 3

// Options of a judgement.
type Options struct {
	Examples int // of each anomaly, at most; 0 means DefaultExamples
}

// Judge finds which anomalies a history has. Whether there are cycles is decided in time and memory proportional to the history; when
// ctx is done, what was not looked for by then is open. A *BadHistoryError says that the history says nothing.
func Judge(ctx context.Context, h History, opts Options) (*Judgement, error) {
	if opts.Examples == 0 {
		opts.Examples = DefaultExamples
	}
	o, err := newOrders(h, opts.Examples)
	if err != nil {
		return nil, err
	}
	j := &Judgement{Txns: len(h)}
	for t := range h {
		if h[t].committed() {
			j.Committed++
		}
	}
	g := newGraph(o)
	j.Open = g.findCycles(ctx, func(c []link) {
		txns, why := make([]int32, len(c)), make([]string, len(c))
		for i, l := range c {
			txns[i], why[i] = l.from, o.explain(l)
		}
		why[len(why)-1] += ": a contradiction"
		o.found(sort(c), txns, why...)
	})
	j.Findings = o.out
	return j, nil
}

// explain says why one transaction comes before the other.
func (o *orders) explain(l link) string {
	a, b := o.h.name(l.from), o.h.name(l.to)
	switch l.kind {
	case wr:
		return fmt.Sprintf("%s comes before %s, which read %d in list %d that %s appended", a, b, l.value, l.key, a)
	case rw:
		return fmt.Sprintf("%s comes before %s, for it read list %d without %d, which %s appended", a, b, l.key, l.value, b)
	default:
		k := o.of[l.key]
		for i := k.at[l.value] - 1; i >= 0; i-- { // not found for what nobody read: then it is 0
			if v := k.list[i]; k.wrote[v].txn == l.from {
				return fmt.Sprintf("%s comes before %s, which appended %d to list %d after %d, which %s appended", a, b, l.value, l.key, v, a)
			}
		}
		return fmt.Sprintf("%s comes before %s, which appended %d to list %d later", a, b, l.value, l.key)
	}
}
