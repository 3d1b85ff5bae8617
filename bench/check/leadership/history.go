package leadership

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// Never is when something returned whose end nobody saw: it may have taken effect at any time after its call.
const Never time.Duration = math.MaxInt64

// A Lease is one time that an instance was given the role. Times are those of one clock.
type Lease struct {
	ID       string // that of no other lease
	Holder   string // the instance: "service-0"
	Term     int64  // the fencing token that came with the role; 0: none
	Call     time.Duration
	Return   time.Duration // of the call that was granted
	Released time.Duration // when the holder began to give the role back; 0: it did not
}

// An Act is something that a leader did to the resource. What became of it the resource knows, which is asked at the end: an act
// whose answer never came is one of the history when the resource has it, with Return Never, and otherwise none.
type Act struct {
	Lease        string        // in which it was done
	Seq          int64         // its place in the resource's own order, which begins with 1 and has no gaps
	Call, Return time.Duration // of the call to the resource
}

// A Section is a stretch of work in the role: from when the instance began a piece of work until the resource had answered, whatever
// it answered.
type Section struct {
	Lease      string
	Start, End time.Duration
}

// A History is what instances and resource say of one trial.
type History struct {
	Leases   []Lease
	Acts     []Act
	Sections []Section
}

// BadHistoryError says that a history contradicts itself, so that nothing follows from it.
type BadHistoryError struct{ What string }

func (e *BadHistoryError) Error() string { return "the history says nothing: " + e.What }

// ordered checks the history, and puts acts in the resource's order.
func (h History) ordered() (map[string]Lease, []Act, error) {
	leases := map[string]Lease{}
	for _, l := range h.Leases {
		if _, twice := leases[l.ID]; twice || l.ID == "" {
			return nil, nil, &BadHistoryError{fmt.Sprintf("two leases are called %q, or one has no name", l.ID)}
		}
		if l.Return < l.Call {
			return nil, nil, &BadHistoryError{fmt.Sprintf("lease %s was granted before it was asked for", l.ID)}
		}
		leases[l.ID] = l
	}
	acts := slices.Clone(h.Acts)
	slices.SortFunc(acts, func(a, b Act) int { return cmp.Compare(a.Seq, b.Seq) })
	for i, a := range acts {
		if a.Seq != int64(i)+1 {
			return nil, nil, &BadHistoryError{fmt.Sprintf("act %d of the resource's order is missing, or there twice", i+1)}
		}
		if a.Return < a.Call {
			return nil, nil, &BadHistoryError{fmt.Sprintf("act %d was answered before it was asked for", a.Seq)}
		}
	}
	return leases, acts, nil
}

// ranks is the order in which the leases were granted. Tokens tell it, where they never contradict the clock: a lease that was asked
// for after another was granted has a larger one. Where they do, as when a store has forgotten tokens, it is when the answers came.
func ranks(leases []Lease) (rank map[string]int, reused int) {
	for _, a := range leases {
		for _, b := range leases {
			if a.Return < b.Call && b.Term <= a.Term && b.Term != 0 {
				reused++
				break
			}
		}
	}
	sorted := slices.Clone(leases)
	slices.SortFunc(sorted, func(a, b Lease) int {
		if reused == 0 && a.Term != b.Term {
			return cmp.Compare(a.Term, b.Term)
		}
		return cmp.Or(cmp.Compare(a.Return, b.Return), cmp.Compare(a.ID, b.ID))
	})
	rank = map[string]int{}
	for i, l := range sorted {
		rank[l.ID] = i
	}
	return rank, reused
}
