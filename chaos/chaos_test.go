package chaos_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"shakedown/chaos"
	"shakedown/internal/units"
)

// fakeLink is a link in virtual time. Its faults are what the tests are about.
type fakeLink struct {
	name              string
	network           string
	ignores, sticks   bool // Shape does nothing; Clear does nothing
	failsAt           string
	mu                sync.Mutex
	effects           map[string]chaos.Effect
	counters          chaos.Counters
	probes            int
	shaped, everClear int
}

func (l *fakeLink) Name() string { return l.name }

func (l *fakeLink) Shape(_ context.Context, id string, e chaos.Effect) error {
	if l.failsAt == "shape" {
		return errors.New("no shape today")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shaped++
	if !l.ignores {
		if l.effects == nil {
			l.effects = map[string]chaos.Effect{}
		}
		l.effects[id] = e
	}
	return nil
}

func (l *fakeLink) Clear(ctx context.Context, id string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.everClear++
	if !l.sticks {
		delete(l.effects, id)
	}
	return nil
}

func (l *fakeLink) Network() string { return l.network }

// InForce lists the effects; one that sticks is not listed, so that the probes have to find it.
func (l *fakeLink) InForce(context.Context) (ids []string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id := range l.effects {
		if !l.sticks {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func (l *fakeLink) Probe(ctx context.Context, giveUp time.Duration) (chaos.Probe, error) {
	p := l.probe()
	took := p.Took.D()
	switch {
	case p.Lost:
		took = giveUp
	case p.Closed || p.Reset:
		took = p.Lived.D()
	}
	select {
	case <-time.After(took):
		return p, nil
	case <-ctx.Done():
		return p, ctx.Err()
	}
}

// probe is what all effects add up to. Of connections, every tenth has a share of its effects; every second one has a lost
// segment, or a flipped bit.
func (l *fakeLink) probe() chaos.Probe {
	const ms = units.Millisecond
	l.mu.Lock()
	defer l.mu.Unlock()
	l.probes++
	p := chaos.Probe{First: ms / 10, RoundTrip: ms / 10, Took: ms / 2, End: ms / 10, BytesPerSecond: 1e9}
	if l.network == "udp" {
		p.Sent, p.Got = 100, 100
	}
	for _, e := range l.effects {
		if e.Share > 0 && l.probes%10 != 0 {
			continue
		}
		delay := e.Delay
		if e.Law == chaos.Traced {
			delay = e.Trace[l.probes%len(e.Trace)]
		}
		p.RoundTrip += 2 * delay
		p.First += 2*delay + e.ConnectDelay
		p.Took += 6 * delay
		if e.Loss > 0 && l.probes%2 == 0 {
			p.Took += 200 * ms
		}
		p.End += 2*delay + 2*e.SlowClose
		if e.SliceBytes > 0 {
			p.BytesPerSecond = min(p.BytesPerSecond, float64(e.SliceBytes)/e.SliceDelay.Seconds())
		}
		if e.BytesPerSecond > 0 {
			p.BytesPerSecond = min(p.BytesPerSecond, float64(e.BytesPerSecond))
		}
		p.Lost = p.Lost || e.Hold && !e.Close || e.HalfOpen
		p.Refused = p.Refused || e.Refuse
		p.Reset = p.Reset || e.Reset
		p.Closed = p.Closed || e.Close
		p.Lived = max(p.Lived, e.After)
		if e.Hold && e.Close {
			p.First, p.RoundTrip = 0, 0
		}
		if e.LimitBytes > 0 {
			p.Closed, p.Bytes = true, e.LimitBytes-1
		}
		p.Got -= int64(100 * e.Drop)
		p.Doubled += int64(100 * e.Duplicate)
		p.Reordered += int64(100 * e.Reorder)
		if l.probes%2 == 0 {
			p.Corrupt += int64(10 * e.Corrupt)
		}
	}
	if p.Lost {
		p.Got, p.Doubled, p.Reordered = 0, 0, 0
	}
	return p
}

func (l *fakeLink) Counters(context.Context) (chaos.Counters, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counters, nil
}

// surface has the links of one edge.
type surface []*fakeLink

func (s surface) Links(name string) (links []chaos.Link) {
	if name == "service→redis" {
		for _, l := range s {
			links = append(links, l)
		}
	}
	return links
}

func (surface) Processes(string) []chaos.Process { return nil }

func (surface) Names() (links, processes []string) {
	return []string{"service→redis", "service→postgres"}, []string{"redis"}
}

func two(network string) (surface, *fakeLink, *fakeLink) {
	a, b := &fakeLink{name: "service-0→redis", network: network}, &fakeLink{name: "service-1→redis", network: network}
	return surface{a, b}, a, b
}

const edge = "service->redis"

// linkFaults are one of each fault that acts on links, and more of those that can be told apart in several ways.
func linkFaults() map[string]chaos.Fault {
	const ms = units.Millisecond
	return map[string]chaos.Fault{
		"latency":          &chaos.Latency{Link: edge, Delay: 10 * ms},
		"latency normal":   &chaos.Latency{Link: edge, Delay: 10 * ms, Jitter: 10 * ms, Law: chaos.Normal},
		"latency pareto":   &chaos.Latency{Link: edge, Delay: 10 * ms, Jitter: 10 * ms, Law: chaos.Pareto},
		"latency trace":    &chaos.Latency{Link: edge, Law: chaos.Traced, Trace: []units.Duration{0, 10 * ms, 20 * ms}},
		"latency of some":  &chaos.Latency{Link: edge, Delay: 10 * ms, Share: 0.1},
		"loss":             &chaos.Loss{Link: edge, Rate: 0.1},
		"bandwidth":        &chaos.Bandwidth{Link: edge, BytesPerSecond: 10_000},
		"bandwidth shared": &chaos.Bandwidth{Link: edge, BytesPerSecond: 10_000, Scope: chaos.ScopeGroup},
		"slicer":           &chaos.Slicer{Link: edge, Bytes: 100, Spread: 10, Delay: ms},
		"blackhole":        &chaos.Blackhole{Link: edge},
		"blackhole, some":  &chaos.Blackhole{Link: edge, Share: 0.1},
		"half_open":        &chaos.HalfOpen{Link: edge},
		"reset":            &chaos.Reset{Link: edge},
		"reset later":      &chaos.Reset{Link: edge, After: 50 * ms},
		"close":            &chaos.Close{Link: edge},
		"timeout":          &chaos.Timeout{Link: edge, After: 100 * ms},
		"slow_close":       &chaos.SlowClose{Link: edge, Delay: 20 * ms},
		"limit_bytes":      &chaos.LimitBytes{Link: edge, Bytes: 1000},
		"refuse":           &chaos.Refuse{Link: edge},
		"connect_delay":    &chaos.ConnectDelay{Link: edge, Delay: 20 * ms},
		"corrupt":          &chaos.Corrupt{Link: edge, Rate: 0.1},
		"drop":             &chaos.Drop{Link: edge, Rate: 0.1},
		"duplicate":        &chaos.Duplicate{Link: edge, Rate: 0.1},
		"reorder":          &chaos.Reorder{Link: edge, Rate: 0.1},
	}
}

// networkOf is what a fault needs.
func networkOf(f chaos.Fault) string {
	switch f.Kind() {
	case "drop", "duplicate", "reorder":
		return "udp"
	}
	return "tcp"
}

// met are counters of traffic that met everything.
var met = chaos.Counters{
	Delayed: 2, DelayedMicros: 20_000, Delays: chaos.Histogram{chaos.Bucket(10 * time.Millisecond): 2},
	Asked: chaos.Histogram{chaos.Bucket(10 * time.Millisecond): 2},
	Lost:  1, Held: 2, Throttled: 2, Sliced: 9, Resets: 2, Closes: 2, Limited: 1, HalfOpened: 1, ConnectDelays: 1, SlowCloses: 1,
	Corrupted: 1, Dropped: 1, Duplicated: 1, Reordered: 1,
}

// eachLinkFault runs a claim about every fault of links in virtual time.
func eachLinkFault(t *testing.T, claim func(*testing.T, chaos.Fault)) {
	t.Helper()
	for kind, f := range linkFaults() {
		t.Run(kind, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { claim(t, f) }) })
	}
}

func TestAnEffectThatDoesNotShowIsNotSeen(t *testing.T) {
	eachLinkFault(t, func(t *testing.T, f chaos.Fault) {
		s, _, b := two(networkOf(f))
		b.ignores = true // one of two is enough: the evidence is the worst
		in, err := f.Inject(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if e := in.Landed(); e.Seen || !strings.Contains(e.What, b.name) {
			t.Errorf("landed: %s", e)
		}
	})
}

func TestAnEffectThatNoTrafficMetIsNotSeen(t *testing.T) {
	eachLinkFault(t, func(t *testing.T, f chaos.Fault) {
		s, a, _ := two(networkOf(f))
		in, err := f.Inject(t.Context(), s)
		if err != nil || !in.Landed().Seen {
			t.Fatalf("%s, %v", in.Landed(), err)
		}
		if e, err := in.Heal(t.Context()); err != nil || e.Seen && f.Kind() != "refuse" { // which no traffic comes through
			t.Errorf("without traffic: %s, %v", e, err)
		}
		if in, err = f.Inject(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		a.counters = met
		if e, err := in.Heal(t.Context()); err != nil || !e.Seen {
			t.Errorf("with traffic: %s, %v", e, err)
		}
	})
}

func TestAnEffectThatStaysIsAnErrorUntilItGoes(t *testing.T) {
	eachLinkFault(t, func(t *testing.T, f chaos.Fault) {
		s, a, _ := two(networkOf(f))
		a.sticks = true
		in, err := f.Inject(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := in.Heal(t.Context()); err == nil || !strings.Contains(err.Error(), a.name+" still shows it") {
			t.Errorf("healing what stays: %v", err)
		}
		a.sticks = false
		if _, err := in.Heal(t.Context()); err != nil {
			t.Errorf("healing again: %v", err)
		}
	})
}

func TestHealingClearsAlsoWhenTheContextIsDone(t *testing.T) {
	eachLinkFault(t, func(t *testing.T, f chaos.Fault) {
		s, a, b := two(networkOf(f))
		in, err := f.Inject(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, _ = in.Heal(ctx) // cannot prove it gone any more
		if len(a.effects)+len(b.effects) > 0 {
			t.Error("an effect is left")
		}
	})
}

func TestAFailedInjectionLeavesNothing(t *testing.T) {
	eachLinkFault(t, func(t *testing.T, f chaos.Fault) {
		s, a, b := two(networkOf(f))
		b.failsAt = "shape"
		in, err := f.Inject(t.Context(), s)
		if err == nil || in != nil || !strings.Contains(err.Error(), b.name) {
			t.Errorf("got %v, %v", in, err)
		}
		if a.shaped != 1 || len(a.effects) != 0 || a.everClear == 0 {
			t.Errorf("the first link: shaped %d times, %d effects left", a.shaped, len(a.effects))
		}
	})
}

func TestALinkThatDoesNotAnswerProvesNothing(t *testing.T) {
	eachLinkFault(t, func(t *testing.T, f chaos.Fault) {
		s, a, _ := two(networkOf(f))
		_ = a.Shape(t.Context(), "other", chaos.Effect{Hold: true})
		in, err := f.Inject(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if in.Landed().Seen {
			t.Errorf("landed on a dead link: %s", in.Landed())
		}
		if _, err := in.Heal(t.Context()); err != nil {
			t.Errorf("healing beside what hides it: %v", err)
		}
		if in.Landed().Seen {
			t.Errorf("landed on a link that was dead to the end: %s", in.Landed())
		}
	})
}

func TestAnEffectThatWasHiddenIsSeenLate(t *testing.T) {
	eachLinkFault(t, func(t *testing.T, f chaos.Fault) {
		s, a, _ := two(networkOf(f))
		_ = a.Shape(t.Context(), "other", chaos.Effect{Reset: true})
		in, err := f.Inject(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Clear(t.Context(), "other"); err != nil {
			t.Fatal(err)
		}
		if _, err := in.Heal(t.Context()); err != nil || !in.Landed().Seen {
			t.Errorf("%s, %v", in.Landed(), err)
		}
	})
}

func TestWhatAnotherFaultHidesCanBeHealed(t *testing.T) {
	eachLinkFault(t, func(t *testing.T, f chaos.Fault) {
		s, a, _ := two(networkOf(f))
		in, err := f.Inject(t.Context(), s)
		if err != nil || !in.Landed().Seen {
			t.Fatalf("%s, %v", in.Landed(), err)
		}
		_ = a.Shape(t.Context(), "other", chaos.Effect{Reset: true})
		if _, err := in.Heal(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestFaultsSayWhatCarriesThem(t *testing.T) {
	for _, f := range linkFaults() {
		other := map[string]string{"tcp": "udp", "udp": "tcp"}[networkOf(f)]
		s, _, _ := two(other)
		err := f.Available(s)
		switch f.Kind() {
		case "latency", "bandwidth", "blackhole", "corrupt":
			if err != nil {
				t.Errorf("%s on %s: %v", f, other, err)
			}
		default:
			if err == nil || !strings.Contains(err.Error(), "carries") {
				t.Errorf("%s on %s: %v", f, other, err)
			}
		}
	}
}

func TestAvailableSaysWhatThereIs(t *testing.T) {
	s, _, _ := two("tcp")
	for _, tc := range []struct {
		fault chaos.Fault
		want  string
	}{
		{&chaos.Latency{Link: edge, Delay: 1}, ""},
		{&chaos.Reset{Link: "service→mysql"}, "no link service→mysql; this run has service→redis, service→postgres"},
		{&chaos.Blackhole{Link: "a->b"}, "no link a→b; this run has service→redis, service→postgres"},
		{&chaos.Kill{Process: "mysql"}, "no process mysql; this run has redis"},
		{&chaos.Pause{Process: "mysql"}, "no process mysql; this run has redis"},
	} {
		got := ""
		if err := tc.fault.Available(s); err != nil {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("%s: %q, want %q", tc.fault, got, tc.want)
		}
	}
}

func TestFaultsReadAndSayThemselves(t *testing.T) {
	for text, want := range map[string]string{
		`{"kind":"latency","link":"service->redis","delay":"20ms"}`:                            "latency 20ms each way on service→redis",
		`{"kind":"latency","link":"a→b","delay":"20ms","jitter":"5ms","direction":"upstream"}`: "latency 20ms±5ms upstream on a→b",
		`{"kind":"bandwidth","link":"a→b","bytes_per_second":1000,"direction":"downstream"}`:   "bandwidth 1000 B/s downstream on a→b",
		`{"kind":"blackhole","link":"a→b"}`:                                                    "blackhole on a→b",
		`{"kind":"blackhole","link":"a→b","direction":"upstream"}`:                             "blackhole upstream on a→b",
		`{"kind":"reset","link":"a→b"}`:                                                        "reset on a→b",
		`{"kind":"kill","process":"redis"}`:                                                    "kill redis",
		`{"kind":"pause","process":"redis"}`:                                                   "pause redis",
	} {
		says(t, text, want)
	}
}

// says reads a fault, which says what it is in a few words, and comes back as it was when it is written and read again.
func says(t *testing.T, text, want string) {
	t.Helper()
	var fs, again chaos.Faults
	if err := json.Unmarshal([]byte("["+text+"]"), &fs); err != nil {
		t.Error(err)
		return
	}
	if got := fs[0].String(); got != want {
		t.Errorf("%s says %q, want %q", text, got, want)
	}
	out, err := json.Marshal(fs)
	if err != nil || json.Unmarshal(out, &again) != nil || !reflect.DeepEqual(fs, again) {
		t.Errorf("%s came back as %s, %v", text, out, err)
	}
}

func TestWrongFaultsAreRefusedWithAReason(t *testing.T) {
	for text, want := range map[string]string{
		`{"link":"a→b"}`:                                                      "needs a kind",
		`{"kind":"flood"}`:                                                    "unknown kind",
		`{"kind":"latency","link":"a→b"}`:                                     "delay is 0s",
		`{"kind":"latency","delay":"1s"}`:                                     "link is missing",
		`{"kind":"latency","link":"→redis","delay":"1s"}`:                     "is not an edge",
		`{"kind":"latency","link":"a→b","delay":"1s","jitter":"1s"}`:          "jitter is 1s",
		`{"kind":"latency","link":"a→b","delay":"1s","jitter":"-1s"}`:         "jitter is -1s",
		`{"kind":"latency","link":"a→b","delay":"1s","direction":"sideways"}`: "direction",
		`{"kind":"latency","link":"a→b","delay":"1s","dely":"1s"}`:            "dely",
		`{"kind":"bandwidth","link":"a→b"}`:                                   "bytes_per_second is 0",
		`{"kind":"blackhole","link":"a→"}`:                                    "is not an edge",
		`{"kind":"kill"}`:                                                     "process is missing",
		`{"kind":"pause"}`:                                                    "process is missing",
	} {
		var fs chaos.Faults
		if err := json.Unmarshal([]byte("["+text+"]"), &fs); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
