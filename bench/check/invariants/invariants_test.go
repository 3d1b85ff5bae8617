package invariants

import (
	"strings"
	"testing"

	"shakedown/bench"
)

// txn reads a transaction: "r 1=10 w 2=20", with ! when it failed and ? when nobody knows.
func txn(name, text string) Txn {
	t := Txn{Name: name, Outcome: bench.OK}
	into := &t.Reads
	for word := range strings.FieldsSeq(text) {
		switch word {
		case "r":
			into = &t.Reads
		case "w":
			into = &t.Writes
		case "!":
			t.Outcome = bench.Failed
		case "?":
			t.Outcome = bench.Unsure
		default:
			*into = append(*into, cell(word))
		}
	}
	return t
}

func cell(word string) Cell {
	number := func(s string) (n int64) {
		for _, c := range s {
			n = n*10 + int64(c-'0')
		}
		return n
	}
	k, v, _ := strings.Cut(word, "=")
	return Cell{number(k), number(v)}
}

func history(texts ...string) (h []Txn) {
	for i, text := range texts {
		h = append(h, txn("T"+string(rune('1'+i)), text))
	}
	return h
}

func final(text string) (cs []Cell) {
	for word := range strings.FieldsSeq(text) {
		cs = append(cs, cell(word))
	}
	return cs
}

func TestKnownHistories(t *testing.T) {
	bank := func(end string, texts ...string) Judgement { return Bank(history(texts...), 2, 100, final(end)) }
	onCall := func(end string, texts ...string) Judgement { return OnCall(history(texts...), final(end)) }
	fork := func(texts ...string) Judgement { return LongFork(history(texts...)) }
	count := func(end string, texts ...string) Judgement { return Counters(history(texts...), final(end)) }
	for name, tc := range map[string]struct {
		j          Judgement
		violations int
		says       string
	}{
		"bank, kept":                        {bank("1=40 2=60", "r 1=50 2=50", "r 1=50 2=50 w 1=40 2=60", "r 1=40 2=60"), 0, ""},
		"bank, a read between":              {bank("1=40 2=60", "r 1=40 2=50"), 1, "T1 read all accounts, 1=40 2=50: 90 in all, not 100"},
		"bank, a read that was taken back":  {bank("1=50 2=50", "r 1=40 2=50 !"), 0, ""},
		"bank, a read nobody was told of":   {bank("1=50 2=50", "r 1=40 2=50 ?"), 0, ""},
		"bank, money made":                  {bank("1=90 2=60", "r 1=50 2=50"), 1, "in the end there are 1=90 2=60: 150 in all"},
		"bank, lost and seen":               {bank("1=40 2=50", "r 1=40 2=50", "r 1=40 2=50"), 3, "90 in all"},
		"bank, part of the accounts":        {bank("1=50 2=50", "r 1=40"), 0, ""},
		"on call, one of them":              {onCall("2=0 3=1", "r 2=1 3=1 w 2=0", "r 2=0 3=1"), 0, ""},
		"on call, write skew that was seen": {onCall("2=0 3=0", "r 2=1 3=1 w 2=0", "r 3=1 2=1 w 3=0", "r 2=0 3=0"), 2, "T3 read 2=0 3=0: nobody is on call"},
		"on call, nobody in the end":        {onCall("2=0 3=0 4=1 5=0", "r 2=1 3=1 w 2=0"), 1, "neither 2 nor 3 is on call"},
		"on call, seen and then aborted":    {onCall("2=1 3=0", "r 2=0 3=0 !"), 0, ""},
		"fork, one order":                   {fork("w 2=1", "w 3=1", "r 2=1 3=0", "r 3=0 2=1", "r 2=1 3=1", "r 2=0 3=0"), 0, ""},
		"fork, two orders":                  {fork("w 2=1", "w 3=1", "r 2=1 3=0", "r 3=1 2=0"), 1, "T3 read 2=1 3=0, and T4 read 3=1 2=0: each saw"},
		"fork, counted once a pair":         {fork("r 2=1 3=0", "r 3=1 2=0", "r 2=1 3=0", "r 2=0 3=1"), 1, "each saw"},
		"fork, of different pairs":          {fork("r 2=1 3=0", "r 5=1 4=0"), 0, ""},
		"fork, one was aborted":             {fork("r 2=1 3=0", "r 3=1 2=0 !"), 0, ""},
		"counter, all":                      {count("7=2 8=1", "r 7=0 w 7=1", "r 7=1 w 7=2", "r 8=0 w 8=1"), 0, ""},
		"counter, lost":                     {count("7=1", "r 7=0 w 7=1", "r 7=0 w 7=1"), 1, "key 7 was counted up 2 times, and is 1: 1 updates are lost; T1 and T2 both read 7=0 and wrote 7=1"},
		"counter, three lost":               {count("7=1", "r 7=0 w 7=1", "r 7=0 w 7=1", "r 7=0 w 7=1", "r 7=0 w 7=1"), 3, "3 updates are lost"},
		"counter, unsure and there":         {count("7=2", "r 7=0 w 7=1", "r 7=1 w 7=2 ?"), 0, ""},
		"counter, unsure and not":           {count("7=1", "r 7=0 w 7=1", "r 7=1 w 7=2 ?"), 0, ""},
		"counter, aborted and there":        {count("7=2", "r 7=0 w 7=1", "r 7=1 w 7=2 !"), 1, "and is 2"},
		"counter, all gone":                 {count("", "r 7=0 w 7=1"), 1, "is 0"},
	} {
		if tc.j.Violations != tc.violations || !strings.Contains(strings.Join(tc.j.Examples, "\n"), tc.says) {
			t.Errorf("%s: %d violations, %q; want %d and %q", name, tc.j.Violations, tc.j.Examples, tc.violations, tc.says)
		}
		if want := map[bool]bench.Verdict{true: bench.Fails, false: bench.Holds}[tc.violations > 0]; tc.j.Judged > 0 && tc.j.Verdict() != want {
			t.Errorf("%s: %v, want %v", name, tc.j.Verdict(), want)
		}
	}
}

func TestWhereNothingWasJudgedNothingIsPassed(t *testing.T) {
	for name, j := range map[string]Judgement{"on call": OnCall(nil, nil), "fork": LongFork(history("r 2=1", "w 3=1")), "counter": Counters(history("r 7=1"), nil)} {
		if j.Verdict() != bench.Unknown {
			t.Errorf("%s: %+v", name, j)
		}
	}
}

func TestAFewExamplesAreKept(t *testing.T) {
	h := history("r 1=1 2=1", "r 1=1 2=1", "r 1=1 2=1", "r 1=1 2=1", "r 1=1 2=1")
	if j := Bank(h, 2, 100, final("1=50 2=50")); j.Violations != 5 || len(j.Examples) != examples {
		t.Errorf("%+v", j)
	}
}
