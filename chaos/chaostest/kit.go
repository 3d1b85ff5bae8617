package chaostest

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"shakedown/chaos"
)

// A Rig is what a fault is tried on. Each subtest gets a new one.
type Rig struct {
	// Surface has what the fault acts on.
	Surface chaos.Surface
	// Start starts real traffic over what the fault acts on; nil when the fault acts on no traffic.
	Start func(t *testing.T) Traffic
	// Disturb puts another, harmless effect in force beside the fault and returns its undo.
	Disturb func(t *testing.T) (undo func())
}

// Traffic is a real exchange that a fault may meet.
type Traffic interface {
	// Mark is called before a fault is injected: what was met until then does not count for Meet.
	Mark(ctx context.Context) error
	// Meet returns once the traffic has met an effect since the mark; ctx bounds it.
	Meet(ctx context.Context) error
	// Stop ends the exchange in an orderly way and says which bytes were lost, doubled or reordered.
	Stop(ctx context.Context) error
}

// limit bounds every wait of the kit. It is only reached when something hangs.
const limit = 2 * time.Minute

// Run checks that a fault conforms: it refuses what it cannot do, survives being written and read, lands, meets real
// traffic, heals, heals again, can be injected again, and leaves other effects alone.
func Run(t *testing.T, fault chaos.Fault, newRig func(t *testing.T) Rig) {
	t.Helper()
	k := kit{fault, newRig}
	t.Run("it is valid, and its zero value is not", k.validates)
	t.Run("it is written and read without loss", k.roundTrips)
	t.Run("it refuses a surface without its target", k.refuses)
	t.Run("it lands, is met by traffic, and heals", k.landsAndHeals)
	t.Run("it heals once, however often it is told to", k.healsOnce)
	t.Run("it heals after its context is done", k.healsLate)
	t.Run("it survives effects that come and go beside it", k.survives)
}

type kit struct {
	fault  chaos.Fault
	newRig func(t *testing.T) Rig
}

func (k kit) validates(t *testing.T) {
	if err := k.fault.Validate(); err != nil {
		t.Errorf("the fault given to the kit: %v", err)
	}
	zero := reflect.New(reflect.TypeOf(k.fault).Elem()).Interface().(chaos.Fault)
	if zero.Validate() == nil {
		t.Error("the zero value has no target, and is valid")
	}
	if k.fault.Kind() == "" || k.fault.Kind() != zero.Kind() {
		t.Errorf("the kind is %q, and %q of the zero value", k.fault.Kind(), zero.Kind())
	}
	if k.fault.String() == "" {
		t.Error("the fault does not say what it is")
	}
}

func (k kit) roundTrips(t *testing.T) {
	text, err := json.Marshal(chaos.Faults{k.fault})
	if err != nil {
		t.Fatal(err)
	}
	var back chaos.Faults
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if len(back) != 1 || !reflect.DeepEqual(back[0], k.fault) {
		t.Errorf("%s came back as %v", text, back)
	}
}

// nothing is a surface without links and processes.
type nothing struct{}

func (nothing) Links(string) []chaos.Link        { return nil }
func (nothing) Processes(string) []chaos.Process { return nil }

func (k kit) refuses(t *testing.T) {
	err := k.fault.Available(nothing{})
	if err == nil || !strings.HasPrefix(err.Error(), "no ") {
		t.Errorf("Available on nothing: %v; it should name what is missing", err)
	}
	if in, err := k.fault.Inject(t.Context(), nothing{}); err == nil || in != nil {
		t.Errorf("Inject on nothing: %v, %v; a fault that cannot act is an error", in, err)
	}
	if err := k.fault.Available(k.newRig(t).Surface); err != nil {
		t.Errorf("Available on the rig: %v", err)
	}
}

// inject injects the fault, which must be seen to land. A machine so busy that a probe takes longer than the effect
// hides the effect, rightly; so the fault may try again, and one that never shows does not conform.
func (k kit) inject(t *testing.T, r Rig, tr Traffic) chaos.Injection {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for range 20 {
		must(t, "before the fault", tr.Mark)
		in, err := k.fault.Inject(ctx, r.Surface)
		if err != nil {
			t.Fatalf("injecting: %v", err)
		}
		if in.Landed().Seen {
			return in
		}
		t.Logf("landed: %s", in.Landed())
		heal(t, in)
	}
	t.Fatal("the fault never showed")
	return nil
}

// heal heals the fault, which must be proven gone.
func heal(t *testing.T, in chaos.Injection) chaos.Evidence {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), limit)
	defer cancel()
	e, err := in.Heal(ctx)
	if err != nil {
		t.Errorf("healing: %v", err)
	}
	return e
}

// still is the traffic of a rig that has none.
type still struct{}

func (still) Mark(context.Context) error { return nil }
func (still) Meet(context.Context) error { return nil }
func (still) Stop(context.Context) error { return nil }

func start(t *testing.T, r Rig) Traffic {
	t.Helper()
	if r.Start == nil {
		return still{}
	}
	return r.Start(t)
}

// must does one step of the traffic, within the limit.
func must(t *testing.T, what string, step func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), limit)
	defer cancel()
	if err := step(ctx); err != nil {
		t.Errorf("traffic %s: %v", what, err)
	}
}

func (k kit) landsAndHeals(t *testing.T) {
	r := k.newRig(t)
	tr := start(t, r)
	for range 2 { // what was healed can be injected again
		in := k.inject(t, r, tr)
		must(t, "meets the fault", tr.Meet)
		if e := heal(t, in); !e.Seen {
			t.Errorf("what traffic met: %s", e)
		}
	}
	must(t, "across the fault", tr.Stop)
}

func (k kit) healsOnce(t *testing.T) {
	r := k.newRig(t)
	in := k.inject(t, r, still{})
	seen := make([]chaos.Evidence, 4)
	var healing sync.WaitGroup
	for i := range seen {
		healing.Go(func() { seen[i] = heal(t, in) })
	}
	healing.Wait()
	for _, e := range append(seen, heal(t, in)) {
		if e != seen[0] {
			t.Errorf("healing says %s, and then %s", seen[0], e)
		}
	}
}

func (k kit) healsLate(t *testing.T) {
	r := k.newRig(t)
	in := k.inject(t, r, still{})
	done, cancel := context.WithCancel(t.Context())
	cancel()
	_, _ = in.Heal(done) // takes the effect away; it may have no time to prove it
	tr := start(t, r)
	must(t, "after the fault", tr.Stop)
	heal(t, in)
}

// survives injects and heals beside another effect, which comes before or during the fault and goes before or
// after it.
func (k kit) survives(t *testing.T) {
	r := k.newRig(t)
	if r.Disturb == nil {
		t.Fatal("the rig disturbs nothing")
	}
	rng := rand.New(rand.NewPCG(1, 1))
	tr := start(t, r)
	for range 4 {
		before := rng.IntN(2) == 0
		if before {
			undo := r.Disturb(t)
			in := k.inject(t, r, tr)
			must(t, "meets the fault", tr.Meet)
			heal(t, in)
			undo()
			continue
		}
		in := k.inject(t, r, tr)
		must(t, "meets the fault", tr.Meet)
		for range 1 + rng.IntN(3) {
			r.Disturb(t)()
		}
		heal(t, in)
	}
	must(t, "across the fault", tr.Stop)
}
