// Package catalogdocs renders what the registry knows into Markdown: a page for each pattern, the list of metrics that a
// check may ask for, and the command line. What is rendered is never edited; `make stale` fails when it is out of date.
package catalogdocs

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"shakedown/bench"
	"shakedown/bench/measure"
	"shakedown/targets/catalog"
)

const generated = "<!-- rendered by `make docs`; edit the registry, not this file -->\n\n"

// Write renders everything below dir: catalog/*.md.
func Write(dir string) error {
	pages := map[string][]byte{"catalog/README.md": index(), "catalog/metrics.md": metrics(), "catalog/faults.md": faults()}
	for _, p := range catalog.Patterns() {
		pages["catalog/"+fileName(p.Name)] = pattern(p)
	}
	for name, page := range pages {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, page, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func fileName(pattern string) string { return strings.ReplaceAll(pattern, "/", "-") + ".md" }

func index() []byte {
	var b bytes.Buffer
	b.WriteString(generated + "# Patterns\n\n| pattern | what it is | experiments | claims |\n|---|---|---|---|\n")
	for _, p := range catalog.Patterns() {
		var names []string
		for _, e := range p.Experiments {
			names = append(names, "`"+e.Name+"`")
		}
		fmt.Fprintf(&b, "| [%s](%s) | %s | %s | %d |\n", p.Name, fileName(p.Name), cell(p.Title), strings.Join(names, ", "), len(p.Claims))
	}
	b.WriteString("\nWhat a check may ask for is in [metrics](metrics.md), what may go wrong in [faults](faults.md).\n")
	return b.Bytes()
}

func metrics() []byte {
	var b bytes.Buffer
	b.WriteString(generated + "# Metrics\n\nWhat a query of an experiment may ask, by name. `name` is what the metric is about, `stat` how it is summed up.\n\n")
	b.WriteString("| metric | what | name | stats | unit |\n|---|---|---|---|---|\n")
	for _, m := range measure.Metrics() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", m.Name, cell(m.What), cell(m.Named), strings.Join(m.Stats, ", "), cell(m.Unit))
	}
	return b.Bytes()
}

func pattern(p bench.Pattern) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s# %s\n\n`%s`\n\n%s\n\n## Claims\n\n| id | claim | expected | source |\n|---|---|---|---|\n", generated, p.Title, p.Name, p.Summary)
	for _, c := range p.Claims {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", c.ID, cell(c.Text), cell(expected(c)), cell(c.Source))
	}
	for _, e := range p.Experiments {
		experiment(&b, e)
	}
	if len(p.Experiments) == 0 {
		fmt.Fprintf(&b, "\nDecided by %s.\n", deciders(p))
	}
	return b.Bytes()
}

// deciders are the experiments of other patterns that decide claims of this one.
func deciders(p bench.Pattern) string {
	var names []string
	for _, q := range catalog.Patterns() {
		for _, e := range q.Experiments {
			for _, id := range catalog.ClaimIDs(e) {
				if strings.HasPrefix(id, p.Name+"#") {
					names = append(names, fmt.Sprintf("[`%s`](%s)", e.Name, fileName(q.Name)))
					break
				}
			}
		}
	}
	return strings.Join(names, " and ")
}

func expected(c bench.Claim) string {
	if c.On != "" {
		return c.Expect.String() + " on " + c.On
	}
	return c.Expect.String()
}

func experiment(b *bytes.Buffer, e bench.Experiment) {
	fmt.Fprintf(b, "\n## %s\n\n**%s** %s\n\n    shakedown run %s\n", e.Name, e.Question, e.Note, e.Name)
	b.WriteString("\n| variant | what is different |\n|---|---|\n")
	for i, v := range e.Variants {
		control := ""
		if i == 0 {
			control = " (control)"
		}
		fmt.Fprintf(b, "| %s%s | %s |\n", v.Name, control, cell(v.About))
	}
	if len(e.Levels) > 0 {
		fmt.Fprintf(b, "\n| %s | what it sets |\n|---|---|\n", e.Factor)
		for _, l := range e.Levels {
			fmt.Fprintf(b, "| %s | %s |\n", l.Name, cell(l.About))
		}
	}
	if e.Probes() {
		b.WriteString("\nA probe, without a load: each trial asks the engines once, and counts what it finds.\n")
	}
	b.WriteString("\n| claim | check | when |\n|---|---|---|\n")
	for _, c := range e.Checks {
		fmt.Fprintf(b, "| %s | %s (%s %g) | %s |\n", c.Claim, cell(c.Text), c.Rel.Sign(), c.Bound, cell(c.When))
	}
}

// cell makes text safe for a table.
func cell(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "|", "\\|"), "\n", " ")
}
