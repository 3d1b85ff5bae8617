package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"strings"
	"text/template"
	"time"
)

// A section is what came of one experiment.
type section struct {
	Name, Title, Text string
	Tables            []table
	Bounds            []bound
}

// A table has its first column to the left and all others to the right.
type table struct {
	Head []string
	Rows [][]string
}

// A bound is a promise, and what was measured.
type bound struct {
	What, Measured string
	Met            bool
}

// A document is docs/benchmarks/chaos.md.
type document struct {
	Machine  machine
	Quick    bool
	Steal    float64 // share of the processors that the hypervisor took meanwhile
	Took     time.Duration
	Sections []section
}

func (d *document) finish(steal float64) {
	d.Steal, d.Took = steal, time.Since(d.Machine.Began).Round(time.Second)
}

//go:embed chaos.md.tmpl
var chaosMD string

// render is the document as Markdown.
func (d *document) render() ([]byte, error) {
	t, err := template.New("chaos.md").Funcs(template.FuncMap{
		"table": table.markdown, "join": strings.Join, "percent": func(v float64) string { return fmt.Sprintf("%.1f %%", 100*v) },
		"met": func(met bool) string {
			if met {
				return "yes"
			}
			return "**no**"
		},
	}).Parse(chaosMD)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := t.Execute(&out, d); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func (t table) markdown() string {
	var b strings.Builder
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
