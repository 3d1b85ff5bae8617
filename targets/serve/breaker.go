package serve

import (
	"sync"
)

// BreakerState is a state of a circuit breaker, in the words that sony/gobreaker's State.String uses.
type BreakerState string

// The states of a breaker (M. Nygard, Release It!, 2nd ed., "Circuit Breaker").
const (
	BreakerClosed   BreakerState = "closed"
	BreakerHalfOpen BreakerState = "half-open"
	BreakerOpen     BreakerState = "open"
)

// A Breaker shows the state of one circuit breaker as metrics; it breaks nothing itself.
type Breaker struct {
	metrics *metrics
	name    string

	mu    sync.Mutex
	state BreakerState
}

// Breaker shows the named breaker, which is closed to begin with. Ask once for each name.
func (s *Server) Breaker(name string) *Breaker {
	b := &Breaker{metrics: s.metrics, name: name, state: BreakerClosed}
	b.show()
	for _, to := range breakerStates {
		b.metrics.breakerTransitions.WithLabelValues(name, string(to))
	}
	return b
}

var breakerStates = []BreakerState{BreakerClosed, BreakerHalfOpen, BreakerOpen}

// Set records the state the breaker is in now. A change is counted as a transition; the same state again is not.
func (b *Breaker) Set(state BreakerState) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if state == b.state {
		return
	}
	b.state = state
	b.metrics.breakerTransitions.WithLabelValues(b.name, string(state)).Inc()
	b.show()
}

func (b *Breaker) show() {
	for _, s := range breakerStates {
		v := 0.0
		if s == b.state {
			v = 1
		}
		b.metrics.breakerState.WithLabelValues(b.name, string(s)).Set(v)
	}
}
