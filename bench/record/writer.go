package record

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Names within a run directory.
const (
	runFile      = "run.json"
	trialsDir    = "trials"
	trialFile    = "trial.json"
	samplesFile  = "samples.bin"
	inFlightFile = "inflight.bin"
	eventsFile   = "events.ndjson"
	spansFile    = "spans.ndjson"
	seriesFile   = "series.om.gz"
	logsDir      = "logs"
	historyDir   = "history"
)

// trialDir is the directory of trial i, relative to the run's.
func trialDir(i int) string { return filepath.Join(trialsDir, fmt.Sprintf("%03d", i)) }

// A Writer writes one run directory. It is safe for concurrent use.
type Writer struct {
	dir    string
	create func(path string) (file, error) // of segment files; tests fill the disk here

	mu  sync.Mutex
	run Run
}

// Create makes the run directory dir, with its parents, and writes run.json with status Running. A directory that exists
// must be empty: a recording is never written over.
func Create(dir string, run Run) (*Writer, error) {
	entries, err := os.ReadDir(dir)
	switch {
	case err == nil && len(entries) > 0:
		return nil, fmt.Errorf("run directory %s exists and is not empty; name another, or remove it", dir)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("run directory %s: %w", dir, cause(err))
	}
	if err := os.MkdirAll(filepath.Join(dir, trialsDir), 0o755); err != nil {
		return nil, fmt.Errorf("run directory %s cannot be made: %w", dir, cause(err))
	}
	run.SchemaVersion = SchemaVersion
	run.Status = Running
	w := &Writer{dir: dir, create: createFile, run: run}
	if err := w.Update(func(*Run) {}); err != nil {
		return nil, err
	}
	return w, nil
}

func createFile(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err // a nil *os.File must not become a non-nil file
	}
	return f, nil
}

// Dir is the run directory.
func (w *Writer) Dir() string { return w.dir }

// Update changes the run and writes run.json anew. Until it returns, readers see the former content.
func (w *Writer) Update(change func(*Run)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(&w.run)
	return replaceJSON(filepath.Join(w.dir, runFile), w.run)
}

// Finish writes run.json with its last status, Complete or Aborted, and why, where there is a why.
func (w *Writer) Finish(status Status, why error) error {
	return w.Update(func(r *Run) {
		r.Status = status
		r.Finished = time.Now()
		if why != nil {
			r.Error = why.Error()
		}
	})
}
