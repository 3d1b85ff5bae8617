package chaostest

import (
	"cmp"
	"context"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"shakedown/chaos"
)

// A Stand is a place to try faults at, where all of them can act beside each other.
type Stand struct {
	Name string
	// Missing says what this machine or user lacks for the stand; its faults are then skipped for that reason. Nil: nothing.
	Missing func() string
	// Build makes a new rig, and takes it down when the test ends.
	Build func(t *testing.T) Rig
}

// A Row is one fault to try: one line of the table in the tests.
type Row struct {
	Fault chaos.Fault
	On    *Stand
	// Harm is what the fault does to traffic. The traffic of the stand excuses that, and nothing else.
	Harm Harm
	// Beside is the form in which the fault comes and goes beside others; nil means Fault. A fault of a process, say, can
	// not act on one that another fault has killed, but on a neighbour it can.
	Beside chaos.Fault
}

// Harm is what a fault may do to traffic, as a set.
type Harm uint8

// The harms. A fault without any only delays.
const (
	Cuts     Harm = 1 << iota // connections end, or are refused
	Forgets                   // connections fall silent for good
	Flips                     // bits are flipped
	Drops                     // datagrams are lost
	Doubles                   // datagrams come twice
	Reorders                  // datagrams overtake each other
	Errs                      // answers are errors
	AllHarms = Cuts | Forgets | Flips | Drops | Doubles | Reorders | Errs
	Harmless = Harm(0)
)

// A Rig is what a fault is tried on. A row has one for all that it does alone, and one for each set of faults beside it.
type Rig struct {
	// Surface has what the fault acts on.
	Surface chaos.Surface
	// Start starts real traffic over what the fault acts on, which excuses the given harm; nil when the fault acts on no
	// traffic.
	Start func(t *testing.T, excused Harm) Traffic
	// Clean says what is left of faults when all are healed; nil when the rig cannot tell.
	Clean func(ctx context.Context) error
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

// Table checks that every fault of the table conforms, and that every kind of the registry is in it: it refuses what it
// cannot do, survives being written and read, lands, meets real traffic, heals, heals again, can be injected again, and
// survives every other fault of its stand coming and going beside it, as they survive it.
func Table(t *testing.T, rows []Row) {
	t.Helper()
	var tried []string
	for _, row := range rows {
		tried = append(tried, row.Fault.Kind())
	}
	for _, kind := range chaos.Kinds() {
		if !slices.Contains(tried, kind) {
			t.Errorf("the registry has %s, and the table does not", kind)
		}
	}
	for _, i := range spread(rows) {
		row, others := rows[i], meets(rows, i)
		t.Run(row.Fault.Kind()+" on "+row.On.Name, func(t *testing.T) {
			if row.On.Missing != nil {
				if why := row.On.Missing(); why != "" {
					t.Skipf("%s: %s", row.On.Name, why)
				}
			}
			t.Parallel()
			kit{row, others}.run(t)
		})
	}
}

// spread is an order of the rows in which those of one stand are far apart: they share servers, and would wait for each other.
func spread(rows []Row) (order []int) {
	turn, seen := make([]int, len(rows)), map[*Stand]int{}
	for i, r := range rows {
		turn[i] = seen[r.On]
		seen[r.On]++
		order = append(order, i)
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(turn[a], turn[b]) })
	return order
}

// meets are the rows that come and go beside the ith: half of those of its stand, so that every two of them meet once, as
// fault and as neighbour or the other way round.
func meets(rows []Row, i int) []Row {
	var stand []Row
	at := 0
	for j, r := range rows {
		if j == i {
			at = len(stand)
		}
		if r.On == rows[i].On {
			stand = append(stand, r)
		}
	}
	n := len(stand)
	var others []Row
	for step := 1; 2*step <= n; step++ {
		if 2*step < n || at < n/2 { // those that face each other meet once, too
			others = append(others, stand[(at+step)%n])
		}
	}
	return others
}

func (k kit) run(t *testing.T) {
	t.Helper()
	t.Run("it is valid, and its zero value is not", k.validates)
	t.Run("it is written and read without loss", k.roundTrips)
	t.Run("it refuses a surface without its target", k.refuses)
	t.Run("alone", func(t *testing.T) {
		r := k.On.Build(t)
		t.Run("it heals after its context is done", func(t *testing.T) { k.healsLate(t, r) })
		t.Run("it lands, is met by traffic, and heals once, however often it is told to", func(t *testing.T) { k.landsAndHeals(t, r) })
	})
	harmless := func(r Row) bool { return r.Harm == Harmless }
	harmful := func(r Row) bool { return r.Harm != Harmless }
	// A fault without others of a kind meets them as their neighbour.
	if others := slices.DeleteFunc(slices.Clone(k.others), harmful); len(others) > 0 {
		t.Run("it keeps its promise beside faults that only delay", func(t *testing.T) { k.survives(t, others) })
	}
	if others := slices.DeleteFunc(slices.Clone(k.others), harmless); len(others) > 0 {
		t.Run("it survives faults that do harm beside it", func(t *testing.T) { k.survives(t, others) })
	}
}

// A kit is one row, and the rows that come and go beside it.
type kit struct {
	Row
	others []Row
}

func (k kit) validates(t *testing.T) {
	if err := k.Fault.Validate(); err != nil {
		t.Errorf("the fault given to the kit: %v", err)
	}
	zero := reflect.New(reflect.TypeOf(k.Fault).Elem()).Interface().(chaos.Fault)
	if zero.Validate() == nil {
		t.Error("the zero value has no target, and is valid")
	}
	if k.Fault.Kind() == "" || k.Fault.Kind() != zero.Kind() {
		t.Errorf("the kind is %q, and %q of the zero value", k.Fault.Kind(), zero.Kind())
	}
	if k.Fault.String() == "" {
		t.Error("the fault does not say what it is")
	}
}

func (k kit) roundTrips(t *testing.T) {
	text, err := json.Marshal(chaos.Faults{k.Fault})
	if err != nil {
		t.Fatal(err)
	}
	var back chaos.Faults
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if len(back) != 1 || !reflect.DeepEqual(back[0], k.Fault) {
		t.Errorf("%s came back as %v", text, back)
	}
}

// nothing is a surface without links and processes.
type nothing struct{}

func (nothing) Links(string) []chaos.Link        { return nil }
func (nothing) Processes(string) []chaos.Process { return nil }

func (k kit) refuses(t *testing.T) {
	err := k.Fault.Available(nothing{})
	if err == nil || !strings.HasPrefix(err.Error(), "no ") {
		t.Errorf("Available on nothing: %v; it should name what is missing", err)
	}
	if in, err := k.Fault.Inject(t.Context(), nothing{}); err == nil || in != nil {
		t.Errorf("Inject on nothing: %v, %v; a fault that cannot act is an error", in, err)
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
		in, err := k.Fault.Inject(ctx, r.Surface)
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

func start(t *testing.T, r Rig, excused Harm) Traffic {
	t.Helper()
	if r.Start == nil {
		return still{}
	}
	return r.Start(t, excused)
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

func (k kit) landsAndHeals(t *testing.T, r Rig) {
	if err := k.Fault.Available(r.Surface); err != nil {
		t.Errorf("Available on the rig: %v", err)
	}
	tr := start(t, r, k.Harm)
	for _, healed := range []func(*testing.T, chaos.Injection) chaos.Evidence{heal, healTogether} { // what was healed can be injected again
		in := k.inject(t, r, tr)
		must(t, "meets the fault", tr.Meet)
		if e := healed(t, in); !e.Seen {
			t.Errorf("what traffic met: %s", e)
		}
	}
	must(t, "across the fault", tr.Stop)
}

// healTogether is heal by several at once, and once more.
func healTogether(t *testing.T, in chaos.Injection) chaos.Evidence {
	t.Helper()
	seen := make([]chaos.Evidence, 4)
	var healing sync.WaitGroup
	for i := range seen {
		healing.Go(func() { seen[i] = heal(t, in) })
	}
	healing.Wait()
	for _, e := range append(seen, heal(t, in)) {
		if !reflect.DeepEqual(e, seen[0]) {
			t.Errorf("healing says %s, and then %s", seen[0], e)
		}
	}
	return seen[0]
}

func (k kit) healsLate(t *testing.T, r Rig) {
	in := k.inject(t, r, still{})
	done, cancel := context.WithCancel(t.Context())
	cancel()
	_, _ = in.Heal(done) // takes the effect away; it may have no time to prove it
	tr := start(t, r, k.Harm)
	must(t, "after the fault", tr.Stop)
	heal(t, in)
}

// survives injects and heals, again and again, while others come and go. Nothing may fail, and nothing be left. Others
// may hide the fault from its probes meanwhile; afterwards it must be seen to land again.
func (k kit) survives(t *testing.T, others []Row) {
	r := k.On.Build(t)
	excused := k.Harm
	for _, o := range others {
		excused |= o.Harm
	}
	tr := start(t, r, excused)
	gone := comeAndGo(t, r, others)
	for over := false; !over; {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		in, err := k.Fault.Inject(ctx, r.Surface)
		if err != nil {
			t.Errorf("injecting beside others: %v", err)
		}
		select {
		case <-gone:
			over = true
		case <-time.After(beside / 4):
		}
		if err == nil {
			heal(t, in)
		}
		cancel()
	}
	heal(t, k.inject(t, r, tr))
	must(t, "across the faults", tr.Stop)
	if r.Clean != nil {
		must(t, "after all is healed", r.Clean)
	}
}

// beside is how long others come and go beside a fault, at least; each does so at least once.
const beside = time.Second

// comeAndGo injects and heals the others in random order, two at a time. The channel is closed at its end.
func comeAndGo(t *testing.T, r Rig, others []Row) <-chan struct{} {
	t.Helper()
	gone := make(chan struct{})
	began := time.Now()
	var lanes sync.WaitGroup
	const width = 2
	for lane := range width {
		rng := rand.New(rand.NewPCG(uint64(lane), 1))
		var mine []Row
		for i := lane; i < len(others); i += width {
			mine = append(mine, others[i])
		}
		lanes.Go(func() {
			for round := 0; len(mine) > 0 && (round == 0 || time.Since(began) < beside); round++ {
				for _, i := range rng.Perm(len(mine)) {
					if round == 0 || time.Since(began) < beside {
						comesAndGoes(t, r, mine[i])
					}
				}
			}
		})
	}
	go func() { lanes.Wait(); close(gone) }()
	return gone
}

// comesAndGoes injects and heals a fault beside the one that is tried.
func comesAndGoes(t *testing.T, r Rig, o Row) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), limit)
	defer cancel()
	fault := o.Fault
	if o.Beside != nil {
		fault = o.Beside
	}
	in, err := fault.Inject(ctx, r.Surface)
	if err == nil {
		_, err = in.Heal(ctx)
	}
	if err != nil {
		t.Errorf("%s, beside it: %v", fault, err)
	}
}
