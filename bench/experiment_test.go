package bench

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"shakedown/chaos"
	"shakedown/internal/units"
)

type config struct {
	TTL  units.Duration `json:"ttl"`
	Pool int            `json:"pool"`
}

func experiment() Experiment {
	return Experiment{
		Name: "cache/aside/test", Question: "?",
		Engines: []EngineSpec{{Name: "redis", Settings: map[string]string{"maxmemory": "1mb"}}},
		Variants: []Variant{
			{Name: "control", Config: config{TTL: units.Second, Pool: 1}},
			{Name: "other", Config: config{TTL: units.Second, Pool: 2}},
			{Name: "slow", Config: config{Pool: 3}, Full: true},
		},
		Factor: "load",
		Levels: []Level{
			{Name: "low", Config: map[string]any{"pool": 7}},
			{Name: "closed", Variants: []string{"control"}, Closed: &Closed{Users: 3}},
			{Name: "long", Full: true, Engines: []EngineSpec{{Name: "redis", Settings: map[string]string{"save": ""}}}},
		},
		Workload: Workload{Ops: []Op{{Name: "get", Path: "/"}}, SLO: units.Second, Timeout: units.Second},
		Phases: []Phase{
			{Name: "warmup", For: units.Second, Rate: PerSecond(10)},
			{
				Name: "fault", For: 10 * units.Second, Quick: units.Second, Rate: PerSecond(10), Judged: true,
				Faults: chaos.Faults{&chaos.Blackhole{Link: "service→redis"}, &chaos.Latency{Link: "service→redis", Delay: units.Millisecond}},
			},
		},
		Columns: []Column{
			{Title: "a", Of: Query{Metric: "goodput"}, Levels: []string{"low", "long"}},
			{Title: "b", Of: Query{Metric: "goodput"}, Levels: []string{"long"}},
			{Title: "c", Of: Query{Metric: "goodput"}},
		},
		Checks: []Check{{Claim: "cache/aside#1", Text: "it is fast", Of: Query{Variant: "other", Level: "low", Metric: "goodput"}, Rel: AtLeast, Bound: 0.9}},
	}
}

func clone(t *testing.T) Experiment {
	t.Helper()
	e, err := experiment().Clone()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestAnExperimentSurvivesBeingWrittenAndRead(t *testing.T) {
	once := clone(t)
	twice, err := once.Clone()
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(once, twice) {
		t.Errorf("a copy of a copy differs:\n%+v\n%+v", once, twice)
	}
	if got := once.Phases[1].Faults[1].String(); got != experiment().Phases[1].Faults[1].String() {
		t.Errorf("the second fault came back as %s", got)
	}
	if err := once.Validate(); err != nil {
		t.Errorf("a good experiment: %v", err)
	}
}

func TestQuickenLeavesOutWhatIsFull(t *testing.T) {
	e := clone(t)
	e.Quicken()
	if got := e.VariantNames(); !slices.Equal(got, []string{"control", "other"}) {
		t.Errorf("variants: %v", got)
	}
	if len(e.Columns) != 2 || !slices.Equal(e.Columns[0].Levels, []string{"low"}) || !e.Columns[1].At("low") || e.Columns[0].At("closed") {
		t.Errorf("columns: %+v", e.Columns)
	}
	if len(e.Levels) != 2 || e.Phases[1].For != units.Second || e.Phases[0].For != units.Second {
		t.Errorf("levels %d, phases %v and %v", len(e.Levels), e.Phases[0].For, e.Phases[1].For)
	}
}

func TestOnlyKeepsTheControl(t *testing.T) {
	e := clone(t)
	if err := e.Only([]string{"other"}); err != nil {
		t.Fatal(err)
	}
	if got := e.VariantNames(); !slices.Equal(got, []string{"control", "other"}) {
		t.Errorf("variants: %v", got)
	}
	if err := e.Only([]string{"nope"}); err == nil || !strings.Contains(err.Error(), "control, other") {
		t.Errorf("an unknown variant: %v", err)
	}
}

func TestSetReachesEveryVariantOrOne(t *testing.T) {
	fields := func(string) []string { return []string{"ttl", "pool"} }
	e := clone(t)
	if err := e.Set("ttl", "5s", fields); err != nil {
		t.Fatal(err)
	}
	if err := e.Set("other.pool", "9", fields); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{`{"pool":1,"ttl":"5s"}`, `{"pool":9,"ttl":"5s"}`, `{"pool":3,"ttl":"5s"}`} {
		raw, err := MarshalConfig(e.Variants[i].Config, nil)
		if err != nil || string(raw) != want {
			t.Errorf("%s: %s, %v; want %s", e.Variants[i].Name, raw, err, want)
		}
	}
	if err := e.Set("pool", "4", fields); err != nil {
		t.Fatal(err)
	}
	if got := e.Levels[0].Config["pool"]; got != 4.0 {
		t.Errorf("the level still overrides what the user set: %v", got)
	}
	if err := e.Set("nope", "1", fields); err == nil || !strings.Contains(err.Error(), "ttl, pool") {
		t.Errorf("an unknown parameter: %v", err)
	}
	if err := e.Set("nope.pool", "1", fields); err == nil || !strings.Contains(err.Error(), "no variant") {
		t.Errorf("an unknown variant: %v", err)
	}
}

func TestLevelsReplaceWhatTheySet(t *testing.T) {
	e := clone(t)
	closed, _ := e.Level("closed")
	if got := e.PhasesAt(closed)[1].Closed; got == nil || got.Users != 3 {
		t.Errorf("closed loop: %+v", got)
	}
	if e.Phases[1].Closed != nil {
		t.Error("a level changed the experiment's own phases")
	}
	if closed.Runs("other") || !closed.Runs("control") {
		t.Error("a level with variants runs others")
	}
	long, _ := e.Level("long")
	if got := e.EnginesAt(long, Variant{})[0].Settings; got["maxmemory"] != "1mb" || len(got) != 2 {
		t.Errorf("merged settings: %v", got)
	}
	if len(e.Engines[0].Settings) != 1 {
		t.Error("a level changed the experiment's own settings")
	}
	raw, err := MarshalConfig(e.Variants[0].Config, e.Levels[0].Config)
	if err != nil || string(raw) != `{"pool":7,"ttl":"1s"}` {
		t.Errorf("merged configuration: %s, %v", raw, err)
	}
}

func TestAnEngineOfALevelIsThereAtThatLevelOnly(t *testing.T) {
	e := clone(t)
	e.Levels[0].Engines = []EngineSpec{{Name: "nats", Settings: map[string]string{"a": "1"}}}
	v := Variant{Engines: []EngineSpec{{Name: "nats", Settings: map[string]string{"a": "2"}}}}
	names := func(specs []EngineSpec) (names []string) {
		for _, s := range specs {
			names = append(names, s.Name)
		}
		return names
	}
	for at, want := range map[string][]string{"low": {"redis", "nats"}, "long": {"redis"}} {
		l, _ := e.Level(at)
		if got := names(e.EnginesAt(l, v)); !slices.Equal(got, want) {
			t.Errorf("at %s: %v, want %v", at, got, want)
		}
	}
	low, _ := e.Level("low")
	if got := e.EnginesAt(low, v)[1].Settings["a"]; got != "2" {
		t.Errorf("the variant's setting is %s", got)
	}
	if got := names(e.AllEngines()); !slices.Equal(got, []string{"redis", "nats"}) {
		t.Errorf("all are %v", got)
	}
	e.Variants[0].Engines = v.Engines
	if err := e.Validate(); err != nil {
		t.Errorf("a variant's setting of a level's engine: %v", err)
	}
}

func TestABackendIsBuiltAsTheServiceIsOrFromItsOwn(t *testing.T) {
	l, v := Level{Config: map[string]any{"pool": 7}}, Variant{Config: config{Pool: 2}}
	for want, b := range map[string]Backend{
		`{"pool":7,"ttl":"0s"}`: {AsService: true},
		`{"ttl":"0s","pool":3}`: {Config: config{Pool: 3}},
		`{}`:                    {},
	} {
		if raw, err := b.ConfigAt(l, v); err != nil || string(raw) != want {
			t.Errorf("%+v: %s, %v; want %s", b, raw, err, want)
		}
	}
}

func TestAnExperimentSaysWhatIsWrong(t *testing.T) {
	for want, breakIt := range map[string]func(*Experiment){
		"family/pattern/question":   func(e *Experiment) { e.Name = "nope" },
		"leave one of them out":     func(e *Experiment) { e.Backends = []Backend{{Role: "b", AsService: true, Config: config{}}} },
		"question":                  func(e *Experiment) { e.Question = "" },
		"needs at least one":        func(e *Experiment) { e.Variants = nil },
		`"other" stands twice`:      func(e *Experiment) { e.Variants[0].Name = "other" },
		"instances: must be ≥ 0":    func(e *Experiment) { e.Variants[0].Instances = -1 },
		`there is no variant "x"`:   func(e *Experiment) { e.Levels[0].Variants = []string{"x"} },
		`"closed" stands twice`:     func(e *Experiment) { e.Levels[0].Name = "closed" },
		"levels need the name":      func(e *Experiment) { e.Factor = "" },
		"none is judged":            func(e *Experiment) { e.Phases[1].Judged = false },
		"for: must be positive":     func(e *Experiment) { e.Phases[0].For = -1 },
		"must be a number ≥ 0":      func(e *Experiment) { e.Phases[0].Rate.PerSecond = -5 },
		"does not measure one":      func(e *Experiment) { e.Phases[0].Rate = OfCapacity(0.5) },
		"1 to 100000 users":         func(e *Experiment) { e.Phases[0].Closed = &Closed{} },
		"faults[0] (blackhole)":     func(e *Experiment) { e.Phases[1].Faults = chaos.Faults{&chaos.Blackhole{}} },
		"must read family/pattern#": func(e *Experiment) { e.Checks[0].Claim = "x" },
		`no level "nope"`:           func(e *Experiment) { e.Columns[0].Levels = []string{"nope"} },
		"text: is empty":            func(e *Experiment) { e.Checks[0].Text = "" },
		"of.metric: is empty":       func(e *Experiment) { e.Checks[0].Of.Metric = "" },
		"band:":                     func(e *Experiment) { e.Checks[0].Rel = Equal },
	} {
		e := clone(t)
		breakIt(&e)
		if err := e.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
}

func TestEnumsAreWrittenByName(t *testing.T) {
	raw, err := json.Marshal(struct {
		V Verdict
		F Finding
		R Rel
		A Arrival
	}{Holds, DependsOn, AtLeast, Spike})
	if want := `{"V":"holds","F":"depends","R":"at_least","A":"spike"}`; err != nil || string(raw) != want {
		t.Errorf("%s, %v; want %s", raw, err, want)
	}
	var v Verdict
	if err := json.Unmarshal([]byte(`"perhaps"`), &v); err == nil || !strings.Contains(err.Error(), "unknown, holds, fails") {
		t.Errorf("an unknown verdict: %v", err)
	}
	if f := Hit | Retried; ParseFlags(f.String()+", other") != f {
		t.Errorf("flags do not come back: %s", f)
	}
}
