package listappend

import (
	"math/rand/v2"
	"slices"
	"testing"

	"shakedown/bench"
)

// serializable tries every order of a small history's transactions: one in which each reads what those before it appended explains it.
func serializable(h History) bool {
	lists := map[int64][]int64{}
	used := make([]bool, len(h))
	var try func(left int) bool
	try = func(left int) bool {
		if left == 0 {
			return true
		}
		for t := range h {
			if used[t] {
				continue
			}
			before := map[int64][]int64{}
			for k, l := range lists {
				before[k] = slices.Clone(l)
			}
			if used[t] = true; applies(h[t], lists) && try(left-1) {
				return true
			}
			used[t] = false
			clear(lists)
			for k, l := range before {
				lists[k] = l
			}
		}
		return false
	}
	return try(len(h))
}

// applies carries out a transaction; false when one of its reads was another.
func applies(t Txn, lists map[int64][]int64) bool {
	for _, op := range t.Ops {
		if !op.Reads {
			lists[op.Key] = append(lists[op.Key], op.Value)
		} else if !slices.Equal(op.List, lists[op.Key]) {
			return false
		}
	}
	return true
}

// arbitrary is a small history whose reads saw a beginning of what one serial order gives: seldom enough for all to agree.
func arbitrary(rng *rand.Rand) History {
	h := make(History, 2+rng.IntN(4))
	lists := map[int64][]int64{}
	for t := range h {
		h[t].Outcome = bench.OK
		for range 1 + rng.IntN(3) {
			key := int64(rng.IntN(2))
			if rng.IntN(2) == 0 {
				v := int64(len(lists[key]) + 1)
				lists[key] = append(lists[key], v)
				h[t].Ops = append(h[t].Ops, Append(key, v))
				continue
			}
			list := lists[key]
			if rng.IntN(3) == 0 {
				list = list[:rng.IntN(len(list)+1)]
			}
			h[t].Ops = append(h[t].Ops, Read(key, slices.Clone(list)...))
		}
	}
	rng.Shuffle(len(h), func(i, j int) { h[i], h[j] = h[j], h[i] })
	return h
}

func TestSmallHistoriesAreSerializableWhenTryingAllOrdersSaysSo(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	fails := 0
	for range 30_000 {
		h := arbitrary(rng)
		j := judge(t, h)
		want := bench.Fails
		if serializable(h) {
			want = bench.Holds
		} else {
			fails++
		}
		if got := j.Of(Serializable); got != want {
			t.Fatalf("%v: %v, trying all orders says %v\n%v", h, got, want, j.Findings)
		}
	}
	if fails < 3000 || fails > 27_000 {
		t.Errorf("%d of 30000 are not serializable: they try one side only", fails)
	}
}
