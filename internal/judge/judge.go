// Package judge goes from a run directory to its verdicts, and keeps the report beside the recording. It reads and
// writes files; the judging itself is package verdict's, and needs no server.
package judge

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"shakedown/bench/record"
	"shakedown/bench/report"
	"shakedown/bench/verdict"
)

// Dir judges the recording in a run directory.
func Dir(dir string) (report.Input, error) {
	rec, err := record.Open(dir)
	if err != nil {
		return report.Input{}, err
	}
	result, err := verdict.Judge(rec.Run, rec.Load, rec.Trials())
	if err != nil {
		return report.Input{}, fmt.Errorf("judge %s: %w", dir, err)
	}
	return report.Input{Result: result, Load: rec.Load}, nil
}

// Keep writes report.html and result.json into the run directory and returns the path of the first.
func Keep(dir string, in report.Input) (string, error) {
	page := filepath.Join(dir, "report.html")
	return page, errors.Join(
		write(page, "html", in),
		write(filepath.Join(dir, "result.json"), "json", in),
	)
}

func write(path, format string, in report.Input) error {
	var b bytes.Buffer
	if err := report.Write(&b, format, in, report.Options{}); err != nil {
		return fmt.Errorf("report as %s: %w", format, err)
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}
