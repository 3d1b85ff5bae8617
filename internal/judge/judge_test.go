package judge

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shakedown/bench/report"
)

// recording is a real run, which the tests of the command line keep.
const recording = "../../cmd/shakedown/testdata/recording"

func TestAStoredRunIsJudgedTheSameEveryTime(t *testing.T) {
	first, err := Dir(recording)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Dir(recording)
	if err != nil {
		t.Fatal(err)
	}
	a, err1 := json.Marshal(first.Result)
	b, err2 := json.Marshal(second.Result)
	if err1 != nil || err2 != nil || string(a) != string(b) {
		t.Errorf("judged differently (%v, %v):\n%s\n%s", err1, err2, a, b)
	}
	if first.Result.Void || len(first.Result.Claims) != 1 || len(first.Result.Trials) != 2 {
		t.Errorf("the recording has one claim and two valid trials, judged %+v", first.Result)
	}
}

func TestTheReportIsKeptBesideTheRecording(t *testing.T) {
	in, err := Dir(recording)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	page, err := Keep(dir, in)
	if err != nil || page != filepath.Join(dir, "report.html") {
		t.Fatalf("%s, %v", page, err)
	}
	html, err := os.ReadFile(page)
	if err != nil || !strings.Contains(string(html), in.Result.Claims[0].ID) {
		t.Errorf("the page should name the claim (%v)", err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "result.json"))
	if err != nil {
		t.Fatal(err)
	}
	var doc report.Document
	if err := json.Unmarshal(raw, &doc); err != nil || len(doc.Runs) != 1 || doc.Runs[0].Claims[0].Finding != in.Result.Claims[0].Finding {
		t.Errorf("result.json should have the finding (%v): %s", err, raw)
	}
}

func TestWhatCannotBeJudgedSaysWhy(t *testing.T) {
	for name, spoil := range map[string]func(dir string) error{
		"not a run directory":    func(dir string) error { return os.Remove(filepath.Join(dir, "run.json")) },
		"run.json":               func(dir string) error { return os.WriteFile(filepath.Join(dir, "run.json"), []byte("{"), 0o600) },
		"trial 0 is missing":     func(dir string) error { return os.RemoveAll(filepath.Join(dir, "trials/000")) },
		"samples.bin is missing": func(dir string) error { return os.Remove(filepath.Join(dir, "trials/001/samples.bin")) },
	} {
		dir := filepath.Join(t.TempDir(), "rec")
		if err := os.CopyFS(dir, os.DirFS(recording)); err != nil {
			t.Fatal(err)
		}
		if err := spoil(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := Dir(dir); err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "\n") {
			t.Errorf("want one line with %q, got %v", name, err)
		}
	}
	in, err := Dir(recording)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Keep(filepath.Join(t.TempDir(), "gone"), in); err == nil {
		t.Error("a report that cannot be written should be an error")
	}
}
