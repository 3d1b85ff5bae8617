package invariants

import (
	"slices"

	"shakedown/bench"
)

// Bank judges transfers between accounts, and reads of all of them: whoever reads all accounts in one transaction, and whoever looks in the
// end, finds the sum that was there at first. final is what is there in the end; unsure transfers change nothing of the sum.
func Bank(history []Txn, accounts int, sum int64, final []Cell) Judgement {
	var j Judgement
	for _, t := range history {
		if !t.committed() || len(t.Reads) < accounts {
			continue
		}
		j.Judged++
		if got := total(t.Reads); got != sum {
			j.violation("%s read all accounts, %s: %d in all, not %d", t.Name, cells(t.Reads), got, sum)
		}
	}
	j.Judged++
	if got := total(final); got != sum {
		j.violation("in the end there are %s: %d in all, not %d", cells(final), got, sum)
	}
	return j
}

func total(cs []Cell) (sum int64) {
	for _, c := range cs {
		sum += c.Value
	}
	return sum
}

// OnCall judges pairs of doctors, 2n and 2n+1, of whom one has to be on call (A. Fekete et al., "Making Snapshot Isolation Serializable",
// TODS 30(2), 2005): a transaction that reads both, and whoever looks in the end, finds a 1.
func OnCall(history []Txn, final []Cell) Judgement {
	var j Judgement
	for _, t := range history {
		if len(t.Reads) < 2 || !t.committed() {
			continue
		}
		a, b := t.Reads[0], t.Reads[1]
		if a.Key/2 != b.Key/2 || a.Key == b.Key {
			continue
		}
		j.Judged++
		if a.Value == 0 && b.Value == 0 {
			j.violation("%s read %s: nobody is on call", t.Name, cells(t.Reads[:2]))
		}
	}
	on, pairs := map[int64]int64{}, []int64{}
	for _, c := range final {
		if _, seen := on[c.Key/2]; !seen {
			pairs = append(pairs, c.Key/2)
		}
		on[c.Key/2] += c.Value
	}
	for _, pair := range pairs {
		j.Judged++
		if on[pair] == 0 {
			j.violation("in the end neither %d nor %d is on call", 2*pair, 2*pair+1)
		}
	}
	return j
}

// LongFork judges pairs of keys, 2n and 2n+1, that are written once each, from 0 to 1, by different transactions, and read by others: no
// two readers may have seen the two writes in different orders (A. Adya's G-SI of two reads; "parallel snapshot isolation", Y. Sovran et
// al., SOSP 2011).
func LongFork(history []Txn) Judgement {
	var j Judgement
	type orders struct{ even, odd *Txn } // readers that saw only the write to 2n, or to 2n+1
	seen := map[int64]*orders{}
	for i := range history {
		t := &history[i]
		if len(t.Reads) < 2 || !t.committed() {
			continue
		}
		pair := t.Reads[0].Key / 2
		even, readEven := t.read(2 * pair)
		odd, readOdd := t.read(2*pair + 1)
		if !readEven || !readOdd {
			continue
		}
		j.Judged++
		o := seen[pair]
		if o == nil {
			o = &orders{}
			seen[pair] = o
		}
		switch {
		case even == 1 && odd == 0 && o.even == nil:
			o.even = t
		case even == 0 && odd == 1 && o.odd == nil:
			o.odd = t
		default:
			continue
		}
		if o.even != nil && o.odd != nil {
			j.violation("%s read %s, and %s read %s: each saw the write that the other did not", o.even.Name, cells(o.even.Reads), o.odd.Name, cells(o.odd.Reads))
		}
	}
	return j
}

// Counters judges transactions that read a key and write one more: in the end a key has as many as were acknowledged, and at most as many
// more as nobody knows of. final is what is there in the end; a key that is not there is 0.
func Counters(history []Txn, final []Cell) Judgement {
	acked, unsure, shown := map[int64]int64{}, map[int64]int64{}, map[int64][]*Txn{}
	var keys []int64
	var j Judgement
	for i := range history {
		t := &history[i]
		if len(t.Writes) == 0 {
			continue
		}
		k := t.Writes[0].Key
		if acked[k]+unsure[k] == 0 {
			keys = append(keys, k)
		}
		switch {
		case t.committed():
			j.Judged++
			acked[k]++
			shown[k] = append(shown[k], t)
		case t.Outcome == bench.Unsure:
			unsure[k]++
		}
	}
	has := map[int64]int64{}
	for _, c := range final {
		has[c.Key] = c.Value
	}
	slices.Sort(keys)
	for _, k := range slices.Compact(keys) {
		if lost := acked[k] - has[k]; lost > 0 {
			j.Violations += int(lost) - 1
			j.violation("key %d was counted up %d times, and is %d: %d updates are lost%s", k, acked[k], has[k], lost, twice(shown[k]))
		}
		if more := has[k] - acked[k] - unsure[k]; more > 0 {
			j.Violations += int(more) - 1
			j.violation("key %d was counted up %d times, and perhaps %d more, and is %d", k, acked[k], unsure[k], has[k])
		}
	}
	return j
}

// twice shows two that counted up from the same value.
func twice(ts []*Txn) string {
	from := map[int64]*Txn{}
	for _, t := range ts {
		if len(t.Reads) == 0 {
			continue
		}
		v := t.Reads[0].Value
		if other := from[v]; other != nil {
			return "; " + other.Name + " and " + t.Name + " both read " + cells(t.Reads[:1]) + " and wrote " + cells(t.Writes[:1])
		}
		from[v] = t
	}
	return ""
}
