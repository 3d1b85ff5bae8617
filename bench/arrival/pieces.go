package arrival

import "math"

// pieces is a rate that is linear in pieces.
type pieces struct {
	segs []segment
	at   int // the segment that the next arrival is sought in
}

func (p *pieces) total() float64 { return p.segs[len(p.segs)-1].end() }

func (p *pieces) again() cumulative { return &pieces{segs: p.segs} }

func (p *pieces) when(s float64) float64 {
	for s >= p.segs[p.at].end() {
		p.at++
	}
	return p.segs[p.at].when(s)
}

// A segment is a stretch of the phase in which the rate changes linearly. Times are in seconds.
type segment struct {
	start, len float64
	from, to   float64 // the rate at its start and end
	before     float64 // Λ(start): arrivals expected before it
}

// chain fills in where each segment starts.
func chain(segs []segment) {
	for i := 1; i < len(segs); i++ {
		prev := segs[i-1]
		segs[i].start = prev.start + prev.len
		segs[i].before = prev.end()
	}
}

// end is Λ at the segment's end.
func (g segment) end() float64 { return g.before + (g.from+g.to)/2*g.len }

// when is Λ⁻¹(s) for an s within the segment. With rate from + a·x, Λ grows by c = from·x + a·x²/2; the root is written
// so that nothing cancels as a approaches 0.
func (g segment) when(s float64) float64 {
	c := s - g.before
	if c <= 0 {
		return g.start
	}
	if g.from == g.to {
		return g.start + c/g.from
	}
	a := (g.to - g.from) / g.len
	return g.start + 2*c/(g.from+math.Sqrt(max(0, g.from*g.from+2*a*c)))
}
