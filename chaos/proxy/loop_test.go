package proxy

import (
	"math/rand/v2"
	"testing"
	"time"

	"shakedown/internal/clock"
)

// A sleeper says how late it was woken.
type sleeper struct {
	timer
	late chan<- time.Duration
}

func (s *sleeper) alarmed() { s.late <- clock.Now() - s.at }

func TestALoopWakesNobodyEarlyAndForgetsNobody(t *testing.T) {
	for name, timerfd := range map[string]bool{"epoll_pwait2": false, "timerfd": true} {
		t.Run(name, func(t *testing.T) {
			l, err := newLoop(&budget{})
			if err != nil {
				t.Fatal(err)
			}
			if timerfd {
				if err := l.useTimerfd(); err != nil {
					t.Fatal(err)
				}
			}
			go l.run()
			defer l.stop()
			rng := rand.New(rand.NewPCG(7, 7))
			const n = 200
			late := make(chan time.Duration, n)
			for range n {
				s := &sleeper{late: late}
				s.owner = s
				at := clock.Now() + time.Duration(rng.Int64N(int64(20*time.Millisecond)))
				l.call(func() {
					l.timers.set(&s.timer, at+time.Hour) // moved, not added
					l.timers.set(&s.timer, at)
				})
			}
			for range n {
				if d := <-late; d < 0 {
					t.Errorf("woken %s early", -d)
				}
			}
			l.call(func() {
				if len(l.timers) != 0 {
					t.Errorf("%d timers are left", len(l.timers))
				}
			})
		})
	}
}

func TestOrdersAreCarriedOutInOrderAndNoneAfterTheEnd(t *testing.T) {
	l, err := newLoop(&budget{})
	if err != nil {
		t.Fatal(err)
	}
	go l.run()
	var got []int
	for i := range 1000 {
		l.post(func() { got = append(got, i) })
	}
	l.stop()
	if len(got) != 1000 {
		t.Fatalf("%d orders were carried out", len(got))
	}
	for i, n := range got {
		if i != n {
			t.Fatalf("order %d came at %d", n, i)
		}
	}
	if l.post(func() { t.Error("an order after the end was carried out") }) {
		t.Error("an order after the end was taken")
	}
}
