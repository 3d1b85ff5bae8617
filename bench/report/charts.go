package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"shakedown/bench"
	"shakedown/bench/measure"
	"shakedown/bench/record"
	"shakedown/bench/verdict"
)

// A trial's timeline is cut into at most maxBuckets slots, which is what a chart can show and what keeps a page with
// every variant at every level small, and into fewer where arrivals are sparse: a slot should hold perBucket arrivals,
// or its rate and its p99 are noise.
const (
	minBuckets = 60
	maxBuckets = 150
	perBucket  = 60
)

// chartData is what the page's script draws. Times are in seconds, response times in ms.
type chartData struct {
	Variants []string     `json:"variants"`
	Levels   []string     `json:"levels"`
	Trials   []chartTrial `json:"trials"`
}

// chartTrial is one charted trial; V and L are indexes into Variants and Levels.
type chartTrial struct {
	V        int             `json:"v"`
	L        int             `json:"l"`
	SLO      num             `json:"slo"`
	End      num             `json:"end"`
	T        nums            `json:"t"`
	Offered  nums            `json:"offered"`
	Goodput  nums            `json:"goodput"`
	P50      nums            `json:"p50"`
	P99      nums            `json:"p99"`
	Max      nums            `json:"max"`
	InFlight nums            `json:"inflight"`
	Curve    line            `json:"curve"`   // x: nines, −log10(1−q)
	Service  line            `json:"service"` // the same of service time, at a few quantiles
	Attempts map[string]line `json:"attempts,omitempty"`
	Amplify  map[string]line `json:"amplify,omitempty"`
	Pool     map[string]line `json:"pool,omitempty"`
	Phases   []chartSpan     `json:"phases"`
	Faults   []chartSpan     `json:"faults"`

	// What the page's tables ask for.
	data   *measure.Trial
	source record.Trial
	events []record.Event
	result verdict.Trial
}

type chartSpan struct {
	Name   string `json:"name"`
	From   num    `json:"from"`
	To     num    `json:"to"`
	Judged bool   `json:"judged,omitempty"`
}

type line struct {
	X nums `json:"x"`
	Y nums `json:"y"`
}

// num is written with four significant digits, which is more than a chart can show; what is no number is null.
type num float64

// MarshalJSON writes null for NaN and the infinities.
func (n num) MarshalJSON() ([]byte, error) {
	if !finite(float64(n)) {
		return []byte("null"), nil
	}
	v, err := strconv.ParseFloat(strconv.FormatFloat(float64(n), 'g', 4, 64), 64)
	if err != nil {
		return nil, err
	}
	return json.Marshal(v)
}

type nums []num

// charted picks the trial that stands for each variant at each level: the first repeat that may be judged, or else
// the first that there is.
func charted(r verdict.Result) []verdict.Trial {
	type key struct{ variant, level string }
	best := map[key]verdict.Trial{}
	var order []key
	trials := slices.Clone(r.Trials)
	slices.SortStableFunc(trials, func(a, b verdict.Trial) int { return cmp.Compare(a.Repeat, b.Repeat) })
	for _, t := range trials {
		k := key{t.Variant, t.Level}
		have, ok := best[k]
		if !ok {
			order = append(order, k)
		}
		if !ok || len(have.Void) > 0 && len(t.Void) == 0 {
			best[k] = t
		}
	}
	picked := make([]verdict.Trial, 0, len(order))
	for _, k := range order {
		picked = append(picked, best[k])
	}
	return picked
}

// charts loads what is charted. A trial that cannot be read is left out, and the second result says so: a run that
// was killed is still worth a page.
func charts(in Input) (chartData, []string) {
	data := chartData{Variants: in.Result.Run.Experiment.VariantNames()}
	if in.Result.Run.Experiment.Probes() {
		return data, nil
	}
	if in.Load == nil {
		return data, []string{"No recording is at hand, so there is nothing to chart."}
	}
	var missing []string
	for _, t := range charted(in.Result) {
		recorded, err := in.Load(t.Index)
		if err != nil {
			missing = append(missing, fmt.Sprintf("%s could not be read: %v", trialName(t), err))
			continue
		}
		c := chart(in.Result.Run, recorded)
		c.result = t
		c.V, c.L = index(&data.Variants, t.Variant), index(&data.Levels, t.Level)
		data.Trials = append(data.Trials, c)
	}
	slices.SortStableFunc(data.Trials, func(a, b chartTrial) int { return cmp.Or(cmp.Compare(a.L, b.L), cmp.Compare(a.V, b.V)) })
	if len(data.Trials) == 0 && len(missing) == 0 {
		missing = append(missing, "No trial was run, so there is nothing to chart.")
	}
	return data, missing
}

// index is where s is in the list, which grows by it when it is new.
func index(list *[]string, s string) int {
	i := slices.Index(*list, s)
	if i < 0 {
		i = len(*list)
		*list = append(*list, s)
	}
	return i
}

func chart(run record.Run, d record.Data) chartTrial {
	t := measure.New(run, d)
	var end time.Duration
	for _, p := range d.Trial.Phases {
		end = max(end, p.End)
	}
	buckets := min(max(len(d.Samples)/perBucket, minBuckets), maxBuckets)
	width := max(end/time.Duration(buckets), time.Millisecond)
	c := chartTrial{
		End: num(end.Seconds()), data: t, source: d.Trial, events: d.Events,
		Phases: []chartSpan{}, Faults: []chartSpan{}, // the page walks through both, so never null
	}
	if level, ok := run.Experiment.Level(d.Trial.Level); ok {
		c.SLO = num(float64(run.Experiment.WorkloadAt(level).SLO.D()) / float64(time.Millisecond))
	}
	for _, b := range t.Timeline(width) {
		if b.End-b.Start >= width/2 { // a rate over the sliver that is left at the end would only be noise
			c.add(b)
		}
	}
	c.Curve = nines(t.Curve("", ""))
	c.Service = c.serviceTimes()
	c.Attempts, c.Pool = lines(t.Attempts(), width), lines(t.Pool(), width)
	c.Amplify = c.amplification()
	for _, p := range d.Trial.Phases {
		c.Phases = append(c.Phases, chartSpan{p.Name, num(p.Start.Seconds()), num(p.End.Seconds()), p.Judged})
		for _, f := range p.Faults {
			healed := f.Healed
			if healed <= f.Injected { // the run ended first
				healed = end
			}
			c.Faults = append(c.Faults, chartSpan{Name: f.Fault, From: num(f.Injected.Seconds()), To: num(healed.Seconds())})
		}
	}
	return c
}

func (c *chartTrial) add(b measure.Bucket) {
	known := func(v float64, n int) num {
		if n == 0 {
			v = math.NaN()
		}
		return num(v)
	}
	c.T = append(c.T, num((b.Start+b.End).Seconds()/2))
	c.Offered, c.Goodput = append(c.Offered, num(b.Offered)), append(c.Goodput, num(b.Goodput))
	c.P50, c.P99 = append(c.P50, known(b.P50, b.Sent)), append(c.P99, known(b.P99, b.Sent))
	c.Max = append(c.Max, known(b.Max, b.Sent))
	c.InFlight = append(c.InFlight, known(b.InFlight, b.Ticks))
}

// nines places quantiles where equal steps are equal numbers of nines, the x axis of an HDR histogram's plot. The
// maximum has no place on it.
func nines(curve []measure.QuantilePoint) line {
	var l line
	for _, p := range curve {
		if p.Quantile < 1 {
			l.X, l.Y = append(l.X, num(-math.Log10(1-p.Quantile))), append(l.Y, num(p.MS))
		}
	}
	return l
}

// serviceTimes are quantiles of service time over the judged phases, each only where enough requests stand behind it.
func (c *chartTrial) serviceTimes() line {
	var l line
	for _, q := range []struct {
		stat string
		rest float64
	}{{"p50", 0.5}, {"p90", 0.1}, {"p95", 0.05}, {"p99", 0.01}, {"p99_9", 0.001}} {
		v := c.data.Value(bench.Query{Metric: "service_ms", Stat: q.stat})
		if v.OK && float64(v.N)*q.rest >= 1 {
			l.X, l.Y = append(l.X, num(-math.Log10(q.rest))), append(l.Y, num(v.V))
		}
	}
	return l
}

// lines thins points out to one for each bucket, their mean.
func lines(all map[string][]record.Point, width time.Duration) map[string]line {
	thin := map[string]line{}
	for name, points := range all {
		var l line
		for i := 0; i < len(points); {
			slot, at, sum, n := points[i].At/width, 0.0, 0.0, 0
			for ; i < len(points) && points[i].At/width == slot; i++ {
				at, sum, n = at+points[i].At.Seconds(), sum+points[i].V, n+1
			}
			l.X, l.Y = append(l.X, num(at/float64(n))), append(l.Y, num(sum/float64(n)))
		}
		if len(l.X) > 1 {
			thin[name] = l
		}
	}
	return thin
}

// amplification is attempts over offered arrivals, where there were arrivals in the interval.
func (c *chartTrial) amplification() map[string]line {
	all := map[string]line{}
	for _, name := range slices.Sorted(maps.Keys(c.Attempts)) {
		attempts := c.Attempts[name]
		var l line
		for i := 1; i < len(attempts.X); i++ {
			if offered := c.offered(attempts.X[i-1], attempts.X[i]); offered > 0 {
				l.X, l.Y = append(l.X, attempts.X[i]), append(l.Y, attempts.Y[i]/offered)
			}
		}
		if len(l.X) > 1 {
			all[name] = l
		}
	}
	return all
}

// offered is the mean rate of arrivals from one moment to another, from the buckets whose middle lies between, or the
// nearest one before where none does.
func (c *chartTrial) offered(from, to num) num {
	var sum num
	n := 0
	last := num(0)
	for i, at := range c.T {
		if at > to {
			break
		}
		last = c.Offered[i]
		if at > from {
			sum += c.Offered[i]
			n++
		}
	}
	if n == 0 {
		return last
	}
	return sum / num(n)
}

// lag is a quantile of how late the generator sent, over the judged phases.
func (c *chartTrial) lag(stat string) measure.Value {
	return c.data.Value(bench.Query{Metric: "send_lag_ms", Stat: stat})
}
