package chaosctl

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"shakedown/chaos"
	"shakedown/chaos/proxy/api"
	"shakedown/internal/units"
)

// A status is all that a daemon does, at one moment.
type status struct {
	Links  []linkStatus    `json:"links"`
	Faults []api.FaultInfo `json:"faults"`
}

type linkStatus struct {
	api.LinkInfo
	Counters chaos.Counters `json:"counters"`
}

// Status prints the links, what is in force on them and since when, and what it did so far.
func Status(ctx context.Context, o Options, out io.Writer) error {
	c, err := dial(ctx, o)
	if err != nil {
		return err
	}
	defer c.Close()
	var s status
	links, err := c.Links(ctx)
	if err != nil {
		return err
	}
	for _, info := range links {
		n, err := c.Open(info.Name).Counters(ctx)
		if err != nil {
			return err
		}
		s.Links = append(s.Links, linkStatus{info, n})
	}
	if s.Faults, err = c.Faults(ctx); err != nil {
		return err
	}
	s.Faults = slices.DeleteFunc(s.Faults, func(f api.FaultInfo) bool { return !f.InForce() })
	return o.print(out, s, s.text(time.Now()))
}

func (s status) text(now time.Time) string {
	var b strings.Builder
	if len(s.Links) == 0 {
		return "no link; shakedown chaos link add makes one, and so does a client of Toxiproxy\n"
	}
	s.links(&b)
	if !s.inForce(&b, now) {
		b.WriteString("\nnothing is in force\n")
	}
	return b.String()
}

func (s status) links(b *strings.Builder) {
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "LINK\tLISTENS ON\tLEADS TO\tOPEN\tCONNECTIONS\tFAILED\tUP\tDOWN")
	for _, l := range s.Links {
		to := l.Address
		if l.Network != "" && l.Network != "tcp" {
			to = l.Network + ":" + to
		}
		n := l.Counters
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\t%s\t%s\n",
			l.Name, l.Addr, to, n.Open, n.Connections, n.DialFailures, size(n.BytesUp), size(n.BytesDown))
	}
	w.Flush()
}

// inForce lists faults, and the effects that are none of theirs; it returns whether there are any.
func (s status) inForce(b *strings.Builder, now time.Time) bool {
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	some := false
	row := func(cells ...string) {
		if !some {
			fmt.Fprint(w, "\nIN FORCE\tWHAT\tSINCE\tACHIEVED\n")
		}
		some = true
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	mine := map[api.EffectRef]bool{}
	for _, f := range s.Faults {
		for _, ref := range f.Effects {
			mine[ref] = true
		}
		row(f.ID, f.Text, since(f, now), achieved(f))
	}
	for _, l := range s.Links {
		for _, id := range slices.Sorted(maps.Keys(l.Effects)) {
			if !mine[api.EffectRef{Link: l.Name, ID: id}] {
				row(id, does(l.Effects[id])+" on "+l.Name, ago(l.Since[id], now), "")
			}
		}
	}
	w.Flush()
	return some
}

func since(f api.FaultInfo, now time.Time) string {
	text := ago(f.Since, now)
	if !f.Until.IsZero() {
		text += ", for " + f.Until.Sub(f.Since).Round(time.Millisecond).String()
	}
	return text
}

func ago(t, now time.Time) string { return now.Sub(t).Round(time.Second).String() + " ago" }

// achieved is what the fault did to real traffic so far, or else to the probe that proved it.
func achieved(f api.FaultInfo) string {
	switch {
	case f.Problem != "":
		return f.Problem
	case f.Delays != nil:
		got, asked := f.Delays.Achieved, f.Delays.Asked
		return fmt.Sprintf("%d chunks delayed: p50 %s (asked %s), p99 %s (%s)",
			f.Delays.Count, ms(got.P50), ms(asked.P50), ms(got.P99), ms(asked.P99))
	}
	return f.Landed.String()
}

// ms writes a duration in milliseconds, to the precision of what measured it.
func ms(d units.Duration) string { return fmt.Sprintf("%.4g ms", float64(d)/1e6) }

// does says an effect in its own fields: "delay 20ms, share 0.5".
func does(e chaos.Effect) string {
	e.Trace = nil              // "law trace" says enough
	text, _ := json.Marshal(e) // plain data
	var parts []string
	for _, part := range strings.Split(strings.Trim(string(text), "{}"), ",") {
		key, value, _ := strings.Cut(strings.ReplaceAll(part, `"`, ""), ":")
		if key != "seed" {
			parts = append(parts, strings.TrimSpace(strings.ReplaceAll(key, "_", " ")+" "+strings.TrimPrefix(value, "true")))
		}
	}
	return strings.Join(parts, ", ")
}

// size is a number of bytes for people.
func size(n int64) string {
	f, unit := float64(n), 0
	for ; f >= 1000 && unit < 4; unit++ {
		f /= 1000
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.3g %s", f, []string{"", "kB", "MB", "GB", "TB"}[unit])
}
