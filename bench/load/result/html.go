package result

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/HdrHistogram/hdrhistogram-go"

	"shakedown/internal/page"
)

var (
	//go:embed assets/load.html.tmpl
	pageSource string
	//go:embed assets/load.js
	pageScript string
)

// A view is what the page shows.
type view struct {
	R                   Result
	Tone, Pill, Summary string
	Rows                []row
	Outcomes            []outcome
	Terms               []term
	Facts               []fact
	Search              string
	Policy              string
	Data, Script        template.JS
	Style               template.CSS
}

type (
	row struct {
		Name, About string
		Cells       []string
	}
	outcome struct {
		Name  string
		Count int64
		Share string
		About string
	}
	fact struct{ Name, Value string }
	term struct {
		Term, Value string
		Met         bool
	}
)

// HTML writes one page that needs nothing but itself.
func (r Result) HTML(w io.Writer) error {
	raw, err := json.Marshal(r.charts())
	if err != nil {
		return fmt.Errorf("encoding the charts: %w", err)
	}
	style, script := page.Style(), page.Script()+pageScript
	v := view{
		R: r, Summary: fmt.Sprintf("%s loop, %s; offered %s/s, achieved %s/s", r.Mode, r.Arrival, rate(r.OfferedPerS), rate(r.AchievedPerS)),
		Policy: page.Policy(style, script), Data: template.JS(raw), Script: template.JS(script), Style: template.CSS(style),
	}
	v.Tone, v.Pill = r.pill()
	v.rows()
	v.outcomes()
	v.facts()
	if r.Search != nil {
		var b strings.Builder
		searched(r.Search, &b)
		v.Search = strings.Trim(b.String(), "\n")
	}
	return template.Must(template.New("load").Parse(pageSource)).Execute(w, v)
}

func (r Result) pill() (tone, text string) {
	missed := slices.ContainsFunc(r.SLO, func(t Term) bool { return !t.Met })
	switch {
	case !r.Valid:
		return "bad", "void"
	case r.Aborted:
		return "unsure", "aborted"
	case missed:
		return "bad", "misses its objectives"
	case len(r.SLO) > 0:
		return "good", "meets its objectives"
	default:
		return "good", "valid"
	}
}

func (v *view) rows() {
	add := func(name, about string, t *Times, bounds []string) {
		if t == nil {
			return
		}
		r := row{Name: name, About: about}
		for i, x := range t.all() {
			bound := ""
			if slices.Contains(bounds, stats[i].name) {
				bound = "≥ "
			}
			r.Cells = append(r.Cells, bound+ms(x))
		}
		v.Rows = append(v.Rows, r)
	}
	add("response", "from due to done: what a user waits", v.R.ResponseMS, v.R.AtLeast)
	add("service", "from sent to done: what a generator would say that waits for answers", v.R.ServiceMS, v.R.ServiceAtLeast)
	if w := v.R.ConnWaitMS; w != nil && w.Max >= worthSaying {
		add("wait for a connection", "after the generator got to it", w, nil)
	}
	add("send lag", "how late the generator got to it", v.R.SendLagMS, nil)
	if len(v.R.Ops) > 1 {
		for _, op := range v.R.Ops {
			add(op.Name, fmt.Sprintf("response of %d arrivals", op.Ledger.Scheduled), op.ResponseMS, op.AtLeast)
		}
	}
	for _, t := range v.R.SLO {
		v.Terms = append(v.Terms, term{Term: t.Term, Value: t.value(), Met: t.Met})
	}
}

func (v *view) outcomes() {
	l := v.R.Ledger
	for _, o := range []struct {
		name, about string
		n           int64
	}{
		{"ok", "answered in full", l.OK},
		{"degraded", "answered with less than was asked for", l.Degraded},
		{"refused", "turned away on purpose", l.Refused},
		{"failed", "it did not happen", l.Failed},
		{"unsure", "it may have happened: timed out, or cut off", l.Unsure},
		{"unsent", "it never left the generator", l.Unsent},
	} {
		if o.n > 0 || o.name == "ok" {
			v.Outcomes = append(v.Outcomes, outcome{o.name, o.n, percent(float64(o.n) / float64(max(l.Scheduled, 1))), o.about})
		}
	}
}

func (v *view) facts() {
	r := v.R
	connections := "as many as it took"
	if r.Connections > 0 {
		connections = strconv.Itoa(r.Connections) + " at most"
	}
	v.Facts = []fact{
		{"Started", r.Started},
		{"Measured", short(r.DurationS) + " s, after " + short(r.WarmupS) + " s of warm-up"},
		{"Time-out", short(r.TimeoutMS) + " ms"},
		{"Seed", strconv.FormatUint(r.Seed, 10)},
		{"Connections", connections},
		{"In flight", fmt.Sprintf("%s on average, at most %d", short(r.InFlight.Mean), r.InFlight.Max)},
		{"Generator", fmt.Sprintf("%s; %s µs of processor a request, %s MB", r.Client, short(r.CPUPerRequestUS), short(r.MaxRSSMB))},
		{"Machine", fmt.Sprintf("%d × %s, Linux %s", r.Machine.Cores, r.Machine.CPU, r.Machine.Kernel)},
		{"shakedown", r.Version},
	}
	if r.CeilingPerS > 0 {
		v.Facts = append(v.Facts, fact{"Ceiling", rate(r.CeilingPerS) + "/s against a server that does nothing"})
	}
}

// charts is what the page's script draws; null stands for nothing measured.
type charts struct {
	From     []float64    `json:"from"` // of each interval, in s
	T        []float64    `json:"t"`    // its end
	P50      []*float64   `json:"p50"`
	P99      []*float64   `json:"p99"`
	Max      []*float64   `json:"max"`
	Lag      []*float64   `json:"lag"`
	Offered  []float64    `json:"offered"`
	OK       []float64    `json:"ok"`
	Bad      []float64    `json:"bad"`
	InFlight []int64      `json:"inflight"`
	Heat     [][][2]int64 `json:"heat"` // of each interval, the buckets that have answers, and how many
	// Buckets of the heat map begin at FromMS.
	PerDecade int     `json:"perDecade"`
	FromMS    float64 `json:"fromMS"`
	WarmupS   float64 `json:"warmup"`
	EndS      float64 `json:"end"` // when the last arrivals were due
	Response  curve   `json:"response"`
	Service   curve   `json:"service"`
}

// A curve is values over nines: x is −log10(1 − quantile).
type curve struct {
	X []float64 `json:"x"`
	Y []float64 `json:"y"`
}

func (r Result) charts() charts {
	c := charts{
		PerDecade: bucketsPerDecade, FromMS: heatFrom / 1e6, Response: curveOf(r.response), Service: curveOf(r.service),
		Heat: [][][2]int64{}, WarmupS: r.WarmupS, EndS: r.WarmupS + r.DurationS,
	}
	for n, i := range r.Series {
		if n > 0 && n == len(r.Series)-1 && i.ForS < r.Series[n-1].ForS/2 {
			break // a rate over what was left at the end would look like a fall
		}
		c.From, c.T = append(c.From, i.AtS-i.ForS), append(c.T, i.AtS)
		c.P50, c.P99, c.Max, c.Lag = append(c.P50, i.P50), append(c.P99, i.P99), append(c.Max, i.Max), append(c.Lag, i.SendLagMS)
		per := 1 / max(i.ForS, 1e-9)
		c.Offered = append(c.Offered, float64(i.Ledger.Scheduled)*per)
		c.OK = append(c.OK, float64(i.Ledger.OK)*per)
		c.Bad = append(c.Bad, float64(i.Ledger.Ended()-i.Ledger.OK)*per)
		c.InFlight = append(c.InFlight, i.InFlight)
	}
	for _, col := range r.heat[:min(len(r.heat), len(c.T))] {
		cells := [][2]int64{}
		for b, n := range col {
			if n > 0 {
				cells = append(cells, [2]int64{int64(b), n})
			}
		}
		c.Heat = append(c.Heat, cells)
	}
	return c
}

// curveOf samples a distribution up to the last quantile that a tenth of a nine's worth of values is beyond.
func curveOf(h *hdrhistogram.Histogram) curve {
	c := curve{X: []float64{}, Y: []float64{}}
	if h == nil || h.TotalCount() < 10 {
		return c
	}
	for x := 0.0; ; x += 0.1 {
		beyond := math.Pow(10, -x)
		if beyond*float64(h.TotalCount()) < 1 {
			return c
		}
		c.X = append(c.X, x)
		c.Y = append(c.Y, float64(h.ValueAtPercentile(100*(1-beyond)))/1e6)
	}
}
