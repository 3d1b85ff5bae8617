package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"shakedown/bench/record"
	"shakedown/bench/report"
)

// judged are the codes of a run that came to its end. Which one it is depends on how busy the machine is, so that tests of
// real runs take any of them.
var judged = []int{0, 1, 4}

func TestAStoredRunIsJudgedLikeTheRunItself(t *testing.T) {
	s := newSandbox(t)
	ran := s.run("run", "tiny.yaml", "--out", "rec", "-o", "json", "--seed", "7")
	if !slices.Contains(judged, ran.code) || ran.stderr != "" {
		t.Fatalf("the run should be judged, and silent on standard error beside a pipe: %v", ran)
	}
	if left := s.left(); left != nil {
		t.Errorf("left by the run: %q", left)
	}
	doc := document(t, ran.out)
	if len(doc.Runs) != 1 || doc.Runs[0].Status != record.Complete || len(doc.Runs[0].Trials) != 2 {
		t.Fatalf("the run should have completed 2 trials: %s", ran.out)
	}

	stored, err := os.ReadFile(filepath.Join(s.dir, "rec", "result.json"))
	if err != nil || string(stored) != ran.out {
		t.Errorf("result.json differs from what the run printed (%v)", err)
	}
	s.env = append(s.env, "PATH=/nonexistent") // from here on there are no servers
	for _, format := range report.Formats() {
		again := s.run("report", "rec", "--format", format)
		if again.code != ran.code || again.stderr != "" || again.out == "" {
			t.Errorf("--format %s: want exit code %d and a report, got %v", format, ran.code, again)
		}
		if format == "json" && again.out != ran.out {
			t.Errorf("report --format json differs from the run's own words:\n%s\n%s", again.out, ran.out)
		}
		for _, c := range doc.Runs[0].Claims {
			if !strings.Contains(strings.ReplaceAll(again.out, "<!-- -->", ""), c.ID) { // which keeps GitHub from making links
				t.Errorf("--format %s does not mention claim %s", format, c.ID)
			}
		}
	}

	wantCommand := strings.Fields("shakedown run tiny.yaml --seed 7 --repeats 1 --again 0")
	if got := doc.Runs[0].Run.Command; !slices.Equal(got, wantCommand) {
		t.Errorf("the recorded command is %q, want %q", got, wantCommand)
	}
	refused := s.run("run", "tiny.yaml", "--out", "rec")
	if refused.code != 2 || !strings.Contains(refused.stderr, "not empty") {
		t.Errorf("a second run into the same directory should be refused, got %v", refused)
	}
}

func TestSeveralExperimentsPrintOneDocument(t *testing.T) {
	s := newSandbox(t)
	s.write("other.yaml", strings.Replace(tiny(t), "cache/aside/tiny", "cache/aside/other", 1))
	ran := s.run("run", "tiny.yaml", "other.yaml", "--variant", "plain", "--out", "both", "-o", "json")
	if !slices.Contains(judged, ran.code) {
		t.Fatal(ran)
	}
	doc := document(t, ran.out)
	if len(doc.Runs) != 2 || doc.Runs[0].Run.Command[2] != "tiny.yaml" || doc.Runs[1].Run.Command[2] != "other.yaml" {
		t.Errorf("want both runs, in order, each with the command that repeats it alone; got %s", ran.out)
	}
	if doc.Runs[0].Run.Seed != doc.Runs[1].Run.Seed {
		t.Error("the runs of one session should share its seed")
	}
	for _, dir := range []string{"both/cache-aside-tiny", "both/cache-aside-other"} {
		if _, err := record.Open(filepath.Join(s.dir, dir)); err != nil {
			t.Error(err)
		}
	}
}

func TestRunPrintsTextAndLines(t *testing.T) {
	s := newSandbox(t)
	for format, want := range map[string]string{"text": "report: text/report.html\n", "ndjson": "}\n"} {
		ran := s.run("run", "tiny.yaml", "--variant", "plain", "--out", format, "-o", format)
		if !slices.Contains(judged, ran.code) || !strings.HasSuffix(ran.out, want) {
			t.Errorf("-o %s should end in %q: %v", format, want, ran)
		}
		if n := strings.Count(ran.out, "\n"); format == "ndjson" && (n != 1 || !json.Valid([]byte(ran.out))) {
			t.Errorf("-o ndjson should be one JSON value on one line, got %d lines: %s", n, ran.out)
		}
	}
}

func TestCtrlCEndsARunInOrder(t *testing.T) {
	s := newSandbox(t)
	s.write("long.yaml", strings.Replace(tiny(t), "for: 1s", "for: 1h", 1))
	var out, stderr bytes.Buffer
	cmd := s.command("run", "long.yaml", "--out", "rec", "-o", "text")
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { // the load runs once the first phase is recorded
		raw, err := os.ReadFile(filepath.Join(s.dir, "rec/trials/000/events.ndjson"))
		return err == nil && bytes.Contains(raw, []byte("steady")) || cmd.Process.Signal(syscall.Signal(0)) != nil
	})
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	stopped := ended{cmd.ProcessState.ExitCode(), out.String(), stderr.String()}
	if stopped.code != 5 || strings.Count(stopped.stderr, "\n") != 1 || !strings.Contains(stopped.stderr, "aborted") {
		t.Errorf("want exit code 5 and one line that says so, got %v", stopped)
	}
	if left := s.left(); left != nil {
		t.Errorf("left by the stopped run: %q", left)
	}
	rec, err := record.Open(filepath.Join(s.dir, "rec"))
	if err != nil || rec.Run.Status != record.Aborted {
		t.Errorf("the directory should be marked aborted: %+v, %v", rec, err)
	}
	for _, format := range report.Formats() {
		again := s.run("report", "rec", "--format", format)
		if again.code != 4 || !strings.Contains(strings.ToLower(again.out), "aborted") || again.stderr != "" {
			t.Errorf("--format %s of an aborted run should say so and be no pass, got %v", format, again)
		}
	}
}

func document(t *testing.T, raw string) report.Document {
	t.Helper()
	var doc report.Document
	dec := json.NewDecoder(strings.NewReader(raw))
	if err := dec.Decode(&doc); err != nil {
		t.Fatalf("not a document: %v\n%s", err, raw)
	}
	if err := dec.Decode(new(any)); err == nil {
		t.Fatalf("more than one document: %s", raw)
	}
	return doc
}

// stored copies the recording in testdata, a real run of tiny.yaml in which all went well, to rec, and changes a file of it.
func (s *sandbox) stored(file, old, changed string) {
	s.t.Helper()
	dir := filepath.Join(s.dir, "rec")
	err := os.CopyFS(dir, os.DirFS("testdata/recording"))
	path := filepath.Join(dir, file)
	raw, err2 := os.ReadFile(path)
	if err := errors.Join(err, err2); err != nil {
		s.t.Fatal(err)
	}
	if !strings.Contains(string(raw), old) {
		s.t.Fatalf("%s has no %q", path, old)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(raw), old, changed, 1)), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func TestTheExitCodeIsTheVerdict(t *testing.T) {
	for _, tc := range []struct {
		name, file, old, changed string
		code                     int
		says                     string
	}{
		{"every claim is as expected", "run.json", `"expect": "depends"`, `"expect": "confirmed"`, 0, "confirmed"},
		{"a claim is not as expected", "run.json", `"expect": "depends"`, `"expect": "refuted"`, 1, "confirmed"},
		{"a trial may not be judged", "trials/000/trial.json", `"max_rss_mb"`, `"gc_pause_ms": 5000, "max_rss_mb"`, 4, "void"},
		{"a trial was killed", "trials/000/trial.json", `"status": "complete"`, `"status": "running"`, 4, "killed"},
		{"the run was killed between trials", "run.json", `"status": "complete"`, `"status": "running"`, 1, "truncated"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSandbox(t)
			s.stored(tc.file, tc.old, tc.changed)
			got := s.run("report", "rec")
			if got.code != tc.code || !strings.Contains(strings.ToLower(got.out), tc.says) || got.stderr != "" {
				t.Errorf("want exit code %d and %q, got %v", tc.code, tc.says, got)
			}
		})
	}
}
