package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// HistoryExt is how the names of history files end.
const HistoryExt = ".ndjson"

// HistoryFile is where a process of the trial appends its history; empty when nobody keeps one.
func (e Env) HistoryFile() string {
	if e.History == "" {
		return ""
	}
	return filepath.Join(e.History, e.Name()+HistoryExt)
}

// ReadHistory is what all processes of a trial have recorded (serve.Server.Record), one process after the other, each in its own
// order. A last line that a killed process left torn is dropped; any other that does not parse is an error.
func ReadHistory[T any](e Env) ([]T, error) {
	if e.History == "" {
		return nil, errors.New("no history was kept")
	}
	files, err := filepath.Glob(filepath.Join(e.History, "*"+HistoryExt))
	if err != nil {
		return nil, err
	}
	slices.Sort(files)
	var all []T
	for _, path := range files {
		raw, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("reading the history: %w", err)
		}
		n := 0
		for line := range bytes.Lines(raw) {
			n++
			if !bytes.HasSuffix(line, []byte("\n")) {
				break // torn
			}
			var v T
			if err := json.Unmarshal(line, &v); err != nil {
				return nil, fmt.Errorf("the history %s, line %d: %w", path, n, err)
			}
			all = append(all, v)
		}
	}
	return all, nil
}
