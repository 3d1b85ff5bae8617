package load

import (
	"math/rand/v2"
	"time"
)

// A user of a closed loop waits for an answer, thinks, and asks again. It lives through every closed phase that has
// room for it: the user who waits for an answer when one phase passes into the next is not joined by a second self.
type user struct {
	g   *generator
	n   int // 0-based: it is part of a phase with more than n users
	rng *rand.Rand
}

func (g *generator) newUser(n int) *user {
	return &user{g: g, n: n, rng: rand.New(rand.NewPCG(g.Seed, uint64(n)))}
}

// run is the life of the user. It is due when it is ready to ask, computed as the moment of its last answer plus its
// think time: a late timer shows as lag, and never as a longer think time.
func (u *user) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	ready := time.Duration(-1) // before the first phase, so that it joins that one too
	for i := 0; i < len(u.g.Phases); {
		ph := u.g.Phases[i]
		if ph.Closed == nil || ph.Closed.Users <= u.n || ready >= ph.End {
			i++
			continue
		}
		mean := ph.Closed.Think.D()
		if ready < ph.Start { // it joins: thinking first, so that users do not ask in step
			if ready = ph.Start + think(u.rng, mean); ready >= ph.End {
				continue
			}
		}
		if !u.wait(timer, ready) {
			return
		}
		u.g.rec.schedule()
		u.g.send(arrival{seq: u.g.seq.Add(1) - 1, due: ready})
		ready = u.g.now() + think(u.rng, mean)
	}
}

// wait returns true when the moment has come, and false when the load was stopped before.
func (u *user) wait(timer *time.Timer, until time.Duration) bool {
	for d := until - u.g.now(); d > 0; d = until - u.g.now() {
		timer.Reset(d)
		select {
		case <-timer.C:
		case <-u.g.ctx.Done():
			return false
		}
	}
	return !u.g.stopped.Load()
}
