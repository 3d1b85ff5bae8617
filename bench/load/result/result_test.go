package result

import (
	"bytes"
	"encoding/json"
	"flag"
	"math"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/invopop/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v6"

	"shakedown/bench"
	"shakedown/bench/load"
	knee "shakedown/bench/load/search"
)

var update = flag.Bool("update", false, "write golden files and the schema anew")

// histogram has values in ms.
func histogram(t testing.TB, values map[float64]int64) *hdrhistogram.Histogram {
	t.Helper()
	h := load.NewHistogram()
	for v, n := range values {
		if err := h.RecordValues(int64(v*1e6), n); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func stats0(t testing.TB) load.Stats {
	return load.Stats{
		CPUS: 1.5, MaxRSSMB: 21.5, InFlightMean: 12.345, InFlightMax: 40,
		Dist: &load.Distributions{
			Ledger:   bench.Ledger{Scheduled: 100_000, OK: 98_000, Refused: 990, Unsure: 1000, Unsent: 10},
			Response: histogram(t, map[float64]int64{1: 60_000, 5: 37_000, 40: 1000, 2000: 1000}),
			Service:  histogram(t, map[float64]int64{1: 60_000, 5: 38_000, 1999: 1000}),
			Lag:      histogram(t, map[float64]int64{0.02: 99_000, 0.3: 990}), Wait: histogram(t, map[float64]int64{0: 99_990}),
			Censored: 1000, Causes: map[string]int64{"status 503": 990, "timeout": 1000, "too many in flight": 10},
			Ops: []load.OpDistribution{
				{Ledger: bench.Ledger{OK: 90_000}, Response: histogram(t, map[float64]int64{1: 90_000})},
				{Ledger: bench.Ledger{OK: 8000, Unsure: 1000}, Response: histogram(t, map[float64]int64{5: 8000, 2000: 1000}), Censored: 1000},
			},
		},
	}
}

func meta() Meta {
	value, share := 1999.0, 0.98
	return Meta{
		Target: "http://127.0.0.1:8080/", Arrival: "poisson, 5000/s", Client: "event loop (epoll)", Measured: 20 * time.Second, Warmup: 2 * time.Second,
		Timeout: 2 * time.Second, Seed: 7, Ops: []string{"read", "write"}, CeilingPerS: 92_345, Version: "shakedown 0.2.0", Started: time.Unix(1_800_000_000, 0),
		Machine: Machine{Cores: 2, CPU: "Xeon", Kernel: "6.18"},
		SLO:     []Term{{Term: "p99<50ms", Value: &value, AtLeast: true}, {Term: "goodput>95%", Value: &share, Met: true}},
	}
}

func aSearch() *knee.Result {
	at, missed := 4000.0, 4200.0
	return &knee.Result{
		KneePerS: &at, MissedPerS: &missed, Confirmed: true, Limit: knee.Server, ResolutionShare: 0.05, KneeMet: knee.Tally{N: 3, Of: 3},
		MissedMet: knee.Tally{N: 0, Of: 3}, GrowthPerS: 212, Trials: []knee.Trial{
			{RatePerS: 2000, Purpose: knee.Look, Valid: true, Met: true, Settled: true, AchievedPerS: 1999, P50MS: 1, P99MS: 9, Goodput: 1},
			{RatePerS: 8000, Purpose: knee.Look, Valid: true, BacklogGrowthPerS: 3100, AchievedPerS: 4900, P50MS: 900, P99MS: 1999, Goodput: 0.6, Why: []string{"the queue grew"}},
			{RatePerS: 4000, Purpose: knee.Repeat, Settled: true, Why: []string{"send lag p99 30 ms, bound ≤ 2 ms"}},
		},
	}
}

func fixtures(t testing.TB) map[string]Result {
	plain := New(meta(), stats0(t), nil)
	void := meta()
	void.VoidReasons, void.SLO, void.Closed, void.Aborted = []string{"send lag p99 30 ms, bound ≤ 2 ms"}, nil, true, true
	searched := meta()
	searched.Search = aSearch()
	return map[string]Result{"plain": plain, "void": New(void, stats0(t), nil), "search": New(searched, stats0(t), nil), "nothing": New(meta(), load.Stats{}, nil)}
}

func TestTheTextIsAsItWas(t *testing.T) {
	for name, r := range fixtures(t) {
		var got bytes.Buffer
		if err := r.Text(&got); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", name+".txt")
		if *update {
			if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatalf("%v (write it with go test -update)", err)
		}
		if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s: got\n%s\nwant\n%s", name, &got, want)
		}
	}
}

func TestWhatGivingUpLeavesOpen(t *testing.T) {
	const timeout = 2 * time.Second
	for name, c := range map[string]struct {
		values   map[float64]int64
		censored int64
		want     []string
	}{
		"nobody gave up":           {map[float64]int64{1: 99, 3000: 1}, 0, nil},
		"one in a hundred":         {map[float64]int64{1: 99, 2000: 1}, 1, []string{"mean", "p99_9", "max"}},
		"one in ten":               {map[float64]int64{1: 90, 2000: 10}, 10, []string{"mean", "p95", "p99", "p99_9", "max"}},
		"all":                      {map[float64]int64{2000: 10}, 10, []string{"mean", "p50", "p90", "p95", "p99", "p99_9", "max"}},
		"cut off early, one in 10": {map[float64]int64{1: 90, 5: 10}, 10, []string{"mean", "p90", "p95", "p99", "p99_9", "max"}},
	} {
		if got := atLeast(histogram(t, c.values), c.censored, timeout); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func schema(t *testing.T) []byte {
	t.Helper()
	named := func(of reflect.Type) string { // Result is a type of two packages
		if pkg := path.Base(of.PkgPath()); pkg == "search" {
			return "Search" + of.Name()
		}
		return of.Name()
	}
	r := jsonschema.Reflector{Anonymous: true, ExpandedStruct: true, Namer: named}
	for _, dir := range []string{".", "../search"} { // what a field means stands beside it
		if err := r.AddGoComments("shakedown/bench/load/result", dir, jsonschema.WithFullComment()); err != nil {
			t.Fatal(err)
		}
	}
	s := r.Reflect(Result{})
	s.Title = "The JSON of shakedown load -o json"
	raw, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(raw, '\n')
}

var schemaFile = filepath.Join("..", "..", "..", "docs", "schema", "load.schema.json")

func TestTheSchemaIsCurrent(t *testing.T) {
	got := schema(t)
	if *update {
		if err := os.WriteFile(schemaFile, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatalf("%v (write it with go test -update)", err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is stale (go test -update writes it):\n%s", schemaFile, got)
	}
}

// The keys that users were promised; they may not go away within a version.
var contract = map[string][]string{
	"": {
		"schema_version", "target", "mode", "offered_per_s", "achieved_per_s", "ledger", "response_ms", "service_ms", "send_lag_ms", "client_cpu_s",
		"max_rss_mb", "valid", "void_reasons",
	},
	"ledger":      {"scheduled", "ok", "degraded", "refused", "failed", "unsure", "unsent"},
	"response_ms": {"mean", "p50", "p90", "p95", "p99", "p99_9", "max"},
	"service_ms":  {"mean", "p50", "p90", "p95", "p99", "p99_9", "max"},
	"send_lag_ms": {"mean", "p50", "p90", "p95", "p99", "p99_9", "max"},
}

func TestTheJSONKeepsItsContractAndItsSchema(t *testing.T) {
	s, err := validator.NewCompiler().Compile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range fixtures(t) {
		var b bytes.Buffer
		if err := r.JSON(&b); err != nil {
			t.Fatal(err)
		}
		doc, err := validator.UnmarshalJSON(&b)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(doc); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		top := doc.(map[string]any)
		for at, keys := range contract {
			in := top
			if at != "" {
				if in, _ = top[at].(map[string]any); in == nil {
					if name != "nothing" {
						t.Errorf("%s: %s is null", name, at)
					}
					continue
				}
			}
			for _, k := range keys {
				if _, ok := in[k]; !ok {
					t.Errorf("%s: %s.%s is missing", name, at, k)
				}
			}
		}
		delete(top, "valid")
		if s.Validate(doc) == nil {
			t.Errorf("%s: the schema takes a result that does not say whether it is valid", name)
		}
	}
}

func tick(t testing.TB, at time.Duration, ms map[float64]int64) load.Tick {
	d := &load.Distributions{Response: histogram(t, ms), Lag: histogram(t, map[float64]int64{0.05: 10})}
	n := d.Response.TotalCount()
	return load.Tick{At: at, Interval: bench.Ledger{Scheduled: n, OK: n}, InFlight: n, Dist: d}
}

func TestTheLogIsReadBack(t *testing.T) {
	var b bytes.Buffer
	l, err := NewHDRLog(&b, time.Unix(1_800_000_000, 0))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 { // ticks that come a little early or late
		at := time.Duration(i+1)*load.TickEvery + time.Duration(i%3-1)*time.Millisecond
		l.Add(tick(t, at, map[float64]int64{float64(i + 1): 10}))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	sum := load.NewHistogram()
	r := hdrhistogram.NewHistogramLogReader(&b)
	lines := 0
	for {
		h, err := r.NextIntervalHistogram()
		if err != nil {
			t.Fatal(err)
		}
		if h == nil {
			break
		}
		lines++
		sum.Merge(h)
	}
	if lines != 3 || sum.TotalCount() != 100 || math.Abs(float64(sum.Max())/1e6-10) > 0.02 {
		t.Errorf("%d lines, %d values, the largest %v ns; want 3, 100 and 10 ms", lines, sum.TotalCount(), sum.Max())
	}
}

func TestALongSeriesKeepsItsSizeAndLosesNothing(t *testing.T) {
	const length = 6*time.Minute + 3*load.TickEvery
	s := NewSeries(length, true)
	one := tick(t, 0, map[float64]int64{1: 4, 100: 1})
	n := int64(0)
	for at := load.TickEvery; at <= length; at += load.TickEvery {
		one.At = at
		s.Add(one)
		n += 5
	}
	s.finish()
	var answers, seen int64
	for i, p := range s.points {
		answers += p.Ledger.OK
		for _, cell := range s.heat[i] {
			seen += cell
		}
	}
	if len(s.points) > maxPoints+1 || len(s.points) < maxPoints/2 || answers != n || seen != n {
		t.Errorf("%d points with %d answers, %d in the heat map, of %d", len(s.points), answers, seen, n)
	}
}

func TestAnIntervalWithoutMeasurementsHasNoTimes(t *testing.T) {
	s := NewSeries(time.Second, true)
	s.Add(load.Tick{At: load.TickEvery, Interval: bench.Ledger{Scheduled: 3, OK: 3}})
	if p := s.points[0]; p.P50 != nil || p.Max != nil || p.SendLagMS != nil || p.Ledger.OK != 3 {
		t.Errorf("%+v", p)
	}
}

// ticking is a series whose server answers so many of the arrivals of each tick, for a second of warm-up and four that are measured.
func ticking(scheduled, answered int64) *Series {
	s := NewSeries(5*time.Second, true)
	left := int64(0)
	for at := load.TickEvery; at <= 5*time.Second; at += load.TickEvery {
		left += scheduled - answered
		s.Add(load.Tick{At: at, InFlight: left, Interval: bench.Ledger{Scheduled: scheduled, OK: answered}})
	}
	return s
}

func TestWhatIsAnsweredFromTheBacklogDoesNotMakeAServerFaster(t *testing.T) {
	m := Meta{Measured: 4 * time.Second, Warmup: time.Second}
	stats := load.Stats{InFlightMean: 1000, Dist: &load.Distributions{Ledger: bench.Ledger{Scheduled: 4000, OK: 4000}}}
	if got := achieved(m, stats, ticking(250, 150)); math.Abs(got-600) > 1 {
		t.Errorf("%v/s of a server that answers 600/s and has a backlog", got)
	}
	stats.InFlightMean = 3
	if got := achieved(m, stats, ticking(250, 250)); got != 1000 {
		t.Errorf("%v/s of a server that keeps up with 1000/s", got)
	}
	if got := achieved(m, stats, nil); got != 1000 {
		t.Errorf("%v/s without a series", got)
	}
}

func TestLinesAreJSON(t *testing.T) {
	var b bytes.Buffer
	n := NewNDJSON(&b)
	for i := range 9 {
		if err := n.Add(tick(t, time.Duration(i+1)*load.TickEvery, map[float64]int64{2: 5})); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.Result(fixtures(t)["plain"]); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != 4 {
		t.Fatalf("%d lines: %s", len(lines), &b)
	}
	for i, want := range []struct {
		kind    string
		forS    float64
		answers int64
	}{{"interval", 1, 20}, {"interval", 1, 20}, {"interval", 0.25, 5}, {"result", 0, 98_000}} {
		var line struct {
			Type   string       `json:"type"`
			ForS   float64      `json:"for_s"`
			Ledger bench.Ledger `json:"ledger"`
		}
		if err := json.Unmarshal([]byte(lines[i]), &line); err != nil || line.Type != want.kind || line.ForS != want.forS || line.Ledger.OK != want.answers {
			t.Errorf("line %d: %s (%v)", i, lines[i], err)
		}
	}
}
