package result

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"shakedown/bench"
	"shakedown/bench/load/search"
)

// Text writes the result for a terminal: one screen, if there is not too much to say.
func (r Result) Text(w io.Writer) error {
	var b strings.Builder
	r.heading(&b)
	r.counts(&b)
	r.times(&b)
	r.footer(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

func (r Result) heading(b *strings.Builder) {
	loop := "open loop"
	if r.Mode == "closed" {
		loop = "closed loop"
	}
	fmt.Fprintf(b, "%s · %s, %s · %ss measured after %ss of warm-up · seed %d\n", r.Target, loop, r.Arrival, short(r.DurationS), short(r.WarmupS), r.Seed)
	if r.Aborted {
		b.WriteString("aborted: this is what there was until then\n")
	}
	for i, reason := range r.VoidReasons {
		if i == 0 {
			b.WriteString("\nvoid: the generator was the limit, or the machine; these numbers say nothing of the server\n")
		}
		fmt.Fprintf(b, "  – %s\n", reason)
	}
}

func (r Result) counts(b *strings.Builder) {
	fmt.Fprintf(b, "\noffered %s/s   achieved %s/s   in flight %s on average, at most %d\n", rate(r.OfferedPerS), rate(r.AchievedPerS), short(r.InFlight.Mean), r.InFlight.Max)
	fmt.Fprintf(b, "%d scheduled = %s\n", r.Ledger.Scheduled, ledger(r.Ledger))
	for _, c := range r.Causes {
		fmt.Fprintf(b, "  %d × %s\n", c.Count, c.Cause)
	}
}

// worthSaying is the longest wait for a connection, in ms, that is worth a line.
const worthSaying = 0.01

// ledger is the outcomes that occurred.
func ledger(l bench.Ledger) string {
	var parts []string
	for _, o := range []struct {
		n    int64
		name string
	}{{l.OK, "ok"}, {l.Degraded, "degraded"}, {l.Refused, "refused"}, {l.Failed, "failed"}, {l.Unsure, "unsure"}, {l.Unsent, "unsent"}} {
		if o.n > 0 || o.name == "ok" {
			share := ""
			if l.Scheduled > 0 {
				share = fmt.Sprintf(" (%s %%)", percent(float64(o.n)/float64(l.Scheduled)))
			}
			parts = append(parts, fmt.Sprintf("%d %s%s", o.n, o.name, share))
		}
	}
	return strings.Join(parts, " + ")
}

// percent keeps apart what is all and what is nearly all.
func percent(share float64) string {
	text := strconv.FormatFloat(100*share, 'f', 2, 64)
	switch {
	case text == "100.00" && share < 1:
		return "> 99.99"
	case text == "0.00" && share > 0:
		return "< 0.01"
	}
	return strings.TrimSuffix(strings.TrimSuffix(text, "0"), ".0")
}

func (r Result) times(b *strings.Builder) {
	if r.ResponseMS == nil && r.SendLagMS == nil {
		b.WriteString("\nno answers, and so no response times\n")
		return
	}
	b.WriteString("\n")
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "ms\tmean\tp50\tp90\tp95\tp99\tp99.9\tmax\t")
	row := func(name string, times *Times, bounds []string) {
		if times == nil {
			return
		}
		cells := []string{name}
		for i, v := range times.all() {
			bound := ""
			if slices.Contains(bounds, stats[i].name) {
				bound = "≥ "
			}
			cells = append(cells, bound+ms(v))
		}
		fmt.Fprintln(t, strings.Join(cells, "\t")+"\t")
	}
	row("response", r.ResponseMS, r.AtLeast)
	row("service", r.ServiceMS, r.ServiceAtLeast)
	if r.ConnWaitMS != nil && r.ConnWaitMS.Max >= worthSaying {
		row("wait for a connection", r.ConnWaitMS, nil)
	}
	row("send lag", r.SendLagMS, nil)
	if len(r.Ops) > 1 {
		for _, op := range r.Ops {
			row(fmt.Sprintf("%s (%d)", op.Name, op.Ledger.Scheduled), op.ResponseMS, op.AtLeast)
		}
	}
	_ = t.Flush() // to memory
	if r.Censored > 0 {
		fmt.Fprintf(b, "%d users gave up, after %s ms at the latest; what they would have waited is not known, and ≥ marks what that leaves open\n", r.Censored, ms(r.TimeoutMS))
	}
}

func (t *Times) all() []float64 { return []float64{t.Mean, t.P50, t.P90, t.P95, t.P99, t.P999, t.Max} }

func (r Result) footer(b *strings.Builder) {
	if len(r.SLO) > 0 {
		b.WriteString("\n")
	}
	for _, t := range r.SLO {
		mark := "✘"
		if t.Met {
			mark = "✔"
		}
		fmt.Fprintf(b, "%s %s: %s\n", mark, t.Term, t.value())
	}
	if r.Search != nil {
		searched(r.Search, b)
	}
	fmt.Fprintf(b, "\ngenerator: %s, %s µs of processor a request, %s MB at most", r.Client, short(r.CPUPerRequestUS), short(r.MaxRSSMB))
	if r.CeilingPerS > 0 {
		fmt.Fprintf(b, "; its ceiling here is %s/s, with a server that does nothing", rate(r.CeilingPerS))
	}
	b.WriteString("\n")
}

// value is what the load made of the term, in words.
func (t Term) value() string {
	if t.Value == nil {
		return "nothing to judge by"
	}
	text := ms(*t.Value) + " ms"
	if strings.HasPrefix(t.Term, "goodput") || strings.HasPrefix(t.Term, "errors") {
		text = percent(*t.Value) + " %"
	}
	if t.AtLeast {
		text = "≥ " + text
	}
	return text
}

func searched(s *search.Result, b *strings.Builder) {
	b.WriteString("\n")
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "rate/s\t\tachieved/s\tgoodput\tp50 ms\tp99 ms\tbacklog/s\t")
	for _, trial := range s.Trials {
		verdict, p50, p99, growth := "missed", ms(trial.P50MS), ms(trial.P99MS), "settled"
		switch {
		case !trial.Valid:
			verdict = "void"
		case trial.Met:
			verdict = "met"
		}
		switch {
		case !trial.Valid:
			p50, p99, growth = "–", "–", "–"
		case !trial.Settled: // what a percentile is of a queue that grows depends on how long one looked
			p50, p99, growth = "–", "–", "+"+rate(trial.BacklogGrowthPerS)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s %%\t%s\t%s\t%s\t\n", rate(trial.RatePerS), verdict, rate(trial.AchievedPerS), percent(trial.Goodput), p50, p99, growth)
	}
	_ = t.Flush() // to memory
	fmt.Fprintf(b, "\n%s\n", s)
	for _, trial := range s.Trials {
		if !trial.Valid {
			fmt.Fprintf(b, "  %s/s was void: %s\n", rate(trial.RatePerS), strings.Join(trial.Why, "; "))
		}
	}
}

// ms is a time with three significant digits.
func ms(v float64) string {
	switch {
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case v >= 1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	default:
		return strconv.FormatFloat(v, 'f', 3, 64)
	}
}

// rate is a number per second, in whole numbers where it has them.
func rate(v float64) string {
	if v >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return short(v)
}

// short is a number with at most two digits after the point, and no more than it needs.
func short(v float64) string {
	text := strconv.FormatFloat(v, 'f', 2, 64)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}
