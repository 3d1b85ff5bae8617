package loadrun

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"shakedown/bench"
	"shakedown/bench/arrival"
	"shakedown/bench/load"
	"shakedown/internal/units"
)

// A shape is how a load is spread over time: a warm-up that is not measured, and then what is.
type shape struct {
	kind     string        // of arrivals; empty in closed loop
	from, to float64       // rates per second; to is that of a shape with two
	ramp     time.Duration // how long the rate takes from from to to; then it holds
	period   time.Duration // of a sine
	trace    []time.Duration
	closed   *bench.Closed
	warmup   time.Duration
	length   time.Duration
	said     string // what was chosen for the user, or nothing
}

// What a load is when nobody says otherwise.
const (
	DefaultRate     = 100 // per second
	DefaultDuration = 30 * time.Second
	DefaultWarmup   = 2 * time.Second
	DefaultTimeout  = 2 * time.Second
)

// Bounds of what is taken for meant.
const (
	maxUsers    = 1_000_000
	maxDuration = 7 * 24 * time.Hour
)

// Arrivals are what --arrival takes.
func Arrivals() []string {
	return []string{"constant", "poisson", "ramp", "step", "spike", "sine[:PERIOD]", "trace:FILE"}
}

// kinds are the arrival processes that package arrival makes from a rate or two.
var kinds = map[string]bench.Arrival{
	"constant": bench.Constant, "poisson": bench.Poisson, "ramp": bench.Ramp, "step": bench.Step, "spike": bench.Spike,
}

// newShape makes sense of the flags about rate and time. It reads the file of a trace.
func newShape(o Options) (shape, error) {
	s := shape{length: o.Duration, warmup: o.Warmup}
	kind, detail, detailed := strings.Cut(o.Arrival, ":")
	switch {
	case o.given("users") || o.given("think"):
		return s.usersOf(o)
	case kind == "trace":
		return s.traceOf(o, detail)
	}
	if _, ok := kinds[kind]; kind != "" && kind != "sine" && !ok {
		return s, fmt.Errorf("--arrival %s: there are %s", o.Arrival, strings.Join(Arrivals(), ", "))
	}
	if detailed && kind != "sine" {
		return s, fmt.Errorf("--arrival %s: only sine and trace take something after a colon", o.Arrival)
	}
	s.kind = kind
	if err := s.rates(o); err != nil {
		return s, err
	}
	if s.kind == "sine" {
		return s.sineOf(o, detail)
	}
	return s, s.check()
}

func (s shape) usersOf(o Options) (shape, error) {
	switch {
	case o.given("rate") || o.given("arrival"):
		return s, errors.New("--users is a closed loop, where answers set the pace; it excludes --rate and --arrival")
	case o.Users < 1 || o.Users > maxUsers:
		return s, fmt.Errorf("--users %d: must be 1 to %d", o.Users, maxUsers)
	case o.Think < 0 || o.Think > maxDuration:
		return s, fmt.Errorf("--think %v: must be 0s to %v", o.Think, maxDuration)
	}
	s.closed = &bench.Closed{Users: o.Users, Think: units.Duration(o.Think)}
	return s, s.check()
}

// rates reads --rate: "5000", "100..5000", "100..5000:30s".
func (s *shape) rates(o Options) error {
	text := o.Rate
	if text == "" {
		text = strconv.Itoa(DefaultRate)
		if !o.Search {
			s.said = fmt.Sprintf("no --rate and no --users: %d arrivals a second", DefaultRate)
		}
	}
	bad := func(why string) error { return fmt.Errorf("--rate %s: %s", text, why) }
	rates, ramp, timed := strings.Cut(text, ":")
	from, to, two := strings.Cut(rates, "..")
	var err error
	if s.from, err = perSecond(from); err == nil && two {
		s.to, err = perSecond(to)
	}
	if err != nil {
		return bad(err.Error())
	}
	if s.kind == "" {
		s.kind = map[bool]string{true: "ramp", false: "poisson"}[two]
	}
	switch single := s.kind == "poisson" || s.kind == "constant"; {
	case single && two:
		return bad(fmt.Sprintf("%s arrivals have one rate", s.kind))
	case !single && !two:
		return bad(fmt.Sprintf("a %s goes between two rates, such as 100..5000", s.kind))
	case timed && s.kind != "ramp":
		return bad(fmt.Sprintf("only a ramp has a time in its rate; that of a %s is --duration", s.kind))
	case !timed:
		return nil
	}
	if s.ramp, err = time.ParseDuration(ramp); err != nil || s.ramp <= 0 {
		return bad(fmt.Sprintf("%q is not a time, such as 30s", ramp))
	}
	if !o.given("duration") {
		s.length = s.ramp
	}
	if s.length < s.ramp {
		return bad(fmt.Sprintf("takes longer than --duration %v", s.length))
	}
	return nil
}

func perSecond(text string) (float64, error) {
	v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	switch {
	case err != nil || math.IsNaN(v) || math.IsInf(v, 0):
		return 0, fmt.Errorf("%q is not a number of arrivals a second; write 5000, 100..5000 or 100..5000:30s", text)
	case v < 0 || v > arrival.MaxRate:
		return 0, fmt.Errorf("must be 0 to %d arrivals a second", arrival.MaxRate)
	}
	return v, nil
}

// traceOf reads the file of a trace. Without --duration it lasts a moment longer than its last arrival.
func (s shape) traceOf(o Options, file string) (shape, error) {
	switch {
	case file == "":
		return s, errors.New("--arrival trace: say where it is: trace:FILE")
	case o.given("rate"):
		return s, errors.New("--rate: a trace says itself when requests are due")
	}
	f, err := os.Open(file)
	if err != nil {
		return s, fmt.Errorf("--arrival trace: %w", err)
	}
	defer func() { _ = f.Close() }()
	if s.trace, err = arrival.ParseTrace(f); err != nil {
		return s, fmt.Errorf("--arrival trace: %s: %w", file, err)
	}
	if len(s.trace) == 0 {
		return s, fmt.Errorf("--arrival trace: %s: there are no arrivals in it", file)
	}
	if s.kind = "trace"; !o.given("duration") {
		s.length = s.trace[len(s.trace)-1] + time.Millisecond
	}
	return s, s.check()
}

func (s shape) sineOf(o Options, period string) (shape, error) {
	s.period = s.length
	if period != "" {
		d, err := time.ParseDuration(period)
		if err != nil || d <= 0 {
			return s, fmt.Errorf("--arrival %s: %q is not a period, such as 10s", o.Arrival, period)
		}
		s.period = d
	}
	if s.to < s.from || s.to > 2*s.from {
		return s, fmt.Errorf("--rate %s: a sine goes from its mean to its peak, which is once to twice the mean", o.Rate)
	}
	return s, s.check()
}

// check looks at what no flag says alone.
func (s shape) check() error {
	switch {
	case s.length <= 0 || s.length > maxDuration:
		return fmt.Errorf("--duration %v: must be positive, and at most %v", s.length, maxDuration)
	case s.warmup < 0 || s.warmup > maxDuration:
		return fmt.Errorf("--warmup %v: must be 0s to %v", s.warmup, maxDuration)
	case s.closed == nil && max(s.from, s.to) == 0 && s.trace == nil:
		return errors.New("--rate 0: nothing would be sent")
	}
	return nil
}

// at is the shape of a trial of a search: one rate, all the time.
func (s shape) at(rate float64, length time.Duration) shape {
	s.from, s.length = rate, length
	return s
}

// searchable says whether the shape has one rate, which a search can change.
func (s shape) searchable() bool { return s.kind == "poisson" || s.kind == "constant" }

// phases are what the generator runs, each time anew, for arrivals are used up. With the same seed they are the same.
func (s shape) phases(seed uint64) ([]load.Phase, error) {
	var phases []load.Phase
	seeds := rand.New(rand.NewPCG(seed, 1))
	add := func(length time.Duration, judged bool, kind string, from, to float64) error {
		start := time.Duration(0)
		if n := len(phases); n > 0 {
			start = phases[n-1].End
		}
		ph := load.Phase{Start: start, End: start + length, Closed: s.closed, Judged: judged}
		if s.closed == nil {
			a, err := s.arrivals(kind, from, to, length, seeds.Uint64())
			if err != nil {
				return err
			}
			ph.Arrivals = a
		}
		phases = append(phases, ph)
		return nil
	}
	var errs []error
	if s.warmup > 0 {
		kind, rate := s.warming()
		errs = append(errs, add(s.warmup, false, kind, rate, 0))
	}
	if s.ramp > 0 && s.ramp < s.length {
		errs = append(errs, add(s.ramp, true, "ramp", s.from, s.to), add(s.length-s.ramp, true, "constant", s.to, 0))
	} else {
		errs = append(errs, add(s.length, true, s.kind, s.from, s.to))
	}
	return phases, errors.Join(errs...)
}

// warming is how the warm-up arrives: at the rate that the load begins with; before a trace, at its mean rate.
func (s shape) warming() (kind string, rate float64) {
	switch s.kind {
	case "trace":
		return "poisson", float64(len(s.trace)) / s.length.Seconds()
	case "poisson":
		return "poisson", s.from
	default:
		return "constant", s.from
	}
}

func (s shape) arrivals(kind string, from, to float64, length time.Duration, seed uint64) (*arrival.Process, error) {
	switch kind {
	case "sine":
		return arrival.NewSine(from, to, s.period, length)
	case "trace":
		return arrival.NewTrace(s.trace, length)
	default:
		return arrival.New(kinds[kind], from, to, length, seed)
	}
}

// scheduled is how many arrivals the measured phases have, counted by walking through them.
func (s shape) scheduled(seed uint64) (int64, error) {
	phases, err := s.phases(seed)
	if err != nil {
		return 0, err
	}
	var n int64
	for _, ph := range phases {
		if !ph.Judged || ph.Arrivals == nil {
			continue
		}
		for _, ok := ph.Arrivals.Next(); ok; _, ok = ph.Arrivals.Next() {
			n++
		}
	}
	return n, nil
}

// peak is the highest rate that the load comes to; 0 in closed loop.
func (s shape) peak() float64 {
	if s.kind != "trace" {
		return max(s.from, s.to)
	}
	busiest, first := 0, 0
	for i, due := range s.trace { // arrivals of any one second
		for s.trace[first] <= due-time.Second {
			first++
		}
		busiest = max(busiest, i-first+1)
	}
	return float64(busiest)
}

// String is the shape in a few words.
func (s shape) String() string {
	switch {
	case s.closed != nil:
		if s.closed.Think == 0 {
			return fmt.Sprintf("%d users", s.closed.Users)
		}
		return fmt.Sprintf("%d users who think for %v", s.closed.Users, s.closed.Think)
	case s.kind == "trace":
		return fmt.Sprintf("trace of %d arrivals", len(s.trace))
	case s.kind == "sine":
		return fmt.Sprintf("sine around %g/s, up to %g/s, every %v", s.from, s.to, s.period)
	case slices.Contains([]string{"ramp", "step", "spike"}, s.kind):
		return fmt.Sprintf("%s %g..%g/s", s.kind, s.from, s.to)
	default:
		return fmt.Sprintf("%s %g/s", s.kind, s.from)
	}
}
