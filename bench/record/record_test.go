package record

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"shakedown/bench"
	"shakedown/chaos"
	"shakedown/internal/units"
)

var started = time.Date(2026, 3, 4, 5, 6, 7, 123456789, time.UTC)

func exampleRun() Run {
	return Run{
		ID: "r1", Started: started, Version: "test", Command: []string{"shakedown", "run", "x/y"}, Seed: 1<<64 - 1, Repeats: 3,
		Pattern: "x/y", Claims: []bench.Claim{{ID: "x/y#1", Text: "it <helps>", Expect: bench.Refuted}},
		Experiment: bench.Experiment{
			Name: "x/y/z", Variants: []bench.Variant{{Name: "none"}, {Name: "all", Config: map[string]any{"ttl": "5s"}}},
			Workload: bench.Workload{Ops: []bench.Op{{Name: "get", Path: "/"}}, SLO: 50 * units.Millisecond, Timeout: units.Second},
			Phases:   []bench.Phase{{Name: "baseline", For: units.Second, Rate: bench.PerSecond(10), Arrival: bench.Constant}},
		},
		Planned: 2,
	}
}

func exampleTrial(index int) Trial {
	return Trial{
		Index: index, Variant: "all", Repeat: 1, Seed: 7, Started: started,
		Phases: []PhaseSpan{{
			Name: "baseline", End: time.Second + 1, RateS: 10, Judged: true,
			Faults: []FaultSpan{{Fault: "f", Kind: "k", Injected: 3, Healed: 9, Landed: chaos.Evidence{What: "w", Seen: true}}},
		}},
		Ledger: bench.Ledger{Scheduled: 2, OK: 2}, Gen: Generator{WallS: 1.5}, Findings: []string{"postgres died"},
	}
}

var (
	exampleEvents = []Event{{At: 1, Kind: "phase", Name: "baseline"}, {At: 1_000_000_001, Kind: "note", Detail: "two\nlines"}}
	exampleSpans  = []bench.Span{{Instance: "service-0", Kind: "rebuild:hot", Key: 9, Start: 5, End: 7, Value: 0.1}}
	exampleSeries = []Series{
		{Name: "shakedown_hits_total", Type: "counter", Labels: map[string]string{"instance": "service-0"}, Points: []Point{{1, 0}, {2, 1e300}}},
		{Name: "shakedown_pool_in_use", Type: "gauge", Points: []Point{{999_999_999, 0.1}, {1_000_000_000, -3}}},
	}
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func create(t testing.TB) *Writer {
	t.Helper()
	w, err := Create(filepath.Join(t.TempDir(), "runs", "one"), exampleRun())
	must(t, err)
	return w
}

// fill writes all that a trial can hold.
func fill(t testing.TB, w *Writer, index int, samples []bench.Sample) *TrialWriter {
	t.Helper()
	tw, err := w.Trial(exampleTrial(index))
	must(t, err)
	must(t, tw.Samples(samples))
	for i := range 100 {
		must(t, tw.InFlight(time.Duration(i)*7*time.Millisecond, int64(i%5)))
	}
	for _, e := range exampleEvents {
		must(t, tw.Event(e))
	}
	must(t, tw.Spans(exampleSpans))
	must(t, tw.Series(exampleSeries))
	return tw
}

func load(t testing.TB, dir string, index int) Data {
	t.Helper()
	r, err := Open(dir)
	must(t, err)
	d, err := r.Load(index)
	must(t, err)
	return d
}

func TestARunComesBackAsItWasWritten(t *testing.T) {
	w := create(t)
	samples := traffic(3*segmentRows + 17)
	shuffled := slices.Clone(samples)
	slices.Reverse(shuffled)
	tw := fill(t, w, 0, shuffled)
	end := exampleTrial(0)
	end.Status = Complete
	must(t, tw.Finish(end))
	must(t, fill(t, w, 1, nil).Finish(end))
	must(t, w.Update(func(r *Run) { r.CapacityPerS = 123.5 }))
	must(t, w.Finish(Complete, nil))

	r, err := Open(w.Dir())
	must(t, err)
	want := exampleRun()
	want.SchemaVersion, want.Status, want.CapacityPerS, want.Finished = SchemaVersion, Complete, 123.5, r.Run.Finished
	if !reflect.DeepEqual(r.Run, want) || r.Truncated || r.Trials() != 2 || r.Run.Finished.IsZero() {
		t.Errorf("run\n%+v, want\n%+v; truncated %v, %d trials", r.Run, want, r.Truncated, r.Trials())
	}
	d, err := r.Load(0)
	must(t, err)
	if !reflect.DeepEqual(d.Trial, end) || d.Truncated {
		t.Errorf("trial\n%+v, want\n%+v; truncated %v", d.Trial, end, d.Truncated)
	}
	if !slices.Equal(d.Samples, samples) {
		t.Errorf("%d samples are not the %d that were written, in order of Seq", len(d.Samples), len(samples))
	}
	if len(d.InFlight) != 100 || d.InFlight[99] != (InFlight{At: 693 * time.Millisecond, N: 4}) {
		t.Errorf("in flight: %v", d.InFlight)
	}
	if !reflect.DeepEqual(d.Events, exampleEvents) || !reflect.DeepEqual(d.Spans, exampleSpans) {
		t.Errorf("events %v, spans %v", d.Events, d.Spans)
	}
	if !reflect.DeepEqual(d.Series, exampleSeries) {
		t.Errorf("series\n%v, want\n%v", d.Series, exampleSeries)
	}
}

func TestAKilledRunOpensAsTruncatedWithWhatWasWhole(t *testing.T) {
	w := create(t)
	samples := traffic(2 * segmentRows)
	tw := fill(t, w, 0, samples) // and never finished
	chop := func(name string, by int64) {
		path := filepath.Join(tw.Dir(), name)
		info, err := os.Stat(path)
		must(t, err)
		must(t, os.Truncate(path, info.Size()-by))
	}
	chop(samplesFile, 100)
	chop(eventsFile, 5)

	r, err := Open(w.Dir())
	must(t, err)
	if !r.Truncated || r.Run.Status != Truncated {
		t.Errorf("run: truncated %v, status %s", r.Truncated, r.Run.Status)
	}
	d, err := r.Load(0)
	must(t, err)
	if !d.Truncated || d.Trial.Status != Truncated || d.Trial.Variant != "all" {
		t.Errorf("truncated %v, trial %+v", d.Truncated, d.Trial)
	}
	if !slices.Equal(d.Samples, samples[:segmentRows]) || !reflect.DeepEqual(d.Events, exampleEvents[:1]) {
		t.Errorf("%d samples, events %v", len(d.Samples), d.Events)
	}
	must(t, os.Remove(filepath.Join(tw.Dir(), trialFile)))
	if d := load(t, w.Dir(), 0); !d.Truncated || d.Trial.Status != Truncated {
		t.Errorf("without trial.json: truncated %v, status %s", d.Truncated, d.Trial.Status)
	}
	must(t, tw.Finish(exampleTrial(0)))
}

func TestDamageIsAnErrorThatNamesFileAndPlace(t *testing.T) {
	flip := func(b []byte) []byte { b[len(b)/3] ^= 0x40; return b }
	cut := func(b []byte) []byte { return b[:len(b)-3] }
	for name, c := range map[string]struct {
		file   string
		damage func([]byte) []byte
		where  string
	}{
		"a flipped bit in samples":         {samplesFile, flip, "offset 8"},
		"samples of a complete trial end":  {samplesFile, cut, "offset"},
		"a flipped bit in in-flight":       {inFlightFile, flip, "offset 8"},
		"a line of events that is no JSON": {eventsFile, func(b []byte) []byte { return append([]byte("{]\n"), b...) }, "offset 0"},
		"two events on a line":             {eventsFile, func(b []byte) []byte { return append([]byte("{}{}\n"), b...) }, "offset 0"},
		"events of a complete trial end":   {eventsFile, cut, "offset"},
		"a span that is no JSON":           {spansFile, func(b []byte) []byte { return append([]byte("{}\nx\n"), b...) }, "offset 3"},
		"series cut short":                 {seriesFile, cut, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			w := create(t)
			tw := fill(t, w, 0, traffic(100))
			end := exampleTrial(0)
			end.Status = Complete
			must(t, tw.Finish(end))
			path := filepath.Join(tw.Dir(), c.file)
			b, err := os.ReadFile(path)
			must(t, err)
			must(t, os.WriteFile(path, c.damage(b), 0o600))
			r, err := Open(w.Dir())
			must(t, err)
			if _, err = r.Load(0); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), c.where) {
				t.Errorf("error %v; want one that names %s and %q", err, path, c.where)
			}
		})
	}
}

func TestOpenSaysWhyItCannot(t *testing.T) {
	for name, c := range map[string]struct {
		run  string
		want string
	}{
		"nothing there":   {"", "not a run directory: there is no"},
		"a newer layout":  {`{"schema_version": 99, "started": ["what", "is this"]}`, "a newer one is needed"},
		"another program": {`{"name": "app"}`, "has no schema_version"},
		"not JSON":        {"hello", "invalid character"},
		"a broken field":  {`{"schema_version": 1, "seed": "x"}`, "seed"},
		"a newer verdict": {`{"schema_version": 1, "claims": [{"expect": "perhaps"}]}`, "perhaps"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if c.run != "" {
				must(t, os.WriteFile(filepath.Join(dir, runFile), []byte(c.run), 0o600))
			}
			_, err := Open(dir)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), dir) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v; want one line with %q and the directory", err, c.want)
			}
		})
	}
}

func TestAMissingTrialIsAnError(t *testing.T) {
	w := create(t)
	for i := range 2 {
		must(t, fill(t, w, i, nil).Finish(exampleTrial(i)))
	}
	must(t, os.RemoveAll(filepath.Join(w.Dir(), trialDir(0))))
	if _, err := Open(w.Dir()); err == nil || !strings.Contains(err.Error(), "trial 0 is missing") {
		t.Errorf("got %v", err)
	}
}

func TestCreateRefusesWhatItCannotOrMustNotWrite(t *testing.T) {
	full := t.TempDir()
	must(t, os.WriteFile(filepath.Join(full, "precious"), nil, 0o600))
	for name, dir := range map[string]string{
		"not empty":        full,
		"a file":           filepath.Join(full, "precious"),
		"beneath a file":   filepath.Join(full, "precious", "run"),
		"beneath the proc": "/proc/run",
	} {
		if _, err := Create(dir, Run{}); err == nil || !strings.Contains(err.Error(), dir) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want one line that names %s", name, err, dir)
		}
	}
	if w := create(t); w != nil {
		must(t, fill(t, w, 0, nil).Finish(exampleTrial(0)))
		if _, err := w.Trial(exampleTrial(0)); err == nil {
			t.Error("a trial was recorded twice")
		}
	}
}

func TestAFullDiskCannotPassUnseen(t *testing.T) {
	w := create(t)
	w.create = func(path string) (file, error) {
		f, err := os.Create(path)
		return &cramped{File: f, room: 200_000}, err
	}
	tw, err := w.Trial(exampleTrial(0))
	must(t, err)
	samples := traffic(20 * segmentRows)
	wrote := 0
	for rows := range slices.Chunk(samples, 1000) {
		if err = tw.Samples(rows); err != nil {
			break
		}
		wrote += len(rows)
	}
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), samplesFile) {
		t.Fatalf("after %d samples: %v, want ENOSPC and the file", wrote, err)
	}
	if err := tw.Event(Event{}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a later call: %v, want the error that was kept", err)
	}
	end := exampleTrial(0)
	end.Status = Complete
	if err := tw.Finish(end); !errors.Is(err, syscall.ENOSPC) || strings.Contains(err.Error(), "\n") {
		t.Errorf("Finish: %v, want the error that was kept, once", err)
	}
	d := load(t, w.Dir(), 0)
	if d.Trial.Status != Aborted || !strings.Contains(d.Trial.Error, "no space left on device") {
		t.Errorf("the trial says %s, %q", d.Trial.Status, d.Trial.Error)
	}
	if len(d.Samples) == 0 || !slices.Equal(d.Samples, samples[:len(d.Samples)]) {
		t.Errorf("%d samples came back; want what fitted", len(d.Samples))
	}
}

// cramped is a real file on a disk with little room.
type cramped struct {
	*os.File
	room int
}

func (c *cramped) Write(b []byte) (int, error) {
	n := min(len(b), c.room)
	c.room -= n
	if n < len(b) {
		n, _ = c.File.Write(b[:n])
		return n, &os.PathError{Op: "write", Path: c.Name(), Err: syscall.ENOSPC}
	}
	return c.File.Write(b)
}

func (c *cramped) Truncate(size int64) error {
	if err := c.File.Truncate(size); err != nil {
		return err
	}
	_, err := c.Seek(size, 0)
	return err
}

func TestNothingIsWrittenAfterFinish(t *testing.T) {
	w := create(t)
	tw := fill(t, w, 0, nil)
	must(t, tw.Finish(exampleTrial(0)))
	must(t, tw.Finish(exampleTrial(0))) // again is no error
	if err := tw.Samples(traffic(1)); err == nil {
		t.Error("samples were taken after Finish")
	}
}

func TestATrialCanBeWrittenByManyAtOnce(t *testing.T) {
	w := create(t)
	tw, err := w.Trial(exampleTrial(0))
	must(t, err)
	samples := traffic(4000)
	var wg sync.WaitGroup
	for part := range slices.Chunk(samples, 500) {
		wg.Go(func() {
			for _, s := range part {
				if err := errors.Join(tw.Samples([]bench.Sample{s}), tw.Event(Event{At: s.Due}), tw.InFlight(s.Due, 1)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	must(t, tw.Finish(Trial{Status: Complete, Started: started}))
	if d := load(t, w.Dir(), 0); !slices.Equal(d.Samples, samples) || len(d.Events) != 4000 || len(d.InFlight) != 4000 {
		t.Errorf("%d samples, %d events, %d counts; want 4000 of each", len(d.Samples), len(d.Events), len(d.InFlight))
	}
}

func TestALogStaysInItsDirectory(t *testing.T) {
	tw := fill(t, create(t), 0, nil)
	for name, want := range map[string]string{"service-0": "service-0.log", "../../etc/passwd": ".._.._etc_passwd.log"} {
		if got := tw.LogPath(name); got != filepath.Join(tw.Dir(), logsDir, want) {
			t.Errorf("log of %q is at %s", name, got)
		}
	}
	must(t, os.WriteFile(tw.LogPath("service-0"), nil, 0o600))
	must(t, tw.Finish(exampleTrial(0)))
}
