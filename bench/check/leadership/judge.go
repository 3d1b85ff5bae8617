package leadership

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Options of a judgement.
type Options struct {
	Examples int           // of each sort, at most; 0 means 2
	Patience time.Duration // how long each search for an order may take; 0 means five seconds
}

// A Judgement is what a history came to.
type Judgement struct {
	Acts, Leases int
	// Stale are acts that the resource took of a leader after it had taken one of a newer leader: what fencing is to prevent.
	Stale int
	// Unheld are acts in no lease, or in one that the holder had given back before it asked for the act.
	Unheld int
	// Late are acts that were asked for after the role had been given to another, Stale ones or not.
	Late int
	// LateFor is how long the role had been another's when the last of them was asked for.
	LateFor time.Duration
	// Overlaps are sections during which another lease worked too, of the older lease of the two; Sections is how many there are.
	Overlaps, Sections int
	// Reused are leases whose token did not grow: one that was granted later has the same, or a smaller one.
	Reused int
	// Role says whether an order explains the history in which every act is in the lease that has the role, from its grant on; Resource
	// whether one does when a lease counts from its first act on.
	Role, Resource Verdict
	Examples       []string
}

// Judge says what a history came to. A *BadHistoryError says that nothing follows from it.
func Judge(h History, o Options) (*Judgement, error) {
	leases, acts, err := h.ordered()
	if err != nil {
		return nil, err
	}
	o.Examples, o.Patience = cmp.Or(o.Examples, 2), cmp.Or(o.Patience, 5*time.Second)
	j := &judging{Options: o, leases: leases, acts: acts}
	j.Acts, j.Leases = len(acts), len(h.Leases)
	j.rank, j.Reused = ranks(h.Leases)
	j.stale()
	j.late(h.Leases)
	j.overlaps(h.Sections)
	j.Role = j.explain(h.Leases, true)
	j.Resource = j.explain(h.Leases, false)
	return &j.Judgement, nil
}

type judging struct {
	Judgement
	Options
	leases map[string]Lease
	acts   []Act
	rank   map[string]int
	shown  map[string]int
}

// example keeps one of the first few of its sort.
func (j *judging) example(sort, format string, args ...any) {
	if j.shown == nil {
		j.shown = map[string]int{}
	}
	if j.shown[sort]++; j.shown[sort] <= j.Options.Examples {
		j.Judgement.Examples = append(j.Judgement.Examples, sort+": "+fmt.Sprintf(format, args...))
	}
}

func (j *judging) name(lease string) string {
	l, ok := j.leases[lease]
	if !ok {
		return "nobody's lease " + lease
	}
	if l.Term == 0 {
		return l.Holder
	}
	return fmt.Sprintf("%s (token %d)", l.Holder, l.Term)
}

// stale goes through the acts in the resource's order.
func (j *judging) stale() {
	newest := -1
	var by Act // the act that made it the newest
	for _, a := range j.acts {
		l, held := j.leases[a.Lease]
		if !held || l.Released > 0 && l.Released < a.Call {
			j.Unheld++
			j.example("without the role", "act %d of %s", a.Seq, j.name(a.Lease))
			continue
		}
		switch r := j.rank[a.Lease]; {
		case r < newest:
			j.Stale++
			j.example("stale", "the resource took act %d of %s after it had taken act %d of %s, which was given the role later",
				a.Seq, j.name(a.Lease), by.Seq, j.name(by.Lease))
		case r > newest:
			newest, by = r, a
		}
	}
}

// late looks for acts that were asked for after the role had been given to another.
func (j *judging) late(leases []Lease) {
	ended := map[string]Lease{} // by lease: the first that was granted after it
	for _, l := range leases {
		for _, next := range leases {
			end, known := ended[l.ID]
			if j.rank[next.ID] > j.rank[l.ID] && (!known || next.Return < end.Return) {
				ended[l.ID] = next
			}
		}
	}
	for _, a := range j.acts {
		next, ok := ended[a.Lease]
		if !ok || a.Call <= next.Return {
			continue
		}
		j.Late++
		j.LateFor = max(j.LateFor, a.Call-next.Return)
		j.example("late", "%s asked for act %d %v after the role had been given to %s",
			j.name(a.Lease), a.Seq, (a.Call - next.Return).Round(time.Millisecond), j.name(next.ID))
	}
}

// overlaps counts the sections of older leases that met one of a newer lease.
func (j *judging) overlaps(sections []Section) {
	j.Sections = len(sections)
	sorted := slices.Clone(sections)
	slices.SortFunc(sorted, func(a, b Section) int { return cmp.Compare(a.Start, b.Start) })
	met := make([]bool, len(sorted))
	var open []int // that may still overlap what begins now
	for i, s := range sorted {
		open = slices.DeleteFunc(open, func(k int) bool { return sorted[k].End <= s.Start })
		for _, k := range open {
			if sorted[k].Lease == s.Lease {
				continue
			}
			older, newer := k, i
			if j.rank[s.Lease] < j.rank[sorted[k].Lease] {
				older, newer = i, k
			}
			if !met[older] {
				met[older] = true
				j.Overlaps++
				from, to := max(sorted[k].Start, s.Start), min(sorted[k].End, s.End)
				j.example("two at work", "%s and %s, for %v", j.name(sorted[older].Lease), j.name(sorted[newer].Lease), (to - from).Round(time.Millisecond))
			}
		}
		open = append(open, i)
	}
}
