package specfile

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"shakedown/bench"
	"shakedown/targets/catalog"
)

func everyExperiment(t *testing.T, f func(t *testing.T, e bench.Experiment)) {
	t.Helper()
	for _, p := range catalog.Patterns() {
		for _, e := range p.Experiments {
			t.Run(e.Name, func(t *testing.T) { f(t, e) })
		}
	}
}

func TestWhatIsWrittenIsReadAgain(t *testing.T) {
	everyExperiment(t, func(t *testing.T, e bench.Experiment) {
		written, err := Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		read, err := Unmarshal(written)
		if err != nil {
			t.Fatalf("%v\n%s", err, written)
		}
		want, err := e.Clone() // configurations become maps in a file, as they do in a clone
		if err != nil {
			t.Fatal(err)
		}
		if a, b := asJSON(t, want), asJSON(t, read); a != b {
			t.Errorf("written:\n%s\nread:\n%s", a, b)
		}
		again, err := Marshal(read)
		if err != nil || len(again) == 0 {
			t.Fatal(err)
		}
		if second, err := Unmarshal(again); err != nil || asJSON(t, second) != asJSON(t, read) {
			t.Errorf("a second round changes the experiment (%v)", err)
		}
	})
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestFieldsKeepTheOrderOfTheirDeclaration(t *testing.T) {
	key := regexp.MustCompile(`(?m)^([a-z]+):`)
	order := []string{
		"name", "question", "note", "engines", "isolation", "direct", "sysctl", "backends", "variants", "factor", "levels", "network", "workload", "probe", "capacity",
		"phases", "columns", "sweeps", "checks",
	}
	everyExperiment(t, func(t *testing.T, e bench.Experiment) {
		written, err := Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		at := -1
		for _, m := range key.FindAllSubmatch(written, -1) {
			next := slices.Index(order, string(m[1]))
			if next <= at {
				t.Errorf("%s stands after %s", m[1], order[at])
			}
			at = max(at, next)
		}
		if at < 0 {
			t.Errorf("no fields at all:\n%s", written)
		}
	})
}

func TestCommentsAndOrderAreTheEditorsBusiness(t *testing.T) {
	_, e, err := catalog.Experiment("cache/aside/stampede")
	if err != nil {
		t.Fatal(err)
	}
	written, err := Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	name, rest, _ := bytes.Cut(written, []byte("\n"))
	edited := append([]byte("# my copy\n"), rest...)
	edited = append(edited, name...)
	edited = append(edited, " # the name stands last here\n"...)
	path := filepath.Join(t.TempDir(), "mine.yaml")
	if err := os.WriteFile(path, edited, 0o600); err != nil {
		t.Fatal(err)
	}
	read, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := Unmarshal(written); err != nil || asJSON(t, plain) != asJSON(t, read) {
		t.Errorf("comments or order changed the experiment (%v)", err)
	}
}

func TestAFileThatIsNoExperimentSaysWhy(t *testing.T) {
	for _, tc := range []struct{ name, text, says string }{
		{"empty", "", "is empty"},
		{"syntax", "name: [", "line 1"},
		{"two documents", "name: a\n---\nname: b\n", "more than one document"},
		{"second document is broken", "name: a\n---\n[", "more than one document"},
		{"a list", "- a\n", "the top level must be a mapping"},
		{"a word", "hello", "the top level must be a mapping"},
		{"keys that are no words", "1: 2\n", "is not an experiment|unknown field"},
		{"unknown field", "title: a\n", `unknown field "title"`},
		{"wrong type", "name: [a]\n", "cannot unmarshal array"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Unmarshal([]byte(tc.text))
			if err == nil || !regexp.MustCompile(tc.says).MatchString(err.Error()) || strings.Contains(err.Error(), "\n") {
				t.Errorf("want one line with %q, got %v", tc.says, err)
			}
		})
	}
}

func FuzzUnmarshal(f *testing.F) {
	f.Add([]byte("name: a/b/c\nvariants: [{name: x}]\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := Unmarshal(raw); err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("more than a line: %q", err)
		}
	})
}

func TestWordsThatOtherToolsTakeForBooleansAreQuoted(t *testing.T) {
	_, e, err := catalog.Experiment("db/pooling/size")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := Marshal(e)
	if err != nil || !strings.Contains(string(raw), `synchronous_commit: "off"`) {
		t.Errorf("off is not quoted: %v\n%s", err, raw)
	}
}
