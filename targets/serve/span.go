package serve

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"

	"shakedown/bench"
	"shakedown/internal/clock"
)

// Span starts an interval of work that no single answer shows, such as the rebuild of a cached value. The returned
// function ends it and appends it to the file that env.Spans names, as one line of JSON in one write, so that lines of
// several processes do not mix. Times are those of clock.Now. kind must come from code; without a file nothing happens.
// The first failure to write is what Serve returns when it ends.
func (s *Server) Span(kind string, key int64) (end func(value float64)) {
	if s.spans == nil {
		return func(float64) {}
	}
	span := bench.Span{Instance: s.env.Name(), Kind: kind, Key: key, Start: clock.Now()}
	return func(value float64) {
		done := span
		done.End, done.Value = clock.Now(), value
		s.spans.append(done)
	}
}

// Record appends what the process did to its history, as one line of JSON in one write; the pattern's audit reads it with
// bench.ReadHistory. Times in it are those of clock.Now. What is to be judged should be recorded whatever became of it, and before the user
// is answered. Where nobody keeps a history nothing happens. The first failure to write is what Serve returns when it ends.
func (s *Server) Record(v any) {
	if s.history != nil {
		s.history.append(v)
	}
}

// lineFile takes lines of JSON. The nil *lineFile takes none.
type lineFile struct {
	what string // a line is
	mu   sync.Mutex
	file *os.File
	err  error // the first failure
}

func openLines(what, path string) *lineFile {
	if path == "" {
		return nil
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	return &lineFile{what: what, file: file, err: err}
}

func (f *lineFile) append(v any) {
	line, err := json.Marshal(v)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return
	}
	if err == nil {
		_, err = f.file.Write(append(line, '\n'))
	}
	if err != nil {
		f.err = fmt.Errorf("%s was lost: %w", f.what, err)
	}
}

func (f *lineFile) close() error {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.err
	if f.file != nil {
		err = errors.Join(err, f.file.Close())
	}
	if f.err == nil {
		f.err = os.ErrClosed
	}
	return err
}
