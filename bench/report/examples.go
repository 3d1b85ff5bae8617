package report

import (
	"fmt"
	"slices"
	"strings"

	"shakedown/bench/verdict"
)

// shownExamples is how many examples of one variant at one level a text shows, where a load made them: a few say it. Of a probe's, each is
// of something else, and all are shown.
const shownExamples = 3

// sightings are the places where an example was found, each once: "rc at postgres, rr at postgres".
func sightings(e verdict.Example) string {
	var places []string
	for _, s := range e.Seen {
		place := s.Variant
		if s.Level != "" {
			place += " at " + s.Level
		}
		if !slices.Contains(places, place) {
			places = append(places, place)
		}
	}
	return strings.Join(places, ", ")
}

// fewExamples are those that a text shows, and how many it leaves out.
func fewExamples(r verdict.Result) (few []verdict.Example, more int) {
	if r.Run.Experiment.Probes() {
		return r.Examples, 0
	}
	shown := map[string]int{}
	for _, e := range r.Examples {
		if len(e.Seen) == 0 {
			continue
		}
		at := e.Seen[0].Variant + "\n" + e.Seen[0].Level
		if shown[at]++; shown[at] > shownExamples {
			more++
			continue
		}
		few = append(few, e)
	}
	return few, more
}

// examplesHeading is over the examples, in every format.
const examplesHeading = "Examples of what was counted"

// examples writes them as they are: their lines are not joined.
func (p *page) examples(r verdict.Result) {
	few, more := fewExamples(r)
	if len(few) == 0 {
		return
	}
	p.line("")
	p.line(p.paint(bold+";"+yellow, examplesHeading))
	for i, e := range few {
		if i == 0 || sightings(few[i-1]) != sightings(e) {
			p.line("")
			p.para("  ", bold, sightings(e))
		}
		for line := range strings.Lines(e.Text) {
			p.exampleLine(strings.TrimRight(line, "\n"))
		}
	}
	if more > 0 {
		p.line("  " + p.paint(dim, fmt.Sprintf("and %d more in the report and in result.json", more)))
	}
}

// exampleLine keeps the spaces of a line that fits, and wraps one that does not.
func (p *page) exampleLine(line string) {
	const indent = "    "
	if columns(indent+line) <= p.width {
		p.line(indent + line)
		return
	}
	text := strings.TrimLeft(line, " ")
	p.para(indent+line[:len(line)-len(text)], "", text)
}

// markdownExamples folds them away.
func markdownExamples(b *strings.Builder, r verdict.Result) {
	few, more := fewExamples(r)
	if len(few) == 0 {
		return
	}
	fmt.Fprintf(b, "<details><summary>%s</summary>\n\n", examplesHeading)
	for _, e := range few {
		fence := fenceFor(e.Text)
		fmt.Fprintf(b, "%s\n\n%stext\n%s\n%s\n\n", markdown.Replace(sightings(e)), fence, strings.TrimRight(e.Text, "\n"), fence)
	}
	if more > 0 {
		fmt.Fprintf(b, "%d more are in the report.\n\n", more)
	}
	b.WriteString("</details>\n\n")
}
