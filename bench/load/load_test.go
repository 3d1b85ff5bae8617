package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"shakedown/bench"
	"shakedown/internal/units"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// every yields arrivals at equal gaps.
type every struct {
	gap, until, at time.Duration
}

func (e *every) Next() (time.Duration, bool) {
	due := e.at
	e.at += e.gap
	return due, due < e.until
}

func open(perSecond int, start, length time.Duration) Phase {
	return Phase{Start: start, End: start + length, Arrivals: &every{gap: time.Second / time.Duration(perSecond), until: length}}
}

// clientFunc is a fake server.
type clientFunc func(ctx context.Context, seq uint64, timeout time.Duration) Answer

func (f clientFunc) Do(ctx context.Context, seq uint64, _ bench.Request, timeout time.Duration) Answer {
	return f(ctx, seq, timeout)
}

func answers(context.Context, uint64, time.Duration) Answer { return Answer{Outcome: bench.OK} }

// hangs answers nothing until it times out or is cut off.
func hangs(ctx context.Context, _ uint64, timeout time.Duration) Answer {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	<-ctx.Done()
	return Answer{}
}

// memory is a sink that keeps all, until it breaks.
type memory struct {
	mu      sync.Mutex
	samples []bench.Sample
	points  []point
	breakAt int // number of samples; 0: never
}

var errBroken = errors.New("disk full")

func (m *memory) Samples(s []bench.Sample) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.samples = append(m.samples, s...)
	if m.breakAt > 0 && len(m.samples) >= m.breakAt {
		return errBroken
	}
	return nil
}

func (m *memory) InFlight(at time.Duration, n int64) error {
	m.points = append(m.points, point{at, n})
	return nil
}

func plan(t testing.TB, c Client, phases ...Phase) (Plan, *memory) {
	t.Helper()
	stream, err := bench.NewStream(bench.Workload{
		Ops: []bench.Op{{Name: "get", Path: "/item/{key}", Keys: bench.Keys{Dist: "uniform", N: 1000}}, {Name: "list", Path: "/items"}},
		SLO: units.Second, Timeout: units.Second,
	}, 1)
	if err != nil {
		t.Fatal(err)
	}
	m := &memory{}
	return Plan{Phases: phases, Requests: stream, Timeout: time.Minute, Client: c, Sink: m, Seed: 1}, m
}

// check fails unless the books balance and every scheduled arrival left one sample that agrees with the stream.
func check(t *testing.T, p Plan, m *memory, s Stats) {
	t.Helper()
	if !s.Ledger.Balances() {
		t.Fatalf("the ledger does not balance: %+v", s.Ledger)
	}
	if int64(len(m.samples)) != s.Ledger.Scheduled {
		t.Fatalf("%d samples of %d scheduled arrivals", len(m.samples), s.Ledger.Scheduled)
	}
	var counted bench.Ledger
	slices.SortFunc(m.samples, func(a, b bench.Sample) int { return int(a.Seq) - int(b.Seq) })
	for i, sample := range m.samples {
		counted.Add(sample.Outcome)
		r := p.Requests.Next(uint64(i))
		switch {
		case sample.Seq != uint64(i):
			t.Fatalf("sample %d has sequence number %d", i, sample.Seq)
		case sample.Op != r.Op || sample.Key != r.Key:
			t.Fatalf("sample %d: op %d and key %d; the stream says %d and %d", i, sample.Op, sample.Key, r.Op, r.Key)
		case sample.Outcome == bench.Unsent && sample.Sent != 0:
			t.Fatalf("sample %d is unsent and was sent at %v", i, sample.Sent)
		case sample.Outcome != bench.Unsent && sample.Sent < sample.Due:
			t.Fatalf("sample %d left at %v, before it was due at %v", i, sample.Sent, sample.Due)
		case sample.Done < max(sample.Sent, sample.Due):
			t.Fatalf("sample %d was done at %v, before %v", i, sample.Done, max(sample.Sent, sample.Due))
		}
	}
	counted.Scheduled = int64(len(m.samples))
	if counted != s.Ledger {
		t.Fatalf("the samples come to %+v, the ledger to %+v", counted, s.Ledger)
	}
}

func TestEveryScheduledArrivalEndsInExactlyOneOutcome(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 7))
			moody := func(ctx context.Context, seq uint64, timeout time.Duration) Answer {
				mood := rand.New(rand.NewPCG(seed, seq))
				switch mood.IntN(4) {
				case 0:
					return hangs(ctx, seq, timeout)
				case 1:
					return hangs(ctx, seq, time.Duration(mood.IntN(int(20*time.Millisecond))))
				}
				return Answer{Outcome: bench.Outcomes()[mood.IntN(6)], Value: int64(seq)}
			}
			p, m := plan(t, clientFunc(moody),
				open(1+rng.IntN(3000), 0, 100*time.Millisecond),
				Phase{Start: 100 * time.Millisecond, End: 150 * time.Millisecond, Closed: &bench.Closed{Users: 1 + rng.IntN(20)}},
				Phase{Start: 150 * time.Millisecond, End: 200 * time.Millisecond, Closed: &bench.Closed{Users: 30, Think: units.Millisecond}},
				Phase{Start: 200 * time.Millisecond, End: 210 * time.Millisecond},
				open(1+rng.IntN(3000), 220*time.Millisecond, 50*time.Millisecond),
			)
			p.Timeout = time.Duration(1 + rng.IntN(int(100*time.Millisecond)))
			p.Drain = time.Duration(rng.IntN(int(100 * time.Millisecond)))
			p.MaxInFlight = 1 + rng.IntN(200)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if aborted := seed%3 == 0; aborted {
				time.AfterFunc(time.Duration(rng.IntN(int(200*time.Millisecond))), cancel)
			}
			s, err := Run(ctx, p)
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			check(t, p, m, s)
		})
	}
}

func TestAnOpenLoopDoesNotWaitForAnswers(t *testing.T) {
	var arrived atomic.Int64
	all := make(chan struct{})
	p, m := plan(t, clientFunc(func(ctx context.Context, _ uint64, _ time.Duration) Answer {
		if arrived.Add(1) == 200 {
			close(all)
		}
		select {
		case <-all: // no one is answered before everyone has arrived
			return Answer{Outcome: bench.OK}
		case <-ctx.Done():
			return Answer{}
		}
	}), open(1000, 0, 200*time.Millisecond))
	s, err := Run(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	check(t, p, m, s)
	if s.Ledger.OK != 200 {
		t.Errorf("%+v; want 200 ok", s.Ledger)
	}
	for i, sample := range m.samples {
		if want := time.Duration(i) * time.Millisecond; sample.Due != want {
			t.Fatalf("arrival %d is due at %v, want the computed %v", i, sample.Due, want)
		}
	}
}

// witness is a sink that says when it has been told of two requests in flight.
type witness struct {
	*memory
	once sync.Once
	seen chan struct{}
}

func (w *witness) InFlight(at time.Duration, n int64) error {
	if n >= 2 {
		w.once.Do(func() { close(w.seen) })
	}
	return w.memory.InFlight(at, n)
}

func TestWhatIsInFlightIsSeenWhileItIs(t *testing.T) {
	w := &witness{seen: make(chan struct{})}
	p, m := plan(t, clientFunc(func(ctx context.Context, _ uint64, _ time.Duration) Answer {
		select {
		case <-w.seen:
			return Answer{Outcome: bench.OK}
		case <-ctx.Done():
			return Answer{}
		}
	}), open(100, 0, 50*time.Millisecond))
	w.memory = m
	p.Sink = w
	s, err := Run(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	check(t, p, m, s)
	if s.Ledger.OK != 5 {
		t.Errorf("%+v: the sink was not told of two requests in flight while there were", s.Ledger)
	}
	if last := m.points[len(m.points)-1]; last.n != 0 {
		t.Errorf("%d in flight at the end", last.n)
	}
}

func TestALateGeneratorSendsAllThatIsDueAndNeverSkips(t *testing.T) {
	p, m := plan(t, clientFunc(answers), open(1000, -time.Hour, 50*time.Millisecond), open(1000, 0, 10*time.Millisecond))
	p.Phases[0].Start = 0
	p.Phases[0].End = 0 // its arrivals lie in the past as soon as the second phase begins
	s, err := Run(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	check(t, p, m, s)
	if s.Ledger.OK != 60 {
		t.Errorf("%+v; want 60 ok", s.Ledger)
	}
}

func TestPastTheGuardAnArrivalIsUnsentAndCounted(t *testing.T) {
	p, m := plan(t, clientFunc(hangs), open(1000, 0, 100*time.Millisecond))
	p.MaxInFlight = 10
	p.Drain = time.Millisecond
	s, err := Run(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	check(t, p, m, s)
	if l := s.Ledger; l.Scheduled != 100 || l.Unsent < 90 || l.Unsure == 0 || l.Unsure+l.Unsent != 100 {
		t.Errorf("%+v; want 10 in flight and unsure, and 90 unsent", l)
	}
}

func TestWhatIsInFlightAtTheEndIsCutOffAndUnsure(t *testing.T) {
	p, m := plan(t, clientFunc(func(ctx context.Context, _ uint64, _ time.Duration) Answer {
		<-ctx.Done()
		return Answer{Outcome: bench.Failed} // as a client says whose dial was cut off
	}), open(1000, 0, 20*time.Millisecond), Phase{Start: 20 * time.Millisecond, End: 200 * time.Millisecond})
	p.Drain = time.Nanosecond
	s, err := Run(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	check(t, p, m, s)
	if l := s.Ledger; l.Scheduled != 20 || l.Failed != 0 || l.Unsure == 0 || l.Unsure+l.Unsent != 20 {
		t.Errorf("%+v; want 20 unsure", l)
	}
}

func TestAnAbortedLoadBalancesAndSaysWhy(t *testing.T) {
	why := errors.New("the user pressed Ctrl-C")
	ctx, cancel := context.WithCancelCause(t.Context())
	var sent atomic.Int64
	p, m := plan(t, clientFunc(func(ctx context.Context, seq uint64, timeout time.Duration) Answer {
		if sent.Add(1) == 21 {
			cancel(why)
		}
		return hangs(ctx, seq, timeout)
	}), open(1000, 0, time.Hour), Phase{Start: time.Hour, End: 2 * time.Hour, Closed: &bench.Closed{Users: 3}})
	s, err := Run(ctx, p)
	if !errors.Is(err, why) {
		t.Errorf("error %v, want %v", err, why)
	}
	check(t, p, m, s)
	if s.Ledger.Unsure < 21 || s.Ledger.OK+s.Ledger.Failed != 0 {
		t.Errorf("%+v; want the 21 in flight unsure", s.Ledger)
	}
}

func TestASinkThatFailsEndsTheLoad(t *testing.T) {
	p, m := plan(t, clientFunc(answers), open(1000, 0, time.Hour))
	m.breakAt = 1
	s, err := Run(t.Context(), p)
	if !errors.Is(err, errBroken) {
		t.Errorf("error %v, want %v", err, errBroken)
	}
	if !s.Ledger.Balances() {
		t.Errorf("the ledger does not balance: %+v", s.Ledger)
	}
}

func TestAUserOfAClosedLoopAsksOneThingAtATime(t *testing.T) {
	var in atomic.Int64
	var most atomic.Int64
	p, m := plan(t, clientFunc(func(ctx context.Context, seq uint64, _ time.Duration) Answer {
		if n := in.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer in.Add(-1)
		return Answer{Outcome: hangs(ctx, seq, time.Millisecond).Outcome}
	}),
		// The second phase takes the users of the first over: a user who waits is not joined by a second self.
		Phase{End: 50 * time.Millisecond, Closed: &bench.Closed{Users: 5}},
		Phase{Start: 50 * time.Millisecond, End: 100 * time.Millisecond, Closed: &bench.Closed{Users: 5, Think: 100 * units.Microsecond}},
		Phase{Start: 100 * time.Millisecond, End: 150 * time.Millisecond, Closed: &bench.Closed{Users: 2}})
	s, err := Run(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	check(t, p, m, s)
	if most.Load() > 5 || s.Users != 5 {
		t.Errorf("%d in flight at once and %d users; want 5", most.Load(), s.Users)
	}
	for _, sample := range m.samples {
		if sample.Due >= 150*time.Millisecond {
			t.Errorf("sample %d is due at %v, after the last phase", sample.Seq, sample.Due)
		}
	}
	if s.Ledger.Scheduled < 5 {
		t.Errorf("%+v; every user asks at once when there is nothing to think", s.Ledger)
	}
}

// Users who all asked at time zero would begin a trial with a burst that no rate explains.
func TestUsersDoNotBeginInStep(t *testing.T) {
	const users = 20
	p, m := plan(t, clientFunc(answers), Phase{End: 300 * time.Millisecond, Closed: &bench.Closed{Users: users, Think: 50 * units.Millisecond}})
	s, err := Run(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	check(t, p, m, s)
	early := 0
	for _, sample := range m.samples {
		if sample.Due < time.Millisecond {
			early++
		}
	}
	if early > users/4 { // a share of 1 − e^(−1/50) of them is due in the first ms: less than one
		t.Errorf("%d of %d users ask in the first millisecond, with a think time of 50 ms", early, users)
	}
}

func TestTheLiveViewAddsUp(t *testing.T) {
	p, m := plan(t, clientFunc(answers), open(500, 0, 3*TickEvery))
	var ticks []Tick
	p.OnTick = func(tick Tick) { ticks = append(ticks, tick) }
	s, err := Run(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	check(t, p, m, s)
	if len(ticks) == 0 {
		t.Fatal("no tick")
	}
	var sum bench.Ledger
	for _, tick := range ticks {
		sum = minus(sum, minus(bench.Ledger{}, tick.Interval))
		if sum != tick.Ledger {
			t.Errorf("at %v the intervals come to %+v, the ledger to %+v", tick.At, sum, tick.Ledger)
		}
		if tick.P50 > tick.P99 || tick.Interval.OK > 0 && tick.P50 <= 0 {
			t.Errorf("at %v: p50 %v, p99 %v", tick.At, tick.P50, tick.P99)
		}
	}
	if last := ticks[len(ticks)-1]; last.Ledger != s.Ledger || last.InFlight != 0 {
		t.Errorf("the last tick says %+v with %d in flight; the end is %+v", last.Ledger, last.InFlight, s.Ledger)
	}
}

func TestStatsAreOverTheJudgedPhases(t *testing.T) {
	at := func(ms int) time.Duration { return time.Duration(ms) * time.Millisecond }
	p, _ := plan(t, clientFunc(answers), Phase{End: at(200)}, Phase{Start: at(200), End: at(250)}, Phase{Start: at(250), End: at(300)},
		Phase{Start: at(300), End: at(500)})
	if from, to := p.window(); from != 0 || to != at(500) {
		t.Errorf("with nothing judged the window is %v to %v", from, to)
	}
	p.Phases[1].Judged, p.Phases[2].Judged = true, true
	if from, to := p.window(); from != at(200) || to != at(300) {
		t.Errorf("the window is %v to %v", from, to)
	}
	for _, c := range []struct {
		name string
		ms   []int // when the observer's ticker fired; the last is the end of the load
		want float64
	}{
		{"the whole load", []int{0, 199, 201, 250, 299, 302, 400, 500}, 0.101},
		{"aborted within", []int{0, 200, 250}, 0.050},
		{"aborted before", []int{0, 100}, 0},
	} {
		o := observer{plan: &p}
		for i, ms := range c.ms {
			o.watch(at(ms), i == len(c.ms)-1)
		}
		s, err := o.stats()
		if err != nil {
			t.Fatal(err)
		}
		if s.WallS != c.want || c.want > 0 && s.MaxRSSMB <= 0 || s.CPUS < 0 || s.StealS < 0 || s.IdleS < 0 || s.GCPauseMS < 0 {
			t.Errorf("%s: %+v; want a window of %v s", c.name, s, c.want)
		}
	}
}

func TestPlansThatMakeNoSenseAreRefused(t *testing.T) {
	for name, spoil := range map[string]func(*Plan){
		"no client":       func(p *Plan) { p.Client = nil },
		"two clients":     func(p *Plan) { p.Wire = &Wire{} },
		"no requests":     func(p *Plan) { p.Requests = nil },
		"no timeout":      func(p *Plan) { p.Timeout = 0 },
		"no phases":       func(p *Plan) { p.Phases = nil },
		"negative drain":  func(p *Plan) { p.Drain = -1 },
		"negative guard":  func(p *Plan) { p.MaxInFlight = -1 },
		"phases overlap":  func(p *Plan) { p.Phases = append(p.Phases, p.Phases[0]) },
		"backward phase":  func(p *Plan) { p.Phases[0].Start = p.Phases[0].End + 1 },
		"two loops":       func(p *Plan) { p.Phases[0].Closed = &bench.Closed{Users: 1} },
		"no users":        func(p *Plan) { p.Phases[0] = Phase{End: 1, Closed: &bench.Closed{}} },
		"negative think":  func(p *Plan) { p.Phases[0] = Phase{End: 1, Closed: &bench.Closed{Users: 1, Think: -1}} },
		"before the zero": func(p *Plan) { p.Phases[0].Start = -1 },
	} {
		p, m := plan(t, clientFunc(answers), open(10, 0, time.Millisecond))
		spoil(&p)
		if s, err := Run(t.Context(), p); err == nil || s.Ledger.Scheduled != 0 || len(m.samples) != 0 {
			t.Errorf("%s: error %v, %+v", name, err, s)
		}
	}
}

func TestQuantileIsAValueThatWasSeen(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	for _, c := range []struct {
		of   []time.Duration
		q    float64
		want time.Duration
	}{{nil, 0.5, 0}, {[]time.Duration{7}, 0.99, 7}, {[]time.Duration{7}, 0.5, 7}, {hundred, 0.5, 50}, {hundred, 0.99, 99}, {hundred, 1, 100}, {hundred[:3], 0.5, 2}} {
		if got := quantile(c.of, c.q); got != c.want {
			t.Errorf("quantile %v of %d values is %v, want %v", c.q, len(c.of), got, c.want)
		}
	}
}
