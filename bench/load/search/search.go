// Package search owns the search for the highest rate at which a server meets its objectives. It knows no server and no load: it asks
// a trial at one rate after another, and believes none of them alone.
package search

import (
	"context"
	"errors"
	"fmt"
	"math"
)

// An Outcome is what a trial at one rate came to.
type Outcome struct {
	Met   bool   // the objectives were met
	Valid bool   // the generator was not the limit; without that Met means nothing
	Why   string // what was not met, or why it is not valid
}

// A Trial is a rate that was tried.
type Trial struct {
	Rate    float64 // per second
	Purpose Purpose
	Outcome
}

// A Purpose is why a rate was tried.
type Purpose string

// The stages of a search.
const (
	Grow    Purpose = "grow"
	Bisect  Purpose = "bisect"
	Confirm Purpose = "confirm"
)

// Options are of a search. The zero value of a field but Start means its default.
type Options struct {
	Start      float64 // the first rate that is tried, per second
	Lowest     float64 // give up below; default a thousandth of Start
	Highest    float64 // do not go beyond; default 10 million
	Resolution float64 // how close the lowest miss must come to the knee, as a share; default 5 %
	Repeats    int     // trials that a rate must stand for the confirmation; default 3, of which all but one in three must meet
	MaxTrials  int     // default 60
	OnTrial    func(Trial)
}

const growth = 2

// A Result is what the search found.
type Result struct {
	Found   bool
	Knee    float64 // the highest rate that was confirmed to meet the objectives
	Missed  float64 // the lowest rate above it that was found to miss them; 0: none was
	Limited bool    // the generator was the limit before the server: the knee is at least that
	Why     string  // what the result rests on, in words
	Trials  []Trial
}

// Find looks for the highest rate that trial meets. It doubles the rate until it is missed, halves the interval in the logarithm until it
// is narrower than the resolution, and then confirms: the highest rate that was met and the lowest that was missed are tried again, in
// turn, until each has its repeats. A rate that does not stand is given up for the next lower one, and an upper bound that is met after all becomes
// the rate to confirm. Single trials near the knee are a coin toss, since the response time of a queue there grows without
// bound (R. Jain, The Art of Computer Systems Performance Analysis, 1991, §30; Y. Zhang et al., "Treadmill", ISCA 2016, §3).
//
// An error of trial ends the search, with what was found until then.
func Find(ctx context.Context, o Options, trial func(ctx context.Context, rate float64) (Outcome, error)) (Result, error) {
	if err := o.prepare(); err != nil {
		return Result{}, err
	}
	s := &state{Options: o, trial: trial, ctx: ctx, tally: map[float64]*tally{}}
	err := s.run()
	if errors.Is(err, errEnough) {
		err = nil
	}
	return s.result(), err
}

func (o *Options) prepare() error {
	if !(o.Start > 0) || math.IsInf(o.Start, 0) {
		return fmt.Errorf("search: the first rate must be positive, got %v/s", o.Start)
	}
	set := func(v *float64, to float64) {
		if *v == 0 {
			*v = to
		}
	}
	set(&o.Lowest, o.Start/1000)
	set(&o.Highest, 10_000_000)
	set(&o.Resolution, 0.05)
	if o.Repeats == 0 {
		o.Repeats = 3
	}
	if o.MaxTrials == 0 {
		o.MaxTrials = 60
	}
	if o.Lowest <= 0 || o.Highest < o.Start || o.Resolution <= 0 || o.Repeats < 1 || o.MaxTrials < 1 {
		return fmt.Errorf("search: %+v makes no sense", *o)
	}
	return nil
}

// A tally is how often a rate was met.
type tally struct{ met, tried int }

type state struct {
	Options
	ctx     context.Context
	trial   func(context.Context, float64) (Outcome, error)
	trials  []Trial
	tally   map[float64]*tally
	low     float64 // the highest rate that is taken to be met; 0: none
	high    float64 // the lowest that is taken to be missed or void; 0: none
	limited bool    // high is void, and not missed
	stood   bool    // low was confirmed
	why     string
}

var errEnough = errors.New("enough")

// try is one trial. An invalid one bounds the search from above, for the generator can do no more.
func (s *state) try(rate float64, p Purpose) (Outcome, error) {
	if len(s.trials) >= s.MaxTrials {
		s.why = fmt.Sprintf("%d trials were not enough", s.MaxTrials)
		return Outcome{}, errEnough
	}
	out, err := s.trial(s.ctx, rate)
	if err != nil {
		return out, err
	}
	t := Trial{rate, p, out}
	s.trials = append(s.trials, t)
	if s.OnTrial != nil {
		s.OnTrial(t)
	}
	if out.Valid {
		n := s.tally[rate]
		if n == nil {
			n = new(tally)
			s.tally[rate] = n
		}
		n.tried++
		if out.Met {
			n.met++
		}
	}
	return out, nil
}

func (s *state) run() error {
	if err := s.grow(); err != nil {
		return err
	}
	for {
		if err := s.bisect(); err != nil {
			return err
		}
		done, err := s.confirm()
		if err != nil || done {
			return err
		}
	}
}

// grow finds a rate that is met and one above it that is not.
func (s *state) grow() error {
	rate := s.Start
	for {
		out, err := s.try(rate, Grow)
		if err != nil {
			return err
		}
		switch {
		case out.Valid && out.Met:
			s.low = rate
			if s.high > 0 {
				return nil
			}
			if rate >= s.Highest {
				return nil
			}
			rate = min(rate*growth, s.Highest)
		default:
			s.high, s.limited = rate, !out.Valid
			if s.low > 0 {
				return nil
			}
			if rate /= growth; rate < s.Lowest {
				s.why = fmt.Sprintf("not even %.4g/s meets them", s.high)
				if s.limited {
					s.why = fmt.Sprintf("the generator was the limit even at %.4g/s", s.high)
				}
				return errEnough
			}
		}
	}
}

// bisect narrows the interval down to the resolution.
func (s *state) bisect() error {
	for s.high > 0 && s.high > s.low*(1+s.Resolution) {
		rate := nice(math.Sqrt(s.low * s.high))
		if rate <= s.low || rate >= s.high {
			return nil
		}
		out, err := s.try(rate, Bisect)
		if err != nil {
			return err
		}
		if out.Valid && out.Met {
			s.low = rate
		} else {
			s.high, s.limited = rate, !out.Valid
		}
	}
	return nil
}

// nice is a rate with three significant digits.
func nice(rate float64) float64 {
	unit := math.Pow(10, math.Floor(math.Log10(rate))-2)
	return math.Round(rate/unit) * unit
}

// stands says whether a rate has its repeats and is met by most of them: two in three at least. open: it could still go either way.
func (s *state) stands(rate float64) (met, open bool) {
	t := s.tally[rate]
	if t == nil {
		return false, true
	}
	need := (2*s.Repeats + 2) / 3
	return t.met >= need, t.met < need && t.met+s.Repeats-t.tried >= need
}

// confirm tries both ends of the interval until each has its repeats. It is done when the lower one stands and the upper one does not.
func (s *state) confirm() (done bool, err error) {
	for {
		lowMet, lowOpen := s.stands(s.low)
		highMet, highOpen := false, false
		if s.high > 0 && !s.limited {
			highMet, highOpen = s.stands(s.high)
		}
		switch {
		case !lowOpen && !lowMet: // it does not stand: what is below it?
			s.high, s.limited, s.low = s.low, false, s.below(s.low)
			if s.low == 0 {
				return s.lower()
			}
			return false, nil
		case !highOpen && highMet: // it is met after all
			s.low, s.high, s.limited = s.high, 0, false
			for _, t := range s.trials {
				if t.Rate > s.low && (s.high == 0 || t.Rate < s.high) && (!t.Valid || !t.Met) {
					s.high, s.limited = t.Rate, !t.Valid
				}
			}
			return false, nil
		case !lowOpen && !highOpen:
			s.stood = true
			s.why = fmt.Sprintf("met by %d of %d trials there", s.tally[s.low].met, s.tally[s.low].tried)
			if s.limited {
				s.why += fmt.Sprintf(", and at %.4g/s the generator was the limit", s.high)
			}
			return true, nil
		}
		if err := s.again(lowOpen, highOpen); err != nil {
			return false, err
		}
	}
}

// again tries the ends that are still open, in turn, so that what drifts on the machine meets both.
func (s *state) again(low, high bool) error {
	for _, end := range []struct {
		open bool
		rate float64
	}{{low, s.low}, {high, s.high}} {
		if !end.open {
			continue
		}
		out, err := s.try(end.rate, Confirm)
		if err != nil {
			return err
		}
		if !out.Valid {
			if end.rate == s.low { // the machine cannot do it again; the next lower rate may do
				s.high, s.limited, s.low = s.low, true, s.below(s.low)
				if s.low == 0 {
					_, err := s.lower()
					return err
				}
			} else {
				s.limited = true
			}
			return nil
		}
	}
	return nil
}

// below is the highest rate under the given one that was met and has not fallen since; 0: none.
func (s *state) below(rate float64) float64 {
	best := 0.0
	for r := range s.tally {
		if met, open := s.stands(r); r < rate && r > best && (met || open && s.tally[r].met > 0) {
			best = r
		}
	}
	return best
}

// lower goes on below every rate that was tried.
func (s *state) lower() (done bool, err error) {
	lowest := s.high
	for r := range s.tally {
		lowest = min(lowest, r)
	}
	for rate := lowest / growth; rate >= s.Lowest; rate /= growth {
		out, err := s.try(nice(rate), Grow)
		if err != nil {
			return false, err
		}
		if out.Valid && out.Met {
			s.low = nice(rate)
			return false, nil
		}
		s.high, s.limited = nice(rate), !out.Valid
	}
	s.why = fmt.Sprintf("not even %.4g/s meets them", s.high)
	return true, errEnough
}

func (s *state) result() Result {
	r := Result{Found: s.stood, Why: s.why, Trials: s.trials}
	if !s.stood {
		return r
	}
	r.Knee, r.Limited = s.low, s.limited
	if !s.limited {
		r.Missed = s.high
	}
	return r
}
