package benchmark

import (
	"flag"
	"os"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden file")

func TestAPageSaysWhatIsMetAndWhatIsNot(t *testing.T) {
	one := Section{name: "one", Title: "The first", Text: "Some words.", Notes: "More was said:\n\n* steal\n* lag, steal"}
	one.Promise("a promise", "1", true)
	one.Promise("another", "2", false)
	p := Page{
		Title: "Things beside their peers", Script: "bench-things", Intro: "It needs things.",
		Machine: Machine{
			Cores: 2, CPU: "Some CPU", Kernel: "Linux 6.1", Began: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), Commit: "abc", Go: "go1.26", LoadAvg: "0.10",
		},
		Facts: []Fact{{"things", "shakedown 1; wrk 4"}, {"not installed here", "wrk2"}},
		Quick: true, Steal: 0.012, Took: 11 * time.Minute,
		Sections: []Section{
			one,
			{name: "two", Title: "The second", Text: "More.", Tables: []Table{
				{Caption: "Of things.", Head: []string{"thing", "n"}, Rows: [][]string{{"x", "1"}, {"y", "2"}}}, {Head: []string{"z"}, Rows: [][]string{{"1"}}},
			}},
		},
	}
	got, err := p.Render()
	if err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/page.md"
	if *update {
		if err := os.WriteFile(golden, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("the page is not that of %s (go test -update):\n%s", golden, got)
	}
}

func TestAPageWithoutAPromisePromisesNothing(t *testing.T) {
	got, err := (&Page{Title: "Things", Intro: "Words.", Sections: []Section{{Title: "The first", Text: "More."}}}).Render()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(string(got), "\nWords.\n\n## The first\n\nMore.\n") {
		t.Errorf("the page is\n%s", got)
	}
}
