package benchmark

import (
	"bytes"
	_ "embed"
	"fmt"
	"strings"
	"text/template"
	"time"
)

// A Section is what came of one experiment.
type Section struct {
	Title, Text string // Text is Markdown
	Tables      []Table
	Bounds      []Bound
	Notes       string // Markdown after the tables
	name        string // of the experiment
}

// A Table has its first column to the left and all others to the right.
type Table struct {
	Caption string
	Head    []string
	Rows    [][]string
}

// A Bound is a promise, and what was measured.
type Bound struct {
	What, Measured string
	Met            bool
}

// Promise adds a bound to the section.
func (s *Section) Promise(what, measured string, met bool) {
	s.Bounds = append(s.Bounds, Bound{What: what, Measured: measured, Met: met})
}

// Name is that of the experiment, by which it can be asked for.
func (s Section) Name() string { return s.name }

// A Fact is a row about what took part.
type Fact struct{ Name, Text string }

// A Page is a document below docs/benchmarks.
type Page struct {
	Title    string
	Script   string // make SCRIPT, scripts/SCRIPT
	Intro    string // Markdown: how the numbers came about
	Machine  Machine
	Facts    []Fact
	Quick    bool
	Steal    float64 // share of the processors that the hypervisor took meanwhile
	Took     time.Duration
	Sections []Section
}

// Bounds are those of all sections.
func (p *Page) Bounds() (all []Bound) {
	for _, s := range p.Sections {
		all = append(all, s.Bounds...)
	}
	return all
}

//go:embed page.md.tmpl
var pageMD string

var page = template.Must(template.New("page.md").Funcs(template.FuncMap{
	"table": Table.markdown, "percent": func(v float64) string { return fmt.Sprintf("%.1f %%", 100*v) },
	"met": func(met bool) string {
		if met {
			return "yes"
		}
		return "**no**"
	},
}).Parse(pageMD))

// Render is the page as Markdown.
func (p *Page) Render() ([]byte, error) {
	var out bytes.Buffer
	if err := page.Execute(&out, p); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func (t Table) markdown() string {
	var b strings.Builder
	if t.Caption != "" {
		fmt.Fprintf(&b, "%s\n\n", t.Caption)
	}
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	line(t.Head)
	rule := make([]string, len(t.Head))
	for i := range rule {
		rule[i] = "---:"
	}
	rule[0] = "---"
	line(rule)
	for _, r := range t.Rows {
		line(r)
	}
	return b.String()
}
