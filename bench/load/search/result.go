package search

import (
	"fmt"
	"math"
	"time"
)

// Purpose is why a trial was run.
type Purpose string

// The purposes: single trials look for the neighbourhood, repeats decide.
const (
	Look   Purpose = "look"
	Repeat Purpose = "repeat"
)

// A Trial is one trial of a search.
type Trial struct {
	RatePerS float64 `json:"rate_per_s"`
	LengthS  float64 `json:"length_s"`
	Purpose  Purpose `json:"purpose" jsonschema:"enum=look,enum=repeat"`
	Met      bool    `json:"met"`
	Valid    bool    `json:"valid"`
	// the queue did not grow all through the trial. A trial that does not settle is not met: what it measures
	// depends on how long it was.
	Settled bool `json:"settled"`
	// how fast what was due and not answered grew; 0 where it settled.
	BacklogGrowthPerS float64  `json:"backlog_growth_per_s"`
	AchievedPerS      float64  `json:"achieved_per_s"`
	P50MS             float64  `json:"p50_ms"`
	P99MS             float64  `json:"p99_ms"`
	Goodput           float64  `json:"goodput"`       // share of scheduled arrivals
	Why               []string `json:"why,omitempty"` // not met, or not valid
}

func newTrial(rate float64, length time.Duration, why Purpose, o Outcome) Trial {
	t := Trial{
		RatePerS: rate, LengthS: length.Seconds(), Purpose: why, Met: o.Met && o.Valid, Valid: o.Valid, Settled: true,
		AchievedPerS: o.AchievedPerS, P50MS: o.P50MS, P99MS: o.P99MS, Goodput: o.Goodput, Why: o.Why,
	}
	if o.GrowthPerS > unsettledShare*rate && o.GrowthPerS*length.Seconds() > unsettledLeast {
		t.Settled, t.Met, t.BacklogGrowthPerS = false, false, o.GrowthPerS
		t.Why = append([]string{fmt.Sprintf("the queue grew by %.3g/s all the time", o.GrowthPerS)}, t.Why...)
	}
	return t
}

// Limit is what kept the search from going higher.
type Limit string

// The limits. Server: higher rates were missed. Generator: above the highest rate met, trials were void. Range: it was not asked to look
// higher. Nothing: no rate was met, down to the lowest. Unfinished: the search was stopped.
const (
	Server     Limit = "server"
	Generator  Limit = "generator"
	Range      Limit = "range"
	Nothing    Limit = "nothing"
	Unfinished Limit = "unfinished"
)

// A Result is what a search came to.
type Result struct {
	// the highest rate that most of its repeats met; null when there is none.
	KneePerS *float64 `json:"knee_per_s" jsonschema:"nullable"`
	// the lowest rate above it that most of its repeats missed; the true limit lies between the two. Null when no rate was.
	MissedPerS *float64 `json:"missed_per_s" jsonschema:"nullable"`
	// both ends of that interval rest on repeats.
	Confirmed       bool    `json:"confirmed"`
	Limit           Limit   `json:"limit" jsonschema:"enum=server,enum=generator,enum=range,enum=nothing,enum=unfinished"`
	ResolutionShare float64 `json:"resolution"`
	KneeMet         Tally   `json:"knee_met"`   // repeats at the knee that met
	MissedMet       Tally   `json:"missed_met"` // repeats at the rate above it that met, all the same
	// how fast the backlog grew in the repeats at missed_per_s, on average over those that did not settle; 0 when all did.
	GrowthPerS float64 `json:"backlog_growth_per_s"`
	Note       string  `json:"note,omitempty"`
	Trials     []Trial `json:"trials"` // in the order in which they were run
}

// A Tally is so many of so many.
type Tally struct {
	N  int `json:"n"`
	Of int `json:"of"`
}

// conclude writes what the bracket comes to.
func (s *searcher) conclude(lo, hi int) {
	r := &s.result
	if r.Trials == nil {
		r.Trials = []Trial{}
	}
	below, above := unknown, unknown
	if lo != none {
		rate := s.rate(lo)
		r.KneePerS, r.KneeMet, below = &rate, s.tally(lo), s.most(lo)
	}
	if hi != none {
		rate := s.rate(hi)
		r.MissedPerS, r.MissedMet, above = &rate, s.tally(hi), s.most(hi)
		r.GrowthPerS = growth(r.Trials, rate)
		if above == unknown {
			above = s.scouted[hi]
		}
	}
	neighbours := lo == none || hi == none || hi-lo == 1
	r.Confirmed = (lo == none || below == met) && (hi == none || s.votes[hi].sum() >= s.o.Repeats) && neighbours && (lo != none || hi != none)
	switch {
	case !r.Confirmed:
		r.Limit = Unfinished
	case above == limited:
		r.Limit = Generator
	case lo == none:
		r.Limit = Nothing
	case hi == none && lo == s.highest():
		r.Limit = Range
	case hi == none:
		r.Limit = Unfinished
	default:
		r.Limit = Server
	}
}

func (s *searcher) tally(i int) Tally { return Tally{N: s.votes[i].met, Of: s.votes[i].sum()} }

// growth is the mean growth of the repeats at a rate that did not settle.
func growth(trials []Trial, rate float64) float64 {
	sum, n := 0.0, 0
	for _, t := range trials {
		if t.RatePerS == rate && t.Purpose == Repeat && !t.Settled {
			sum, n = sum+t.BacklogGrowthPerS, n+1
		}
	}
	return sum / math.Max(float64(n), 1)
}

// String is the result in a sentence.
func (r Result) String() string {
	switch {
	case r.KneePerS == nil && r.MissedPerS == nil:
		return "no trial was finished"
	case r.Limit == Unfinished && r.KneePerS == nil:
		return "no rate was met before the search ended"
	case r.Limit == Unfinished:
		return fmt.Sprintf("met at %.4g/s, unconfirmed: the search did not get further", *r.KneePerS)
	case r.KneePerS == nil && r.Limit == Generator:
		return fmt.Sprintf("not even %.4g/s could be measured: the generator was the limit", *r.MissedPerS)
	case r.KneePerS == nil:
		return fmt.Sprintf("not met at any rate, down to %.4g/s", *r.MissedPerS)
	case r.Limit == Generator:
		return fmt.Sprintf("at least %.4g/s; above it the generator was the limit", *r.KneePerS)
	case r.Limit == Range:
		return fmt.Sprintf("at least %.4g/s, the highest rate that was tried", *r.KneePerS)
	}
	text := fmt.Sprintf("%.4g/s is met (%d of %d), %.4g/s is not (%d of %d)",
		*r.KneePerS, r.KneeMet.N, r.KneeMet.Of, *r.MissedPerS, r.MissedMet.N, r.MissedMet.Of)
	if r.GrowthPerS > 0 {
		text += fmt.Sprintf(", where the queue grows by %.3g/s", r.GrowthPerS)
	}
	return text
}
