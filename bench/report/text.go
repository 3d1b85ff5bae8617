package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"shakedown/bench"
	"shakedown/bench/verdict"
)

// The colours of text, as SGR parameters (ECMA-48).
const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
)

// A page is the text as it grows.
type page struct {
	strings.Builder
	width int
	color bool
}

func (p *page) paint(sgr, s string) string {
	if !p.color || s == "" {
		return s
	}
	return "\x1b[" + sgr + "m" + s + "\x1b[0m"
}

func (p *page) line(s string) {
	p.WriteString(strings.TrimRight(s, " "))
	p.WriteByte('\n')
}

// para writes wrapped text: the first line after first, the others after as many spaces.
func (p *page) para(first, sgr, text string) {
	indent := strings.Repeat(" ", columns(first))
	for _, l := range wrap(text, p.width-len(indent)) {
		p.line(first + p.paint(sgr, l))
		first = indent
	}
}

// items writes a heading and a list under it, or nothing where the list is empty.
func (p *page) items(heading, sgr string, list []string) {
	if len(list) == 0 {
		return
	}
	p.line("")
	p.line(p.paint(bold+";"+sgr, heading))
	for _, text := range list {
		p.para("  - ", "", text)
	}
}

// shownRemarks is how many lines of a list a text shows; there may be one for each trial.
const shownRemarks = 8

// few is what a text shows of a list.
func few(list []string) []string {
	if len(list) <= shownRemarks {
		return list
	}
	return append(slices.Clone(list[:shownRemarks-1]), fmt.Sprintf("and %d more in the report and in result.json", len(list)-shownRemarks+1))
}

func writeText(w io.Writer, in Input, opts Options) error {
	r := in.Result
	p := &page{width: opts.width(), color: opts.Color}
	p.para("", bold, orElse(r.Run.Experiment.Question, r.Run.Experiment.Name))
	p.para("", dim, runLine(r))
	if state := headline(r); state != "" {
		p.line("")
		p.para("", bold+";"+red, strings.ToUpper(state[:1])+state[1:]+".")
	}
	p.table(r)
	p.sweeps(r)
	p.claims(r)
	p.items(voidHeading(r), red, voidReasons(r))
	p.items("What the audits found", yellow, few(r.Audits))
	p.examples(r)
	p.items("What happened beside the experiment", yellow, few(r.Findings))
	if len(r.Run.Command) > 0 {
		p.line("")
		p.line(p.paint(bold, "Run it again"))
		p.line("  " + shell(r.Run.Command)) // never wrapped: it is there to be copied
	}
	_, err := io.WriteString(w, p.String())
	return err
}

// runLine is the run in one line.
func runLine(r verdict.Result) string {
	run := r.Run
	parts := []string{run.Experiment.Name}
	if run.Quick {
		parts = append(parts, "quick")
	}
	parts = append(parts, "seed "+decimal(run.Seed), plural(run.Repeats, "repeat"), trialsLine(r), loadLine(run.Experiment))
	if t := took(run); t != "" {
		parts = append(parts, t)
	}
	if h := hostLine(run.Host); h != "" {
		parts = append(parts, h)
	}
	return strings.Join(parts, " · ")
}

// sweeps writes the answer to each sweep, level by level.
func (p *page) sweeps(r verdict.Result) {
	title := ""
	for _, s := range r.Sweeps {
		if s.Title != title {
			title = s.Title
			p.line("")
			p.para("", bold, title)
		}
		first := "  "
		if name := level(r.Run.Experiment, s.Level); name != "" {
			first += name + ": "
		}
		p.para(first, "", sweepLine(s))
	}
}

func (p *page) claims(r verdict.Result) {
	if len(r.Claims) == 0 {
		return
	}
	p.line("")
	p.line(p.paint(bold, "Claims: "+summary(r)))
	for _, c := range r.Claims {
		p.line("")
		p.claim(c)
	}
}

func (p *page) claim(c verdict.Claim) {
	tone := red
	switch {
	case c.AsExpected:
		tone = green
	case c.Finding == bench.Undecided:
		tone = yellow
	}
	p.line(p.paint(bold+";"+tone, findingMarks[c.Finding]+" "+c.ID) + "  " + p.paint(tone, outcome(c)))
	p.para("  ", "", c.Text)
	p.para("  → ", "", c.Reason)
	if c.Finding == bench.Confirmed {
		return
	}
	for _, k := range c.Checks {
		p.check(k, says(c, k))
	}
}

// check writes a check of a claim that is not confirmed, and why it came out so unless that is said already.
func (p *page) check(c verdict.Check, said bool) {
	text := c.Text
	if c.When != "" {
		text = c.When + ": " + text
	}
	p.para("    "+checkMark(c)+" ", "", text+" ("+bound(c)+")")
	if !said {
		p.para("      ", dim, checkReason(c))
	}
}
