package queueing

import (
	"math/rand/v2"
	"slices"
)

// A Station says when customers leave a queue. With one server that is Lindley's recursion (D. Lindley, Mathematical Proceedings of the
// Cambridge Philosophical Society 48, 1952); with several, a customer goes to the one who is free first (J. Kiefer and J. Wolfowitz,
// Transactions of the AMS 78, 1955). Nobody computes anything meanwhile: it takes no processor.
type Station struct {
	q    Queue
	free []float64 // when each server will be
	rng  *rand.Rand
}

// NewStation is an empty queue whose service times are drawn with the seed.
func NewStation(q Queue, seed uint64) *Station {
	return &Station{q: q, free: make([]float64, q.Servers), rng: rand.New(rand.NewPCG(seed, 2))}
}

// Leave is when the customer who comes at a time, in seconds and not before the one ahead, leaves.
func (s *Station) Leave(at float64) float64 {
	service := s.q.MeanS
	if !s.q.Fixed {
		service *= s.rng.ExpFloat64()
	}
	first := 0
	for i, t := range s.free {
		if t < s.free[first] {
			first = i
		}
	}
	s.free[first] = max(s.free[first], at) + service
	return s.free[first]
}

// Simulate is how long each customer stays, in seconds and in rising order, of those who come to an empty queue during the given seconds.
func Simulate(q Queue, load, seconds float64, seed uint64) []float64 {
	s, rng := NewStation(q, seed), rand.New(rand.NewPCG(seed, 3))
	rate := q.Rate(load)
	stays := make([]float64, 0, int(1.1*rate*seconds))
	for at := rng.ExpFloat64() / rate; at < seconds; at += rng.ExpFloat64() / rate {
		stays = append(stays, s.Leave(at)-at)
	}
	slices.Sort(stays)
	return stays
}
