package listappend

import (
	"cmp"
	"fmt"
	"slices"
)

// A place is one operation of one transaction.
type place struct {
	txn int32
	op  int32
}

// A keyOrder is what is known of one key.
type keyOrder struct {
	key    int64
	list   []int64         // the longest that was read: the order of its values' appends
	reader int32           // of list
	wrote  map[int64]place // by value
	at     map[int64]int32 // by value, its index in list
	unseen []unseen        // committed appends that nobody read, the first of each transaction; in the order of transactions
	chain  int32           // of the graph: the first junction for unseen; 0 is none yet
	sound  int             // so many of list were each appended once, by transactions that did not abort
}

// An unseen append came after all that was read of its key.
type unseen struct {
	txn, op int32
	value   int64
}

// orders are the keys of a history, and all that can be said without a graph.
type orders struct {
	h    History
	keys []*keyOrder
	of   map[int64]*keyOrder
	most int // findings of one sort
	out  []Finding
	had  map[Anomaly]int
	// real is whether a transaction took place: it committed, or somebody saw what it appended.
	real []bool
}

// A BadHistoryError says that a history cannot be judged: two appends of the same value to a key tell nothing apart.
type BadHistoryError struct{ Text string }

func (e *BadHistoryError) Error() string { return "history: " + e.Text }

func newOrders(h History, most int) (*orders, error) {
	o := &orders{h: h, of: map[int64]*keyOrder{}, most: most, had: map[Anomaly]int{}, real: make([]bool, len(h))}
	if err := o.collect(); err != nil {
		return nil, err
	}
	for t := range h {
		if h[t].committed() {
			o.real[t] = true
			o.judge(int32(t))
		}
	}
	o.index()
	for t := range h {
		if h[t].committed() {
			o.judgeReads(int32(t))
		}
	}
	o.leftOver()
	return o, nil
}

// key is what is known of a key, from now on.
func (o *orders) key(key int64) *keyOrder {
	k, ok := o.of[key]
	if !ok {
		k = &keyOrder{key: key, reader: -1, wrote: map[int64]place{}}
		o.of[key] = k
		o.keys = append(o.keys, k)
	}
	return k
}

// collect finds who wrote what, and the longest read of each key.
func (o *orders) collect() error {
	for t := range o.h {
		txn := &o.h[t]
		for i, op := range txn.Ops {
			k := o.key(op.Key)
			if op.Reads {
				if txn.committed() && len(op.List) > len(k.list) {
					k.list, k.reader = op.List, int32(t)
				}
				continue
			}
			if w, ok := k.wrote[op.Value]; ok {
				return &BadHistoryError{fmt.Sprintf("%s and %s both append %d to %d", o.h.name(w.txn), o.h.name(int32(t)), op.Value, op.Key)}
			}
			k.wrote[op.Value] = place{int32(t), int32(i)}
		}
	}
	return nil
}

// index numbers the values of each key's order. What was read was appended, whatever its writer was told.
func (o *orders) index() {
	for _, k := range o.keys {
		k.at = make(map[int64]int32, len(k.list))
		sound := true
		for i, v := range k.list {
			_, twice := k.at[v]
			w, ok := k.wrote[v]
			if ok = ok && !o.h[w.txn].aborted(); ok {
				o.real[w.txn] = true
			}
			if sound = sound && ok && !twice; sound {
				k.sound = i + 1
			}
			if !twice {
				k.at[v] = int32(i)
			}
		}
	}
}

// leftOver finds the committed appends that nobody read: they came after all that was.
func (o *orders) leftOver() {
	for _, k := range o.keys {
		for v, w := range k.wrote {
			if _, seen := k.at[v]; !seen && o.h[w.txn].committed() {
				k.unseen = append(k.unseen, unseen{w.txn, w.op, v})
			}
		}
		slices.SortFunc(k.unseen, func(a, b unseen) int { return cmp.Or(int(a.txn-b.txn), int(a.op-b.op)) })
		k.unseen = slices.CompactFunc(k.unseen, func(a, b unseen) bool { return a.txn == b.txn })
	}
}

// found keeps a finding, unless there are enough of its sort.
func (o *orders) found(a Anomaly, txns []int32, why ...string) {
	if o.had[a]++; o.had[a] > o.most {
		return
	}
	o.out = append(o.out, finding(o.h, a, txns, why))
}

func finding(h History, a Anomaly, txns []int32, why []string) Finding {
	f := Finding{Anomaly: a, Txns: txns, Why: why}
	for _, t := range txns {
		f.txns = append(f.txns, h.name(t)+": "+h[t].String())
	}
	return f
}

// judge compares a transaction's reads with its own appends: those before a read must be the end of what was read, at any level. That
// another's appends come in between two reads is for the cycles to find.
func (o *orders) judge(t int32) {
	own := map[int64][]int64{}
	for i, op := range o.h[t].Ops {
		if !op.Reads {
			own[op.Key] = append(own[op.Key], op.Value)
			continue
		}
		mine := own[op.Key]
		if n := len(op.List) - len(mine); n < 0 || !slices.Equal(op.List[n:], mine) {
			o.found(Internal, []int32{t}, fmt.Sprintf("%s had appended %s to list %d and then read %s",
				o.h.name(t), listText(mine), op.Key, listText(op.List)))
		}
		if i := o.ownLater(t, op, i); i >= 0 {
			o.found(Internal, []int32{t}, fmt.Sprintf("%s read %d of list %d before it appended it", o.h.name(t), o.h[t].Ops[i].Value, op.Key))
		}
	}
}

// ownLater is an append of the transaction after operation i that the read of operation i has seen; -1 is none.
func (o *orders) ownLater(t int32, read Op, i int) int {
	for j := i + 1; j < len(o.h[t].Ops); j++ {
		if later := o.h[t].Ops[j]; !later.Reads && later.Key == read.Key && slices.Contains(read.List, later.Value) {
			return j
		}
	}
	return -1
}

// judgeReads looks at what a committed transaction's reads have seen.
func (o *orders) judgeReads(t int32) {
	for _, op := range o.h[t].Ops {
		if !op.Reads {
			continue
		}
		k := o.of[op.Key]
		n := firstDifference(op.List, k.list)
		if n >= 0 {
			o.found(Incompatible, []int32{t, k.reader}, fmt.Sprintf("%s read %d as %s and %s as %s: they differ from value %d on",
				o.h.name(t), op.Key, listText(op.List), o.h.name(k.reader), listText(k.list), n+1))
		}
		if n >= 0 || len(op.List) > k.sound {
			o.judgeValues(t, op, k)
		}
		if len(op.List) > 0 {
			o.judgeLast(t, op, k.wrote)
		}
	}
}

// firstDifference is where a list stops being the beginning of another; -1 is nowhere.
func firstDifference(list, whole []int64) int {
	for i, v := range list {
		if v != whole[i] {
			return i
		}
	}
	return -1
}

// judgeValues looks at every value of a read.
func (o *orders) judgeValues(t int32, op Op, k *keyOrder) {
	had := make(map[int64]bool, len(op.List))
	for i, v := range op.List {
		w, ok := k.wrote[v]
		switch {
		case had[v]:
			o.found(Garbage, []int32{t}, fmt.Sprintf("%s read %d twice in list %d", o.h.name(t), v, op.Key))
		case !ok:
			o.found(Garbage, []int32{t}, fmt.Sprintf("%s read %d in list %d, which nobody appended", o.h.name(t), v, op.Key))
		case o.h[w.txn].aborted():
			o.found(G1a, []int32{w.txn, t}, fmt.Sprintf("%s appended %d to %d and aborted", o.h.name(w.txn), v, op.Key),
				fmt.Sprintf("%s read it: %s", o.h.name(t), listText(op.List[:i+1])))
		}
		had[v] = true
	}
}

// judgeLast: the last value of a list must be the last that its transaction appended.
func (o *orders) judgeLast(t int32, op Op, wrote map[int64]place) {
	v := op.List[len(op.List)-1]
	w, ok := wrote[v]
	if !ok || w.txn == t {
		return
	}
	for _, later := range o.h[w.txn].Ops[w.op+1:] {
		if !later.Reads && later.Key == op.Key {
			o.found(G1b, []int32{w.txn, t}, fmt.Sprintf("%s appended %d to %d and then %d", o.h.name(w.txn), v, op.Key, later.Value),
				fmt.Sprintf("%s read it in between: %s", o.h.name(t), listText(op.List)))
			return
		}
	}
}
