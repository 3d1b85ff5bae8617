package record

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"shakedown/bench"
)

// Rows wait in memory until there are enough of them to compress well, but no longer than flushAfter: that is how much a
// trial loses when the harness is killed.
const (
	segmentRows = 8192
	flushAfter  = time.Second
)

// A TrialWriter writes what one trial leaves. It is safe for concurrent use. Its first error is kept: every later call
// and Finish return it, so that a disk that fills during a trial cannot pass unseen.
type TrialWriter struct {
	dir, history string

	mu       sync.Mutex
	err      error
	finished bool
	samples  *rowWriter[bench.Sample]
	inFlight *rowWriter[InFlight]
	events   *os.File
	spans    *os.File
	series   []Series
}

// Trial starts the record of the trial t.Index, with status Running. The caller ends it with Finish.
func (w *Writer) Trial(t Trial) (*TrialWriter, error) {
	if t.Index < 0 {
		return nil, fmt.Errorf("trial %d: its index must not be negative", t.Index)
	}
	dir := filepath.Join(w.dir, trialDir(t.Index))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, fmt.Errorf("trial %d: making %s: %w", t.Index, dir, cause(err))
	}
	for _, sub := range []string{logsDir, historyDir} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, fmt.Errorf("trial %d: making its %s directory: %w", t.Index, sub, cause(err))
		}
	}
	t.Status = Running
	if err := replaceJSON(filepath.Join(dir, trialFile), t); err != nil {
		return nil, fmt.Errorf("trial %d: %w", t.Index, err)
	}
	history, err := filepath.Abs(filepath.Join(dir, historyDir))
	if err != nil {
		return nil, fmt.Errorf("trial %d: %w", t.Index, err)
	}
	tw := &TrialWriter{dir: dir, history: history}
	if err := tw.open(w.create); err != nil {
		return nil, errors.Join(fmt.Errorf("trial %d: %w", t.Index, err), tw.close())
	}
	return tw, nil
}

func (t *TrialWriter) open(create func(string) (file, error)) (err error) {
	if t.samples, err = openRows(create, filepath.Join(t.dir, samplesFile), samplesKind, appendSamples); err != nil {
		return err
	}
	encode := func(b []byte, rows []InFlight) []byte { return appendColumns(b, inFlightColumns, rows) }
	if t.inFlight, err = openRows(create, filepath.Join(t.dir, inFlightFile), inFlightKind, encode); err != nil {
		return err
	}
	const mode = os.O_WRONLY | os.O_CREATE | os.O_EXCL | os.O_APPEND
	if t.events, err = os.OpenFile(filepath.Join(t.dir, eventsFile), mode, 0o644); err != nil {
		return err
	}
	t.spans, err = os.OpenFile(filepath.Join(t.dir, spansFile), mode, 0o644)
	return err
}

// Dir is the trial's directory.
func (t *TrialWriter) Dir() string { return t.dir }

// LogPath is where the output of the process with the given name belongs. The directory exists.
func (t *TrialWriter) LogPath(name string) string {
	name = strings.Map(func(r rune) rune {
		if r == '/' || r == 0 {
			return '_'
		}
		return r
	}, name)
	return filepath.Join(t.dir, logsDir, name+".log")
}

// HistoryDir is where processes of the trial keep what they record of themselves, for the pattern's audit. It is absolute, and exists.
func (t *TrialWriter) HistoryDir() string { return t.history }

// Samples records what became of arrivals, in any order. The slice is the caller's again when it returns.
func (t *TrialWriter) Samples(samples []bench.Sample) error {
	return t.do(func() error { return t.samples.add(samples...) })
}

// InFlight records how many requests were in flight at an offset from the trial's zero.
func (t *TrialWriter) InFlight(at time.Duration, n int64) error {
	return t.do(func() error { return t.inFlight.add(InFlight{At: at, N: n}) })
}

// Event records a moment; it is in the file when the call returns.
func (t *TrialWriter) Event(e Event) error {
	return t.do(func() error { return writeLines(t.events, []Event{e}) })
}

// Spans records spans of the services, whose times are offsets from the trial's zero.
func (t *TrialWriter) Spans(spans []bench.Span) error {
	return t.do(func() error { return writeLines(t.spans, spans) })
}

// Series records scraped series, in addition to those recorded before. They are kept in memory until Finish, since a
// family's series must stand together in the file. A series whose name or labels are not valid is an error.
func (t *TrialWriter) Series(series []Series) error {
	return t.do(func() error {
		for _, s := range series {
			if err := s.validate(); err != nil {
				return err
			}
		}
		t.series = append(t.series, series...)
		return nil
	})
}

// Finish writes what is left and then trial.json, which says how the trial ended; t.Started must be the wall clock at
// the trial's zero, by which the series are dated. A trial whose record is not whole is written as Aborted. Finish
// returns the error that was kept, if there is one, and calls after the first do nothing more.
func (t *TrialWriter) Finish(trial Trial) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.finished {
		return t.err
	}
	t.finished = true
	t.err = errors.Join(t.err, t.close())
	if len(t.series) > 0 {
		t.err = errors.Join(t.err, replaceFile(filepath.Join(t.dir, seriesFile), func(w io.Writer) error {
			return writeSeries(w, trial.Started, t.series)
		}))
	}
	if t.err != nil {
		trial.Status = Aborted
		if trial.Error == "" {
			trial.Error = t.err.Error()
		}
	}
	t.err = errors.Join(t.err, replaceJSON(filepath.Join(t.dir, trialFile), trial))
	return t.err
}

// do runs one write unless an earlier one failed, and keeps its error.
func (t *TrialWriter) do(write func() error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.finished {
		return errors.Join(t.err, fmt.Errorf("writing to %s: the trial is finished", t.dir))
	}
	if t.err == nil {
		t.err = write()
	}
	return t.err
}

// close closes what is open. Errors that a call has returned already are not repeated.
func (t *TrialWriter) close() error {
	var errs []error
	if t.samples != nil {
		errs = append(errs, t.samples.close())
	}
	if t.inFlight != nil {
		errs = append(errs, t.inFlight.close())
	}
	for _, f := range []*os.File{t.events, t.spans} {
		if f != nil {
			errs = append(errs, f.Sync(), f.Close())
		}
	}
	err := errors.Join(errs...)
	if errors.Is(err, t.err) {
		return nil
	}
	return err
}

func writeLines[T any](f *os.File, values []T) error {
	b, err := appendLines(nil, values)
	if err != nil {
		return fmt.Errorf("writing %s: %w", f.Name(), err)
	}
	if _, err := io.Copy(f, bytes.NewReader(b)); err != nil {
		return fmt.Errorf("writing %s: %w", f.Name(), cause(err))
	}
	return nil
}

// A rowWriter gathers rows into segments.
type rowWriter[T any] struct {
	seg     *segmentWriter
	encode  func([]byte, []T) []byte
	rows    []T
	raw     []byte
	flushed time.Time
}

func openRows[T any](create func(string) (file, error), path string, kind segmentKind, encode func([]byte, []T) []byte,
) (*rowWriter[T], error) {
	f, err := create(path)
	if err != nil {
		return nil, err
	}
	seg, err := newSegmentWriter(f, path, kind)
	if err != nil {
		return nil, err
	}
	return &rowWriter[T]{seg: seg, encode: encode, flushed: time.Now()}, nil
}

func (w *rowWriter[T]) add(rows ...T) error {
	for len(rows) > 0 {
		n := min(len(rows), segmentRows-len(w.rows))
		w.rows = append(w.rows, rows[:n]...)
		rows = rows[n:]
		if len(w.rows) == segmentRows || time.Since(w.flushed) >= flushAfter {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *rowWriter[T]) flush() error {
	w.flushed = time.Now()
	if len(w.rows) == 0 {
		return nil
	}
	w.raw = w.encode(w.raw[:0], w.rows)
	n := len(w.rows)
	w.rows = w.rows[:0]
	return w.seg.append(n, w.raw)
}

func (w *rowWriter[T]) close() error {
	err := w.flush()
	cerr := w.seg.close()
	if err != nil {
		return err // it is the kept error of the segment writer, which close repeats
	}
	return cerr
}
