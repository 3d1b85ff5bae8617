package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"shakedown/bench"
	"shakedown/bench/record"
	"shakedown/chaos"
	"shakedown/internal/clock"
	"shakedown/internal/units"
)

// diary keeps what happened, in order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) note(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}

// Fault and Healed make a diary a journal.
func (d *diary) Fault(text, _ string, _ ...string) (int, error) {
	if text == "unwritable" {
		return 0, errors.New("disk full")
	}
	d.note("journal %s", text)
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.lines), nil
}

func (d *diary) Healed(entry int) error {
	d.mu.Lock()
	text := strings.TrimPrefix(d.lines[entry-1], "journal ")
	d.mu.Unlock()
	d.note("journal %s healed", text)
	return nil
}

// fakeFault notes what is done to it.
type fakeFault struct {
	diary                          *diary
	name                           string
	unavailable, broken, unhealing bool
	onInject                       func()
}

func (f *fakeFault) Kind() string    { return "fake" }
func (f *fakeFault) String() string  { return f.name }
func (f *fakeFault) Validate() error { return nil }

func (f *fakeFault) Available(chaos.Surface) error {
	if f.unavailable {
		return errors.New("nothing to act on")
	}
	return nil
}

func (f *fakeFault) Inject(context.Context, chaos.Surface) (chaos.Injection, error) {
	f.diary.note("inject %s", f.name)
	if f.onInject != nil {
		f.onInject()
	}
	if f.broken {
		return nil, errors.New("cannot inject " + f.name)
	}
	return f, nil
}

func (f *fakeFault) Landed() chaos.Evidence { return chaos.Evidence{What: f.name, Seen: true} }

func (f *fakeFault) Heal(ctx context.Context) (chaos.Evidence, error) {
	f.diary.note("heal %s", f.name)
	if err := ctx.Err(); err != nil {
		return chaos.Evidence{}, err
	}
	if f.unhealing {
		return chaos.Evidence{}, errors.New("cannot heal " + f.name)
	}
	return chaos.Evidence{What: f.name + " acted", Seen: true}, nil
}

// newTimeline is a timeline of phases that last a millisecond each.
func newTimeline(d *diary, phases []bench.Phase) *timeline {
	for i := range phases {
		phases[i].For = units.Millisecond
	}
	return &timeline{
		clock: clock.Now, zero: clock.Now(), journal: d, spans: spansFor(phases, 0),
		event:   func(e record.Event) { d.note("event %s %s", e.Kind, e.Name) },
		entered: func(p bench.Phase) { d.note("enter %s", p.Name) },
		changed: func(f record.FaultSpan, active bool) { d.note("%s active=%t", f.Fault, active) },
	}
}

// acts are the lines of the diary that start with one of the words.
func (d *diary) acts(words ...string) []string {
	var acts []string
	for _, line := range d.lines {
		if word, _, _ := strings.Cut(line, " "); slices.Contains(words, word) {
			acts = append(acts, line)
		}
	}
	return acts
}

func wantActs(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("what happened:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func TestFaultsAreInForceForTheirPhaseAndHealedLastFirst(t *testing.T) {
	d := &diary{}
	phases := []bench.Phase{
		{Name: "before"},
		{Name: "during", Faults: chaos.Faults{&fakeFault{diary: d, name: "a"}, &fakeFault{diary: d, name: "b"}}},
		{Name: "after"},
		{Name: "again", Faults: chaos.Faults{&fakeFault{diary: d, name: "c"}}},
	}
	tl := newTimeline(d, phases)
	if err := tl.run(t.Context(), phases); err != nil {
		t.Fatal(err)
	}
	wantActs(t, d.acts("enter", "inject", "heal"),
		"enter before", "enter during", "inject a", "inject b", "heal b", "heal a", "enter after", "enter again", "inject c", "heal c")
	for i, want := range []int{0, 2, 0, 1} {
		if got := len(tl.spans[i].Faults); got != want {
			t.Errorf("phase %s is recorded with %d faults, want %d", tl.spans[i].Name, got, want)
		}
	}
	for _, f := range tl.spans[1].Faults {
		if f.Healed < f.Injected || f.Healed < tl.spans[1].End || !f.Landed.Seen || !f.Effect.Seen {
			t.Errorf("fault %s is recorded as injected at %v, healed at %v, landed %v, effect %v", f.Fault, f.Injected, f.Healed, f.Landed, f.Effect)
		}
	}
}

func TestTheJournalKnowsOfAFaultBeforeItActsAndAfterItIsGone(t *testing.T) {
	d := &diary{}
	phases := []bench.Phase{{Name: "p", Faults: chaos.Faults{&fakeFault{diary: d, name: "a"}}}}
	if err := newTimeline(d, phases).run(t.Context(), phases); err != nil {
		t.Fatal(err)
	}
	wantActs(t, d.lines,
		"event phase p", "enter p",
		"journal a", "inject a", "event fault_injected a", "a active=true",
		"heal a", "event fault_healed a", "a active=false", "journal a healed")
}

func TestAFaultThatTheJournalCannotNoteDoesNotAct(t *testing.T) {
	d := &diary{}
	phases := []bench.Phase{{Name: "p", Faults: chaos.Faults{&fakeFault{diary: d, name: "unwritable"}}}}
	if err := newTimeline(d, phases).run(t.Context(), phases); err == nil {
		t.Error("no error")
	}
	wantActs(t, d.acts("inject", "heal"))
}

func TestEveryFaultIsHealedOnEveryWayOut(t *testing.T) {
	for _, tt := range []struct {
		name string
		// last is the third fault; a and b are in force when it is injected.
		last func(cancel func()) fakeFault
		acts []string
		err  string
	}{
		{
			"an injection that fails half-way", func(func()) fakeFault { return fakeFault{name: "c", broken: true} },
			[]string{"inject a", "inject b", "inject c", "heal b", "heal a"},
			"cannot inject c",
		},
		{
			"a fault with nothing to act on", func(func()) fakeFault { return fakeFault{name: "c", unavailable: true} },
			[]string{"inject a", "inject b", "heal b", "heal a"},
			"nothing to act on",
		},
		{
			"the end of the context", func(cancel func()) fakeFault { return fakeFault{name: "c", onInject: cancel} },
			[]string{"inject a", "inject b", "inject c", "heal c", "heal b", "heal a"},
			context.Canceled.Error(),
		},
		{
			"a fault that does not heal", func(func()) fakeFault { return fakeFault{name: "c", unhealing: true} },
			[]string{"inject a", "inject b", "inject c", "heal c", "heal b", "heal a"},
			"cannot heal c",
		},
		{
			"an end and a fault that does not heal",
			func(cancel func()) fakeFault { return fakeFault{name: "c", onInject: cancel, unhealing: true} },
			[]string{"inject a", "inject b", "inject c", "heal c", "heal b", "heal a"},
			"cannot heal c",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			d := &diary{}
			c := tt.last(cancel)
			c.diary = d
			phases := []bench.Phase{
				{Name: "p", Faults: chaos.Faults{&fakeFault{diary: d, name: "a"}, &fakeFault{diary: d, name: "b"}, &c}}, {Name: "never"},
			}
			tl := newTimeline(d, phases)
			err := tl.run(ctx, phases)
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("the timeline says %v, want %q", err, tt.err)
			}
			if ctx.Err() != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("the timeline says %v, and not that it was stopped", err)
			}
			wantActs(t, d.acts("inject", "heal"), tt.acts...)
			if len(tl.active) != 0 || slices.Contains(d.lines, "enter never") {
				t.Errorf("%d faults are left; entered %v", len(tl.active), d.acts("enter"))
			}
		})
	}
}

func TestTheNetworkOfATrialOutlivesItsPhases(t *testing.T) {
	d := &diary{}
	phases := []bench.Phase{{Name: "p", Faults: chaos.Faults{&fakeFault{diary: d, name: "fault"}}}, {Name: "q"}}
	tl := newTimeline(d, phases)
	if _, err := tl.inject(t.Context(), -1, &fakeFault{diary: d, name: "distance"}, record.FaultSpan{}); err != nil {
		t.Fatal(err)
	}
	if err := tl.run(t.Context(), phases); err != nil {
		t.Fatal(err)
	}
	wantActs(t, d.acts("inject", "heal"), "inject distance", "inject fault", "heal fault")
	if err := tl.healNetwork(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantActs(t, d.acts("heal"), "heal fault", "heal distance")
	if len(tl.network) != 1 || !tl.network[0].Effect.Seen || len(tl.spans[0].Faults) != 1 {
		t.Errorf("recorded: network %v, phase %v", tl.network, tl.spans[0].Faults)
	}
}
