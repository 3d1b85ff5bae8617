package load

import (
	"math/rand/v2"
	"time"
)

// A user of a closed loop waits for an answer, thinks, and asks again. It lives through every closed phase that has
// room for it: the user who waits for an answer when one phase passes into the next is not joined by a second self.
type user struct {
	phases []Phase
	n      int // 0-based: it is part of a phase with more than n users
	rng    *rand.Rand
	phase  int           // that it is in
	ready  time.Duration // when it asks next
}

func newUser(p *Plan, n int) *user {
	return &user{phases: p.Phases, n: n, rng: rand.New(rand.NewPCG(p.Seed, uint64(n))), ready: -1} // before the first phase, so that it joins that one too
}

// asks says whether the user asks once more, and finds out when: it passes over the phases that it has no part in.
func (u *user) asks() bool {
	for u.phase < len(u.phases) {
		ph := u.phases[u.phase]
		if ph.Closed == nil || ph.Closed.Users <= u.n || u.ready >= ph.End {
			u.phase++
			continue
		}
		if u.ready >= ph.Start {
			return true
		}
		u.ready = ph.Start + u.think() // it joins: thinking first, so that users do not ask in step
	}
	return false
}

// answered makes the user think. It is due when it is ready to ask, computed as the moment of its last answer plus its
// think time: a late timer shows as lag, and never as a longer think time.
func (u *user) answered(at time.Duration) { u.ready = at + u.think() }

// think is an exponential think time with the phase's mean.
func (u *user) think() time.Duration {
	return time.Duration(u.rng.ExpFloat64() * float64(u.phases[u.phase].Closed.Think.D()))
}

// live is the life of a user whose requests block.
func (g *generator) live(u *user) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for u.asks() && g.wait(timer, u.ready) {
		a := arrival{seq: g.seq.Add(1) - 1, due: u.ready}
		g.rec.lane(a.seq).schedule(u.ready)
		g.send(a)
		u.answered(g.now())
	}
}

// wait returns true when the moment has come, and false when the load was stopped before.
func (g *generator) wait(timer *time.Timer, until time.Duration) bool {
	for d := until - g.now(); d > 0; d = until - g.now() {
		timer.Reset(d)
		select {
		case <-timer.C:
		case <-g.ctx.Done():
			return false
		}
	}
	return !g.stopped.Load()
}
