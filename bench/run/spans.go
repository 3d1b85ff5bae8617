package run

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"shakedown/bench"
)

// readSpans reads what services appended to their span file and turns the machine's monotonic times into offsets from
// the trial's zero. A last line that a killed service left torn is dropped; any other that does not parse is an error.
func readSpans(path string, zero time.Duration) ([]bench.Span, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var spans []bench.Span
	var torn error
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		if torn != nil {
			return nil, torn
		}
		var s bench.Span
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			torn = fmt.Errorf("spans, line %d: %w", n, err)
			continue
		}
		s.Start -= zero
		s.End -= zero
		spans = append(spans, s)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	slices.SortFunc(spans, func(a, b bench.Span) int { return int(a.Start - b.Start) })
	return spans, nil
}
