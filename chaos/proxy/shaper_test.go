package proxy

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"shakedown/chaos"
	"shakedown/internal/units"
)

// send plays a stream through a shaper in virtual time and returns when each chunk's last byte went.
func send(s *shaper, l *lane, chunks []chunk) []time.Duration {
	var now time.Duration
	var done []time.Duration
	for _, c := range chunks {
		for {
			n, at := s.next(l, &c)
			now = max(now, c.arrived, at)
			s.sent(at, now)
			if c.data = c.data[n:]; len(c.data) == 0 {
				break
			}
		}
		done = append(done, now)
	}
	return done
}

func randomStream(rng *rand.Rand, n int) (chunks []chunk, bytes int) {
	var at time.Duration
	for i := range n {
		at += time.Duration(rng.Int64N(int64(2 * time.Millisecond)))
		size := 1 + rng.IntN(readBytes)
		chunks, bytes = append(chunks, chunk{data: make([]byte, size), seq: uint64(i), arrived: at}), bytes+size
	}
	return chunks, bytes
}

func TestDelaysNeverReorderNorShortenNorAddUp(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		delay := time.Duration(rng.Int64N(int64(20 * time.Millisecond)))
		spread := time.Duration(rng.Int64N(int64(delay + 1)))
		l := &compile(map[string]chaos.Effect{
			"e": {Delay: units.Duration(delay), Jitter: units.Duration(spread), Seed: seed},
		}).lanes[up]
		chunks, _ := randomStream(rng, 100)
		done := send(&shaper{key: seed}, l, chunks)
		if !slices.IsSorted(done) {
			t.Fatalf("seed %d: reordered", seed)
		}
		for i, at := range done {
			if lag := at - chunks[i].arrived; lag < delay-spread || lag > delay+spread {
				t.Fatalf("seed %d: chunk %d took %s, outside %s±%s", seed, i, lag, delay, spread)
			}
		}
	}
}

func TestALimitHoldsOverEverySpan(t *testing.T) {
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 2))
		rate := 1 + rng.Int64N(10<<20)
		chunks, bytes := randomStream(rng, 50)
		done := send(&shaper{}, &lane{rate: rate}, chunks)
		ideal := transmission(bytes, rate)
		if took := done[len(done)-1]; took < ideal-catchUp-time.Millisecond {
			t.Fatalf("seed %d: %d bytes at %d B/s took %s, less than %s", seed, bytes, rate, took, ideal)
		}
	}
}

func TestALimitDoesNotSaveUpWhatWasNotSent(t *testing.T) {
	s, l := &shaper{}, &lane{rate: 1000}
	first := chunk{data: make([]byte, 64)}
	_, at := s.next(l, &first)
	s.sent(at, at+time.Hour) // the write was blocked for an hour
	stale := chunk{data: make([]byte, 64), arrived: at}
	if _, next := s.next(l, &stale); next < at+time.Hour-catchUp+transmission(64, 1000) {
		t.Errorf("the next piece may go at %s: an hour's worth was saved up", next)
	}
}

func TestJitterIsPureInSeedStreamAndChunk(t *testing.T) {
	effect := func(seed uint64) *lane {
		return &compile(map[string]chaos.Effect{"j": {Delay: 1e6, Jitter: 1e6, Seed: seed}}).lanes[down]
	}
	draw := func(seed, key uint64) (all []time.Duration) {
		for n := range uint64(1000) {
			all = append(all, effect(seed).lag(key, n))
		}
		return all
	}
	k1, k2 := streamKey("a→b", 0, chaos.Upstream), streamKey("a→b", 0, chaos.Downstream)
	base := draw(1, k1)
	if !slices.Equal(base, draw(1, k1)) {
		t.Error("the same seed and stream do not replay")
	}
	if slices.Equal(base, draw(2, k1)) || slices.Equal(base, draw(1, k2)) {
		t.Error("another seed or stream draws the same")
	}
	var sum time.Duration
	for _, d := range base {
		sum += d
	}
	// The mean of 1000 uniform draws from [0, 2] ms has a standard deviation of 18 µs.
	if mean := sum / time.Duration(len(base)); mean < 900*time.Microsecond || mean > 1100*time.Microsecond {
		t.Errorf("the mean of 1ms±1ms is %s", mean)
	}
}

func TestEffectsAddUp(t *testing.T) {
	p := compile(map[string]chaos.Effect{
		"a": {Delay: 1, BytesPerSecond: 300}, "b": {Delay: 2, Direction: chaos.Upstream, BytesPerSecond: 200},
		"c": {Direction: chaos.Downstream, Hold: true}, "d": {Reset: true},
	})
	u, d := p.lanes[up], p.lanes[down]
	if !p.reset || u.delay != 3 || d.delay != 1 || u.rate != 200 || d.rate != 300 || u.hold || !d.hold {
		t.Errorf("got %+v", p)
	}
	if none := compile(nil); none.reset || !none.lanes[up].passes() || !none.lanes[down].passes() {
		t.Errorf("no effects: %+v", none)
	}
	for _, bad := range []chaos.Effect{{Direction: "sideways"}, {Delay: -1}, {Jitter: -1}, {BytesPerSecond: -1}} {
		if check(bad) == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
}

func TestAnAlarmNeverWakesEarly(t *testing.T) {
	a, err := newAlarm()
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	rng := rand.New(rand.NewPCG(7, 7))
	wait := make(chan time.Duration)
	for range 100 {
		at := monotonic() + time.Duration(rng.Int64N(int64(5*time.Millisecond)))
		go func() {
			s := &sleeper{wake: make(chan struct{}, 1)}
			a.set(s, at+time.Hour) // moved, not added
			a.set(s, at)
			<-s.wake
			wait <- monotonic() - at
		}()
	}
	for range 100 {
		if late := <-wait; late < 0 {
			t.Errorf("woke %s early", -late)
		}
	}
	if len(a.queue) != 0 {
		t.Errorf("%d sleepers are left", len(a.queue))
	}
}
