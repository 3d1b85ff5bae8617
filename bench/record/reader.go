package record

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"shakedown/bench"
)

// A Recording is a run directory, opened for reading. It holds no lock and no open file, and it is safe for concurrent use.
type Recording struct {
	Dir string
	Run Run
	// Truncated: run.json says that the run is still running. It was killed, or it runs this very moment.
	Truncated bool

	trials []string // the directories, in order
}

// Open reads run.json of the run directory dir and finds its trials. It fails, and says why, when dir is no run directory
// or was written by a shakedown with a newer layout.
func Open(dir string) (*Recording, error) {
	path := filepath.Join(dir, runFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is not a run directory: there is no %s", dir, path)
	}
	if err != nil {
		return nil, fmt.Errorf("opening run directory: %w", err)
	}
	var version struct {
		SchemaVersion int `json:"schema_version"`
	}
	if err := json.Unmarshal(b, &version); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	switch v := version.SchemaVersion; {
	case v > SchemaVersion:
		return nil, fmt.Errorf("%s has schema_version %d; this shakedown reads up to %d: a newer one is needed", path, v, SchemaVersion)
	case v < 1:
		return nil, fmt.Errorf("%s is not a run directory: %s has no schema_version", dir, path)
	}
	r := &Recording{Dir: dir}
	if err := json.Unmarshal(b, &r.Run); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if r.Run.Status != Complete && r.Run.Status != Aborted {
		r.Run.Status, r.Truncated = Truncated, true
	}
	r.trials, err = findTrials(filepath.Join(dir, trialsDir))
	return r, err
}

func findTrials(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listing trials: %w", err)
	}
	var indexes []int
	for _, e := range entries {
		if i, err := strconv.Atoi(e.Name()); err == nil && e.IsDir() {
			indexes = append(indexes, i)
		}
	}
	slices.Sort(indexes)
	var trials []string
	for want, i := range indexes {
		if i != want {
			return nil, fmt.Errorf("%s: trial %d is missing", dir, want)
		}
		trials = append(trials, filepath.Join(dir, filepath.Base(trialDir(i))))
	}
	return trials, nil
}

// Trials is the number of trials that were begun.
func (r *Recording) Trials() int { return len(r.trials) }

// Trial reads what trial.json of trial i says, without its data. The status of a trial that was killed is Truncated.
func (r *Recording) Trial(i int) (Trial, error) {
	if i < 0 || i >= len(r.trials) {
		return Trial{}, fmt.Errorf("%s: there is no trial %d; it has %d", r.Dir, i, len(r.trials))
	}
	path := filepath.Join(r.trials[i], trialFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Trial{Index: i, Status: Truncated}, nil // killed before its first write
	}
	if err != nil {
		return Trial{}, fmt.Errorf("reading trial %d: %w", i, err)
	}
	var t Trial
	if err := json.Unmarshal(b, &t); err != nil {
		return Trial{}, fmt.Errorf("%s: %w", path, err)
	}
	if t.Status != Complete && t.Status != Aborted {
		t.Status = Truncated
	}
	return t, nil
}

// Load reads all that trial i left; samples are in order of Seq. What a killed or aborted trial did not write to the end
// is dropped, and Data says Truncated. A file of a complete trial that ends early, and damage anywhere, is an error that
// names the file and the offset in it.
func (r *Recording) Load(i int) (Data, error) {
	t, err := r.Trial(i)
	if err != nil {
		return Data{}, err
	}
	l := loader{dir: r.trials[i], d: Data{Trial: t, Truncated: t.Status == Truncated}}
	for _, part := range []struct {
		name string
		read func([]byte) (whole int, err error)
	}{
		{samplesFile, l.samples}, {inFlightFile, l.inFlight}, {eventsFile, l.events}, {spansFile, l.spans}, {seriesFile, l.series},
	} {
		if err := l.file(part.name, part.read); err != nil {
			return Data{}, err
		}
	}
	return l.d, nil
}

type loader struct {
	dir string
	d   Data
}

// file reads one file. One that is not there is empty: not every trial has spans or series.
func (l *loader) file(name string, read func([]byte) (whole int, err error)) error {
	path := filepath.Join(l.dir, name)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if l.d.Trial.Status == Complete && name == samplesFile {
			return fmt.Errorf("%s is missing, though the trial was completed", path)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the trial's data: %w", err)
	}
	whole, err := read(b)
	if err != nil {
		return fmt.Errorf("%s is damaged: %w", path, err)
	}
	torn := whole < len(b) || len(b) == 0 && filepath.Ext(name) == ".bin" // those start with a magic number
	if torn && l.d.Trial.Status == Complete {
		return fmt.Errorf("%s is damaged: offset %d: it ends early, though the trial was completed", path, whole)
	}
	l.d.Truncated = l.d.Truncated || torn
	return nil
}

func (l *loader) samples(b []byte) (whole int, err error) {
	whole, err = readSegments(b, samplesKind, func(count int, raw []byte) (err error) {
		l.d.Samples, err = readSamples(l.d.Samples, count, raw)
		return err
	})
	slices.SortStableFunc(l.d.Samples, func(a, b bench.Sample) int { return cmp.Compare(a.Seq, b.Seq) })
	return whole, err
}

func (l *loader) inFlight(b []byte) (whole int, err error) {
	return readSegments(b, inFlightKind, func(count int, raw []byte) (err error) {
		l.d.InFlight, err = readInFlight(l.d.InFlight, count, raw)
		return err
	})
}

func (l *loader) events(b []byte) (whole int, err error) {
	l.d.Events, whole, err = readLines[Event](b)
	return whole, err
}

func (l *loader) spans(b []byte) (whole int, err error) {
	l.d.Spans, whole, err = readLines[bench.Span](b)
	return whole, err
}

func (l *loader) series(b []byte) (whole int, err error) {
	l.d.Series, err = readSeries(bytes.NewReader(b), l.d.Trial.Started)
	return len(b), err
}
