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
	ignores, sticks   bool // Shape does nothing; Clear does nothing
	failsAt           string
	mu                sync.Mutex
	effects           map[string]chaos.Effect
	counters          chaos.Counters
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

func (l *fakeLink) Probe(ctx context.Context, giveUp time.Duration) (chaos.Probe, error) {
	l.mu.Lock()
	p := chaos.Probe{RoundTrip: 100 * units.Microsecond, BytesPerSecond: 1e9}
	for _, e := range l.effects {
		p.RoundTrip += 2 * e.Delay
		p.Lost = p.Lost || e.Hold
		p.Reset = p.Reset || e.Reset
		if e.BytesPerSecond > 0 {
			p.BytesPerSecond = min(p.BytesPerSecond, float64(e.BytesPerSecond))
		}
	}
	l.mu.Unlock()
	if p.Lost {
		p.RoundTrip = units.Duration(giveUp)
	}
	select {
	case <-time.After(p.RoundTrip.D()):
		return p, nil
	case <-ctx.Done():
		return p, ctx.Err()
	}
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

func two() (surface, *fakeLink, *fakeLink) {
	a, b := &fakeLink{name: "service-0→redis"}, &fakeLink{name: "service-1→redis"}
	return surface{a, b}, a, b
}

const edge = "service->redis"

// linkFaults are one of each fault that acts on links.
func linkFaults() map[string]chaos.Fault {
	return map[string]chaos.Fault{
		"latency":   &chaos.Latency{Link: edge, Delay: 10 * units.Millisecond},
		"bandwidth": &chaos.Bandwidth{Link: edge, BytesPerSecond: 10_000},
		"blackhole": &chaos.Blackhole{Link: edge},
		"reset":     &chaos.Reset{Link: edge},
	}
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
		s, _, b := two()
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
		s, a, _ := two()
		in, err := f.Inject(t.Context(), s)
		if err != nil || !in.Landed().Seen {
			t.Fatalf("%s, %v", in.Landed(), err)
		}
		if e, err := in.Heal(t.Context()); err != nil || e.Seen {
			t.Errorf("without traffic: %s, %v", e, err)
		}
		if in, err = f.Inject(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		a.counters = chaos.Counters{Delayed: 2, DelayedMicros: 20_000, Held: 2, Throttled: 2, Resets: 2}
		if e, err := in.Heal(t.Context()); err != nil || !e.Seen {
			t.Errorf("with traffic: %s, %v", e, err)
		}
	})
}

func TestAnEffectThatStaysIsAnErrorUntilItGoes(t *testing.T) {
	eachLinkFault(t, func(t *testing.T, f chaos.Fault) {
		s, a, _ := two()
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
		s, a, b := two()
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
		s, a, b := two()
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

func TestALinkThatDoesNotAnswerBeforeProvesNothing(t *testing.T) {
	eachLinkFault(t, func(t *testing.T, f chaos.Fault) {
		s, a, _ := two()
		_ = a.Shape(t.Context(), "other", chaos.Effect{Hold: true})
		in, err := f.Inject(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if in.Landed().Seen {
			t.Errorf("landed on a dead link: %s", in.Landed())
		}
	})
}

func TestAvailableSaysWhatThereIs(t *testing.T) {
	s, _, _ := two()
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
		var fs, again chaos.Faults
		if err := json.Unmarshal([]byte("["+text+"]"), &fs); err != nil {
			t.Error(err)
			continue
		}
		if got := fs[0].String(); got != want {
			t.Errorf("%s says %q, want %q", text, got, want)
		}
		out, err := json.Marshal(fs)
		if err != nil || json.Unmarshal(out, &again) != nil || !reflect.DeepEqual(fs, again) {
			t.Errorf("%s came back as %s, %v", text, out, err)
		}
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
