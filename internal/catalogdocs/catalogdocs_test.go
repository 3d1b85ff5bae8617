package catalogdocs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"shakedown/bench/measure"
	"shakedown/chaos"
	"shakedown/targets/catalog"
)

func TestEveryPatternClaimExperimentAndMetricHasItsPlace(t *testing.T) {
	dir := t.TempDir()
	if err := Write(dir); err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		t.Helper()
		raw, err := os.ReadFile(filepath.Join(dir, "catalog", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	index := read("README.md")
	for _, p := range catalog.Patterns() {
		page := read(fileName(p.Name))
		wants := []string{"# " + p.Title, "`" + p.Name + "`"}
		for _, c := range p.Claims {
			wants = append(wants, "| "+c.ID+" |", cell(c.Text), cell(c.Source))
		}
		for _, e := range p.Experiments {
			wants = append(wants, "## "+e.Name, "shakedown run "+e.Name)
			for _, v := range e.Variants {
				wants = append(wants, "| "+v.Name)
			}
		}
		for _, want := range wants {
			if !strings.Contains(page, want) {
				t.Errorf("the page of %s has no %q", p.Name, want)
			}
		}
		if !strings.Contains(index, "["+p.Name+"]("+fileName(p.Name)+")") {
			t.Errorf("the index does not lead to %s", p.Name)
		}
		if len(p.Experiments) == 0 && strings.Contains(page, "Decided by .") {
			t.Errorf("nobody decides the claims of %s", p.Name)
		}
	}
	for _, kind := range chaos.Kinds() {
		if page := read("faults.md"); !strings.Contains(page, "\n## "+kind+"\n") || !strings.Contains(page, "(#"+kind+")") {
			t.Errorf("fault %s is not listed", kind)
		}
	}
	for _, m := range measure.Metrics() {
		if !strings.Contains(read("metrics.md"), "| `"+m.Name+"` |") {
			t.Errorf("metric %s is not listed", m.Name)
		}
	}
}

func TestLinksLeadSomewhere(t *testing.T) {
	dir := t.TempDir()
	if err := Write(dir); err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob(filepath.Join(dir, "catalog", "*.md"))
	if err != nil || len(pages) == 0 {
		t.Fatalf("no pages: %v", err)
	}
	link := regexp.MustCompile(`\]\(([^)#:]+)\)`)
	for _, page := range pages {
		raw, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllSubmatch(raw, -1) {
			_, rendered := os.Stat(filepath.Join(filepath.Dir(page), string(m[1])))
			_, written := os.Stat(filepath.Join("..", "..", "docs", "catalog", string(m[1])))
			if rendered != nil && written != nil {
				t.Errorf("%s links to %s, which is not there", filepath.Base(page), m[1])
			}
		}
	}
}

func TestRowsOfATableHaveTheSameNumberOfCells(t *testing.T) {
	bar := regexp.MustCompile(`(^|[^\\])\|`)
	for _, p := range catalog.Patterns() {
		page := pattern(p)
		cells := 0
		for line := range strings.Lines(string(page)) {
			n := len(bar.FindAllString(line, -1))
			if !strings.HasPrefix(line, "|") {
				cells = 0
				continue
			}
			if cells == 0 {
				cells = n
			}
			if n != cells {
				t.Errorf("%s: a row of %d bars in a table of %d: %s", p.Name, n, cells, line)
			}
		}
	}
}

func TestWriteSaysWhatFailed(t *testing.T) {
	if err := Write("/proc/none"); err == nil {
		t.Error("want an error")
	}
}

func TestCell(t *testing.T) {
	if got := cell("a|b\nc"); got != `a\|b c` {
		t.Errorf("got %q", got)
	}
}
