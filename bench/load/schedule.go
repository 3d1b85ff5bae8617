package load

import (
	"container/heap"
	"time"

	"shakedown/bench"
	"shakedown/bench/load/wire"
)

// A sharer is Arrivals that several loops can share: share i of k numbers its arrivals as they are numbered in the whole.
// arrival.Process is one.
type sharer interface {
	Share(i, k int) func() (n uint64, due time.Duration, ok bool)
}

// A schedule is one loop's share of a plan: the arrivals of the open phases, and the users of the closed ones.
type schedule struct {
	g     *generator
	lane  *lane
	i, k  int
	room  int // arrivals that may be in flight
	taken int // that are

	phase int // that share is of
	share func() (n uint64, due time.Duration, ok bool)
	next  wire.Arrival
	has   bool // next is to come

	all   []*user // those of this share; nil where another share has them
	users users   // that think

	scratch []byte
}

var _ wire.Source = (*schedule)(nil)

func newSchedule(g *generator, i, k int) *schedule {
	s := &schedule{g: g, lane: g.rec.lanes[i], i: i, k: k, room: max(1, g.MaxInFlight/k), phase: -1}
	s.all = make([]*user, g.users())
	for n := i; n < len(s.all); n += k {
		s.all[n] = newUser(&g.Plan, n)
		if s.all[n].asks() {
			s.users = append(s.users, s.all[n])
		}
	}
	heap.Init(&s.users)
	s.advance()
	return s
}

// phaseBits is where, with several loops, the phase stands in a sequence number. No loop knows how many arrivals the phases before had.
const phaseBits = 40

// advance finds the next open arrival.
func (s *schedule) advance() {
	for {
		if s.share != nil {
			if n, due, ok := s.share(); ok {
				s.next, s.has = wire.Arrival{Seq: uint64(s.phase)<<phaseBits | n, Due: s.g.Phases[s.phase].Start + due, User: -1}, true
				return
			}
		}
		if s.phase++; s.phase >= len(s.g.Phases) {
			s.has = false
			return
		}
		s.share = s.of(s.g.Phases[s.phase].Arrivals)
	}
}

func (s *schedule) of(a Arrivals) func() (uint64, time.Duration, bool) {
	switch a := a.(type) {
	case nil:
		return nil
	case sharer:
		if s.k > 1 {
			return a.Share(s.i, s.k)
		}
	}
	return func() (uint64, time.Duration, bool) {
		due, ok := a.Next()
		return 0, due, ok
	}
}

// Due is when the next arrival of either kind is due.
func (s *schedule) Due() (time.Duration, bool) {
	switch {
	case len(s.users) == 0:
		return s.next.Due, s.has
	case !s.has:
		return s.users[0].ready, true
	default:
		return min(s.next.Due, s.users[0].ready), true
	}
}

// Over says that no arrival is to come, not even after an answer.
func (s *schedule) Over() bool { return !s.has && len(s.users) == 0 && s.g.now() >= s.g.end() }

// Next is an arrival that is due. Past the guard an arrival is unsent and counted, and the next one is looked at.
func (s *schedule) Next(now time.Duration) (wire.Arrival, bool) {
	for {
		a, ok := s.due(now)
		if !ok || s.g.stopped.Load() {
			return wire.Arrival{}, false
		}
		s.lane.schedule(a.Due)
		if s.taken < s.room {
			s.taken++
			s.g.flying.Add(1)
			return a, true
		}
		s.unsent(a, now, causeGuard)
		s.thinks(a.User, now)
	}
}

// Abandon counts what was due and has not been sent.
func (s *schedule) Abandon(now time.Duration) {
	for a, ok := s.due(now); ok; a, ok = s.due(now) {
		s.lane.schedule(a.Due)
		s.unsent(a, now, causeStopped)
	}
}

func (s *schedule) unsent(a wire.Arrival, now time.Duration, cause string) {
	r := bench.Sample{Seq: a.Seq, Due: a.Due, Done: now, Outcome: bench.Unsent}
	s.scratch, r.Op, r.Key = s.AppendHTTP(s.scratch[:0], a.Seq)
	s.lane.record(r, 0, cause)
}

func (s *schedule) due(now time.Duration) (a wire.Arrival, ok bool) {
	switch {
	case s.has && s.next.Due <= now:
		a = s.next
		s.advance()
	case len(s.users) > 0 && s.users[0].ready <= now:
		u := heap.Pop(&s.users).(*user)
		a = wire.Arrival{Due: u.ready, User: u.n}
	default:
		return a, false
	}
	if s.k == 1 || a.User >= 0 {
		a.Seq = s.g.seq.Add(1) - 1
	}
	return a, true
}

// Ended records what became of an arrival, and lets its user think.
func (s *schedule) Ended(r *wire.Result) {
	s.taken--
	s.g.flying.Add(-1)
	s.lane.record(r.Sample, r.Wait, r.Cause)
	s.thinks(r.User, r.Done)
}

func (s *schedule) thinks(n int, now time.Duration) {
	if n < 0 {
		return
	}
	u := s.all[n]
	if u.answered(now); u.asks() {
		heap.Push(&s.users, u)
	}
}

// AppendHTTP is the plan's encoder's.
func (s *schedule) AppendHTTP(dst []byte, seq uint64) ([]byte, bench.OpID, int64) {
	return s.g.Wire.enc.AppendHTTP(dst, seq)
}

// users are in order of when they ask next.
type users []*user

func (u users) Len() int           { return len(u) }
func (u users) Less(i, j int) bool { return u[i].ready < u[j].ready }
func (u users) Swap(i, j int)      { u[i], u[j] = u[j], u[i] }
func (u *users) Push(x any)        { *u = append(*u, x.(*user)) }
func (u *users) Pop() any {
	old := *u
	last := old[len(old)-1]
	*u = old[:len(old)-1]
	return last
}
