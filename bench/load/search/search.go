package search

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

// An Outcome is what one trial came to.
type Outcome struct {
	Met   bool // it met all that is asked
	Valid bool // it may be believed: the generator was not the limit
	// Why says which terms were missed, or why the trial may not be believed.
	Why []string
	// GrowthPerS is how fast requests that were due and not answered heaped up, per second.
	GrowthPerS float64
	// What else was measured, for whoever reads the trials.
	AchievedPerS, P50MS, P99MS, Goodput float64
}

// A Run runs one trial at a rate of arrivals per second for a length. An error ends the search.
type Run func(ctx context.Context, rate float64, length time.Duration) (Outcome, error)

// Options say how to search. The zero value is what a user wants who says nothing.
type Options struct {
	Start      float64       // the first rate, per second; 0 means 100
	Least      float64       // give up below this rate; 0 means 1
	Most       float64       // look no further than this rate; 0 means a million
	Growth     float64       // factor from one rate to the next until one is missed; 0 means 2
	Resolution float64       // how far apart the highest rate met and the lowest missed may be; 0 means 0.05
	Repeats    int           // trials that confirm a rate, on either side; 0 means 3
	MaxTrials  int           // 0 means 60
	Length     time.Duration // of a repeat; it is passed on
	Look       time.Duration // of a trial that only looks for the neighbourhood; 0 means Length
	OnTrial    func(Trial)   // told of each trial when it has ended; may be nil
}

// The bounds of a queue that does not settle: it grows by more than this share of the arrivals, and by more than so many requests.
// A queue in balance wanders, too, but its slope over a trial stays near zero.
const (
	unsettledShare = 0.02
	unsettledLeast = 10
)

// Find looks for the highest rate that run meets. It grows the rate until it is missed, halves the bracket on a logarithmic scale down
// to the resolution, and confirms both of its ends by fresh repeats, interleaved; where these disagree with the first look, the bracket
// moves. Rates are steps of the resolution from the first one, so that trials at a rate meet again.
//
// Its error is that of run or of ctx, beside what was found until then, or says that the options make no sense.
func Find(ctx context.Context, o Options, run Run) (Result, error) {
	o = o.withDefaults()
	s := &searcher{ctx: ctx, o: o, run: run, votes: map[int]vote{}, scouted: map[int]verdict{}}
	s.result.ResolutionShare = o.Resolution
	if err := o.check(); err != nil {
		return s.result, err
	}
	lo, hi, err := s.scout()
	if err == nil {
		lo, hi, err = s.confirm(lo, hi)
	}
	s.conclude(lo, hi)
	if errors.Is(err, errSpent) {
		s.result.Note = fmt.Sprintf("no end after %d trials: the server does not answer the same question the same way", len(s.result.Trials))
		err = nil
	}
	return s.result, err
}

func (o Options) withDefaults() Options {
	set := func(v *float64, to float64) {
		if *v == 0 {
			*v = to
		}
	}
	set(&o.Start, 100)
	set(&o.Least, math.Min(1, o.Start))
	set(&o.Most, math.Max(1e6, o.Start))
	set(&o.Growth, 2)
	set(&o.Resolution, 0.05)
	if o.Look == 0 {
		o.Look = o.Length
	}
	if o.Repeats == 0 {
		o.Repeats = 3
	}
	if o.MaxTrials == 0 {
		o.MaxTrials = 60
	}
	return o
}

func (o Options) check() error {
	switch {
	case !(o.Least > 0 && o.Least <= o.Start && o.Start <= o.Most) || math.IsInf(o.Most, 1):
		return fmt.Errorf("search: rates must be positive and in order: %v at least, %v first, %v at most", o.Least, o.Start, o.Most)
	case !(o.Growth > 1) || !(o.Resolution > 0) || o.Resolution > o.Growth-1:
		return fmt.Errorf("search: growth %v must be above 1, and resolution %v between 0 and the growth", o.Growth, o.Resolution)
	case o.Repeats < 1 || o.MaxTrials < 1:
		return fmt.Errorf("search: repeats %d and trials %d must be positive", o.Repeats, o.MaxTrials)
	}
	return nil
}

// A verdict is what a rate comes to.
type verdict uint8

const (
	unknown verdict = iota
	met
	missed
	limited // the generator was the limit
)

// errSpent ends a search that has used up its trials.
var errSpent = errors.New("search: no trials left")

// none stands for a side of the bracket that nobody has seen.
const none = math.MinInt

// A searcher is a search in progress. Rates are numbered: see rate.
type searcher struct {
	ctx     context.Context
	o       Options
	run     Run
	votes   map[int]vote // of the repeats that confirm
	scouted map[int]verdict
	result  Result
}

// A vote counts the repeats at one rate.
type vote struct{ met, missed, limited int }

// rate is step i's: the start times the resolution's power i, to four digits, which is more than anybody wants to read.
func (s *searcher) rate(i int) float64 {
	r := s.o.Start * math.Pow(1+s.o.Resolution, float64(i))
	if digits := 3 - int(math.Floor(math.Log10(r))); digits >= 0 { // a power of ten is exact, its inverse is not
		r = math.Round(r*math.Pow10(digits)) / math.Pow10(digits)
	} else {
		r = math.Round(r/math.Pow10(-digits)) * math.Pow10(-digits)
	}
	return min(max(r, s.o.Least), s.o.Most)
}

// steps is how many steps a factor is, at least one.
func (s *searcher) steps(factor float64) int {
	return max(1, int(math.Round(math.Log(factor)/math.Log(1+s.o.Resolution))))
}

// lowest and highest are the ends of the scale.
func (s *searcher) lowest() int {
	return -int(math.Ceil(math.Log(s.o.Start/s.o.Least) / math.Log(1+s.o.Resolution)))
}

func (s *searcher) highest() int {
	return int(math.Ceil(math.Log(s.o.Most/s.o.Start) / math.Log(1+s.o.Resolution)))
}

// A trial that the generator limited is tried again before it is believed: a machine has bad moments.
const voidRetries = 1

// scout finds a bracket of neighbours by single trials: lo was met and hi, one step above it, was not.
func (s *searcher) scout() (lo, hi int, err error) {
	probe := func(i int) (verdict, error) {
		if v := s.scouted[i]; v != unknown {
			return v, nil
		}
		v, err := s.try(i, Look)
		s.scouted[i] = v
		return v, err
	}
	lo, hi = none, none
	i, stride := 0, s.steps(s.o.Growth)
	for lo == none || hi == none {
		v, err := probe(i)
		switch {
		case err != nil:
			return lo, hi, err
		case v == met && i == s.highest():
			return i, none, nil
		case v == met:
			lo, i = i, min(i+stride, s.highest())
		case i == s.lowest():
			return none, i, nil
		default:
			hi, i = i, max(i-stride, s.lowest())
		}
	}
	return s.halve(lo, hi, probe)
}

// halve narrows the bracket to neighbours. Steps are equal on a logarithmic scale.
func (s *searcher) halve(lo, hi int, probe func(int) (verdict, error)) (int, int, error) {
	for hi-lo > 1 {
		mid := lo + (hi-lo)/2
		v, err := probe(mid)
		if err != nil {
			return lo, hi, err
		}
		if v == met {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo, hi, nil
}

// confirm repeats the trials on both sides of the bracket, and moves it until most repeats meet at its lower end and most do not at its
// upper one. The single trials that led here do not count: that they came out as they did is why we are here.
func (s *searcher) confirm(lo, hi int) (int, int, error) {
	switch {
	case lo == none:
		v, err := s.repeat(hi)
		if err == nil && v == met { // the first look was bad luck
			return s.ascend(hi)
		}
		return lo, hi, err
	case hi == none:
		v, err := s.repeat(lo)
		if err != nil || v == met {
			return lo, hi, err
		}
		return s.descend(lo)
	}
	if err := s.interleave(lo, hi); err != nil {
		return lo, hi, err
	}
	switch below, above := s.most(lo), s.most(hi); {
	case below != met:
		return s.descend(lo)
	case above == met:
		return s.ascend(hi)
	default:
		return lo, hi, nil
	}
}

// descend looks below a rate that the repeats missed, in strides that double, and then halves.
func (s *searcher) descend(hi int) (int, int, error) {
	for stride := 1; ; stride *= 2 {
		if hi == s.lowest() {
			return none, hi, nil
		}
		i := max(hi-stride, s.lowest())
		v, err := s.repeat(i)
		if err != nil {
			return none, hi, err
		}
		if v == met {
			return s.halve(i, hi, s.repeat)
		}
		hi = i
	}
}

// ascend looks above a rate that the repeats met, likewise.
func (s *searcher) ascend(lo int) (int, int, error) {
	for stride := 1; ; stride *= 2 {
		if lo == s.highest() {
			return lo, none, nil
		}
		i := min(lo+stride, s.highest())
		v, err := s.repeat(i)
		if err != nil {
			return lo, none, err
		}
		if v != met {
			return s.halve(lo, i, s.repeat)
		}
		lo = i
	}
}

// interleave repeats two rates in turn, so that what drifts meanwhile meets both.
func (s *searcher) interleave(lo, hi int) error {
	for n := range s.o.Repeats {
		pair := []int{lo, hi}
		if n%2 == 1 {
			pair[0], pair[1] = hi, lo
		}
		for _, i := range pair {
			if err := s.poll(i); err != nil {
				return err
			}
		}
	}
	return nil
}

// repeat brings a rate's repeats to their number, and says what most of them come to.
func (s *searcher) repeat(i int) (verdict, error) {
	for s.votes[i].sum() < s.o.Repeats {
		if err := s.poll(i); err != nil {
			return unknown, err
		}
	}
	return s.most(i), nil
}

func (s *searcher) poll(i int) error {
	v, err := s.try(i, Repeat)
	if err != nil {
		return err
	}
	tally := s.votes[i]
	switch v {
	case met:
		tally.met++
	case limited:
		tally.limited++
	default:
		tally.missed++
	}
	s.votes[i] = tally
	return nil
}

func (v vote) sum() int { return v.met + v.missed + v.limited }

// most is what more than half of a rate's repeats came to; without such a majority the rate is not met.
func (s *searcher) most(i int) verdict {
	v := s.votes[i]
	switch {
	case v.sum() == 0:
		return unknown
	case 2*v.met > v.sum():
		return met
	case v.limited > v.missed:
		return limited
	default:
		return missed
	}
}

// try runs one trial, and again where the generator was the limit.
func (s *searcher) try(i int, why Purpose) (verdict, error) {
	for n := 0; ; n++ {
		t, err := s.trial(s.rate(i), why)
		switch {
		case err != nil:
			return unknown, err
		case !t.Valid && n < voidRetries:
			continue
		case !t.Valid:
			return limited, nil
		case t.Met:
			return met, nil
		default:
			return missed, nil
		}
	}
}

func (s *searcher) trial(rate float64, why Purpose) (Trial, error) {
	if len(s.result.Trials) >= s.o.MaxTrials {
		return Trial{}, errSpent
	}
	if err := s.ctx.Err(); err != nil {
		return Trial{}, err
	}
	length := s.o.Length
	if why == Look {
		length = s.o.Look
	}
	out, err := s.run(s.ctx, rate, length)
	if err != nil {
		return Trial{}, err
	}
	t := newTrial(rate, length, why, out)
	s.result.Trials = append(s.result.Trials, t)
	if s.o.OnTrial != nil {
		s.o.OnTrial(t)
	}
	return t, nil
}
