package report_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"shakedown/bench"
	"shakedown/bench/report"
	"shakedown/bench/verdict"
)

var update = flag.Bool("update", false, "write the golden files")

func write(t *testing.T, format string, in report.Input, opts report.Options) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := report.Write(&b, format, in, opts); err != nil {
		t.Fatalf("Write(%s): %v", format, err)
	}
	return b.Bytes()
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (write it with go test -update)", err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs from what is written now (go test -update accepts it):\n%s", path, got)
	}
}

func TestEveryTextualFormatReadsAsItsGoldenFile(t *testing.T) {
	ext := map[string]string{"text": "txt", "json": "json", "junit": "xml", "md": "md"}
	for name, in := range fixtures() {
		for format, e := range ext {
			t.Run(name+"."+e, func(t *testing.T) {
				golden(t, name+"."+e, write(t, format, in, report.Options{}))
			})
		}
	}
}

func TestColourAndWidthChangeOnlyTheLooksOfText(t *testing.T) {
	golden(t, "levels-color.txt", write(t, "text", levels(), report.Options{Color: true, Width: 120}))
	golden(t, "levels-narrow.txt", write(t, "text", levels(), report.Options{Width: 48}))
}

func TestTextHasNoEscapesWithoutColour(t *testing.T) {
	for name, in := range fixtures() {
		if got := write(t, "text", in, report.Options{}); bytes.Contains(got, []byte("\x1b")) {
			t.Errorf("%s: the text has escape sequences", name)
		}
	}
}

func TestFormatsAreThoseThatWriteKnows(t *testing.T) {
	want := []string{"text", "html", "json", "junit", "md"}
	if got := report.Formats(); !slices.Equal(got, want) {
		t.Errorf("Formats() = %v, want %v", got, want)
	}
	err := report.Write(io.Discard, "pdf", report.Input{}, report.Options{})
	if err == nil || !strings.Contains(err.Error(), `"pdf"`) || !strings.Contains(err.Error(), "junit") {
		t.Errorf("Write(pdf) = %v, want an error that names the format and the known ones", err)
	}
}

func TestAnErrorOfTheWriterIsReturned(t *testing.T) {
	for _, format := range report.Formats() {
		if err := report.Write(broken{}, format, single(), report.Options{}); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("Write(%s) to a closed pipe = %v", format, err)
		}
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestJSONHasOneShapeForOneRunAndForMany(t *testing.T) {
	for _, n := range []int{0, 1, 3} {
		var b bytes.Buffer
		if err := report.WriteJSON(&b, make([]verdict.Result, n)); err != nil {
			t.Fatal(err)
		}
		var doc struct {
			SchemaVersion int               `json:"schema_version"`
			Runs          []json.RawMessage `json:"runs"`
		}
		if err := json.Unmarshal(b.Bytes(), &doc); err != nil {
			t.Fatal(err)
		}
		if doc.SchemaVersion != 1 || doc.Runs == nil || len(doc.Runs) != n {
			t.Errorf("%d runs: schema version %d, runs %v", n, doc.SchemaVersion, doc.Runs)
		}
	}
}

func TestJSONLeavesTheResultAsItIs(t *testing.T) {
	in := single()
	before := in.Result.Claims[0].Checks[0].Effect.Value
	write(t, "json", in, report.Options{})
	if after := in.Result.Claims[0].Checks[0].Effect.Value; after != before {
		t.Errorf("the effect was %v and is %v", before, after)
	}
}

func TestJUnitFailsWhereAClaimIsNotAsExpected(t *testing.T) {
	type suites struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Errors   int `xml:"errors,attr"`
		Suite    struct {
			Case []struct {
				Name    string `xml:"name,attr"`
				Failure *struct {
					Type string `xml:"type,attr"`
				} `xml:"failure"`
				Error *struct {
					Type string `xml:"type,attr"`
				} `xml:"error"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	for name, want := range map[string][3]int{"levels": {4, 2, 0}, "single": {1, 0, 0}, "void": {1, 0, 1}, "aborted": {1, 0, 1}} {
		var got suites
		if err := xml.Unmarshal(write(t, "junit", fixtures()[name], report.Options{}), &got); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if n := [3]int{got.Tests, got.Failures, got.Errors}; n != want || len(got.Suite.Case) != want[0] {
			t.Errorf("%s: tests, failures, errors = %v, want %v", name, n, want)
		}
		for _, c := range got.Suite.Case {
			if strings.Contains(c.Name, "#4") && (c.Failure == nil || c.Failure.Type != bench.Undecided.String()) {
				t.Errorf("%s: the undecided claim is not a failure of type undecided: %+v", name, c)
			}
		}
	}
}

func TestAnUnusableRunWithoutClaimsIsNoGreenSuite(t *testing.T) {
	in := void()
	in.Result.Claims = nil
	if got := write(t, "junit", in, report.Options{}); !bytes.Contains(got, []byte(`errors="1"`)) {
		t.Errorf("a void run without claims reads as passed:\n%s", got)
	}
}

func TestMarkdownRowsHaveAsManyCellsAsTheirHead(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(fixtures())) {
		cells := 0
		for line := range strings.Lines(string(write(t, "md", fixtures()[name], report.Options{}))) {
			if !strings.HasPrefix(line, "|") {
				cells = 0
				continue
			}
			n := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|")
			if cells != 0 && n != cells {
				t.Errorf("%s: %d bars instead of %d in %q", name, n, cells, line)
			}
			cells = n
		}
	}
}
