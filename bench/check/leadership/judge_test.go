package leadership

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

const ms = time.Millisecond

func lease(id string, term int64, call, end time.Duration) Lease {
	return Lease{ID: id, Holder: strings.ToLower(id[:1]), Term: term, Call: call * ms, Return: end * ms}
}

func acted(lease string, seq int64, call, end time.Duration) Act {
	if end != Never {
		end *= ms
	}
	return Act{Lease: lease, Seq: seq, Call: call * ms, Return: end}
}

// counts are those of a judgement, for comparison.
func counts(j *Judgement) string {
	return fmt.Sprintf("stale %d, unheld %d, late %d, overlaps %d, reused %d; %s, %s", j.Stale, j.Unheld, j.Late, j.Overlaps, j.Reused, j.Role, j.Resource)
}

func TestWhatAHistoryCameTo(t *testing.T) {
	a, b := lease("A", 1, 0, 1), lease("B", 2, 100, 101)
	released := a
	released.Released = 50 * ms
	for _, tt := range []struct {
		name    string
		h       History
		want    string
		example string
	}{
		{
			"nothing happened", History{}, "stale 0, unheld 0, late 0, overlaps 0, reused 0; explained, explained", "",
		},
		{
			"one after the other",
			History{Leases: []Lease{a, b}, Acts: []Act{acted("A", 1, 10, 11), acted("A", 2, 20, 21), acted("B", 3, 110, 111)}},
			"stale 0, unheld 0, late 0, overlaps 0, reused 0; explained, explained", "",
		},
		{
			"a write of the former leader that arrives after the new one's", // the history that fencing is for
			History{Leases: []Lease{a, b}, Acts: []Act{acted("A", 1, 10, 11), acted("B", 2, 110, 111), acted("A", 3, 90, 200)}},
			"stale 1, unheld 0, late 0, overlaps 0, reused 0; unexplained, unexplained",
			"stale: the resource took act 3 of a (token 1) after it had taken act 2 of b (token 2), which was given the role later",
		},
		{
			"a former leader goes on before the new one does anything",
			History{Leases: []Lease{a, b}, Acts: []Act{acted("A", 1, 120, 121), acted("B", 2, 130, 131)}},
			"stale 0, unheld 0, late 1, overlaps 0, reused 0; unexplained, explained",
			"late: a (token 1) asked for act 1 19ms after the role had been given to b (token 2)",
		},
		{
			"in flight when the role changed hands",
			History{Leases: []Lease{a, b}, Acts: []Act{acted("A", 1, 99, 150), acted("B", 2, 140, 151)}},
			"stale 0, unheld 0, late 0, overlaps 0, reused 0; explained, explained", "",
		},
		{
			"nobody saw its answer, and the resource has it in time",
			History{Leases: []Lease{a, b}, Acts: []Act{acted("A", 1, 10, Never), acted("B", 2, 110, 111)}},
			"stale 0, unheld 0, late 0, overlaps 0, reused 0; explained, explained", "",
		},
		{
			"nobody saw its answer, and the resource took it too late",
			History{Leases: []Lease{a, b}, Acts: []Act{acted("B", 1, 110, 111), acted("A", 2, 10, Never)}},
			"stale 1, unheld 0, late 0, overlaps 0, reused 0; unexplained, unexplained", "stale: ",
		},
		{
			"without ever having had the role",
			History{Leases: []Lease{a}, Acts: []Act{acted("A", 1, 10, 11), acted("Z", 2, 20, 21)}},
			"stale 0, unheld 1, late 0, overlaps 0, reused 0; unexplained, unexplained", "without the role: act 2 of nobody's lease Z",
		},
		{
			"the role is given back in order",
			History{Leases: []Lease{released, b}, Acts: []Act{acted("A", 1, 10, 11), acted("B", 2, 110, 111)}},
			"stale 0, unheld 0, late 0, overlaps 0, reused 0; explained, explained", "",
		},
		{
			"two have the same token, because a store forgot one",
			History{Leases: []Lease{a, lease("B", 1, 100, 101)}, Acts: []Act{acted("B", 1, 110, 111), acted("A", 2, 112, 113)}},
			"stale 1, unheld 0, late 1, overlaps 0, reused 1; unexplained, unexplained", "stale: ",
		},
		{
			"granted while it was stopped: the tokens know who was first",
			History{Leases: []Lease{lease("A", 1, 0, 500), b}, Acts: []Act{acted("B", 1, 110, 111), acted("A", 2, 510, 511), acted("B", 3, 520, 521)}},
			"stale 1, unheld 0, late 1, overlaps 0, reused 0; unexplained, unexplained", "stale: the resource took act 2 of a",
		},
		{
			"two at work, although the resource took the act of one only",
			History{
				Leases: []Lease{a, b}, Acts: []Act{acted("B", 1, 120, 121)},
				Sections: []Section{{"A", 90 * ms, 400 * ms}, {"B", 110 * ms, 121 * ms}, {"B", 121 * ms, 130 * ms}},
			},
			"stale 0, unheld 0, late 0, overlaps 1, reused 0; explained, explained", "two at work: a (token 1) and b (token 2), for 11ms",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			j, err := Judge(tt.h, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if got := counts(j); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if said := strings.Join(j.Examples, "\n"); !strings.Contains(said, tt.example) || (said == "") != (tt.example == "") {
				t.Errorf("the examples are %q, want %q", said, tt.example)
			}
		})
	}
}

func TestAnActAfterTheRoleWasGivenBackIsInNoLease(t *testing.T) {
	a := lease("A", 1, 0, 1)
	a.Released = 50 * ms
	j, err := Judge(History{Leases: []Lease{a}, Acts: []Act{acted("A", 1, 60, 61)}}, Options{})
	if err != nil || j.Unheld != 1 {
		t.Errorf("%+v, %v", j, err)
	}
}

func TestAHistoryThatContradictsItselfSaysNothing(t *testing.T) {
	a := lease("A", 1, 0, 1)
	for name, h := range map[string]History{
		"two leases of one name": {Leases: []Lease{a, a}},
		"granted before asked":   {Leases: []Lease{lease("A", 1, 5, 1)}},
		"an act is missing":      {Leases: []Lease{a}, Acts: []Act{acted("A", 2, 5, 6)}},
		"an act is there twice":  {Leases: []Lease{a}, Acts: []Act{acted("A", 1, 5, 6), acted("A", 1, 7, 8)}},
		"answered before asked":  {Leases: []Lease{a}, Acts: []Act{acted("A", 1, 5, 4)}},
	} {
		var bad *BadHistoryError
		if _, err := Judge(h, Options{}); !errors.As(err, &bad) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestExamplesAreAFewOfEachSort(t *testing.T) {
	h := History{Leases: []Lease{lease("A", 1, 0, 1), lease("B", 2, 100, 101)}, Acts: []Act{acted("B", 1, 110, 111)}}
	for i := range int64(50) {
		h.Acts = append(h.Acts, acted("A", i+2, time.Duration(120+2*i), time.Duration(121+2*i)))
	}
	j, err := Judge(h, Options{Examples: 3})
	if err != nil || j.Stale != 50 || len(j.Examples) != 6 {
		t.Errorf("%+v, %v", j, err)
	}
}

// TestCountsAndOrdersAgree draws histories of leaders that stop at odd moments and go on, with acts whose answer is lost, and compares
// what is counted with what the checker of linearizability finds.
func TestCountsAndOrdersAgree(t *testing.T) {
	var wrong, right int
	for seed := range uint64(400) {
		h := draw(rand.New(rand.NewPCG(seed, 1)))
		j, err := Judge(h, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if (j.Resource == Unexplained) != (j.Stale+j.Unheld > 0) {
			t.Errorf("seed %d: %s", seed, counts(j))
		}
		if (j.Role == Unexplained) != (j.Stale+j.Unheld+j.Late > 0) {
			t.Errorf("seed %d: %s", seed, counts(j))
		}
		if j.Stale+j.Late > 0 {
			wrong++
		} else {
			right++
		}
	}
	if wrong < 50 || right < 50 {
		t.Errorf("%d histories with and %d without a violation: they say little", wrong, right)
	}
}

// draw makes a history of some leases in a row, each of which may go on for a while into the next.
func draw(r *rand.Rand) (h History) {
	type try struct {
		act   Act
		lands time.Duration // when the resource takes it
	}
	var tries []try
	begin := time.Duration(0)
	for n := range 2 + r.IntN(4) {
		id := fmt.Sprint("L", n)
		h.Leases = append(h.Leases, Lease{ID: id, Holder: id, Term: int64(n + 1), Call: begin, Return: begin + ms})
		end := begin + 100*ms
		if r.IntN(3) == 0 { // it does not notice
			end += time.Duration(r.IntN(60)) * ms
		}
		for at := begin + 2*ms; at < end; at += time.Duration(3+r.IntN(20)) * ms {
			lands := at + time.Duration(r.Int64N(int64(2*ms)))
			if r.IntN(60) == 0 { // it is on its way for long
				lands += time.Duration(r.IntN(80)) * ms
			}
			answered := lands + ms/2
			if r.IntN(20) == 0 {
				answered = Never
			}
			tries = append(tries, try{Act{Lease: id, Call: at, Return: answered}, lands})
			if answered != Never {
				at = max(at, answered)
			}
		}
		begin += 101 * ms
	}
	for len(tries) > 0 {
		next := 0
		for i := range tries {
			if tries[i].lands < tries[next].lands {
				next = i
			}
		}
		a := tries[next].act
		a.Seq = int64(len(h.Acts)) + 1
		h.Acts = append(h.Acts, a)
		tries = append(tries[:next], tries[next+1:]...)
	}
	return h
}

func TestALongHistoryIsJudgedInTime(t *testing.T) {
	h := History{}
	for n := range int64(20) {
		id := fmt.Sprint("L", n)
		h.Leases = append(h.Leases, lease(id, n+1, time.Duration(n*10_000), time.Duration(n*10_000+1)))
		for i := range int64(500) {
			at := time.Duration(n*10_000 + 10 + i*10)
			h.Acts = append(h.Acts, acted(id, n*500+i+1, at, at+5))
		}
	}
	j, err := Judge(h, Options{Patience: time.Minute})
	if err != nil || j.Role != Explained || j.Resource != Explained {
		t.Errorf("%s, %v", counts(j), err)
	}
	if j, err := Judge(h, Options{Patience: time.Nanosecond}); err != nil || j.Role != Open {
		t.Errorf("without patience: %s, %v", counts(j), err)
	}
}
