package arrival

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
)

// trace is Λ of arrivals that are listed: the nth is due at the nth of them.
type trace []time.Duration

func (t trace) again() cumulative { return t }

func (t trace) total() float64 { return float64(len(t)) }

func (t trace) when(s float64) float64 { return t[int(s)].Seconds() }

// ParseTrace reads due times, one a line and in order: seconds, such as 1.25, or durations, such as 1250ms. Empty lines and what
// follows a # are passed over. Errors name the line.
func ParseTrace(r io.Reader) ([]time.Duration, error) {
	var dues []time.Duration
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		due, err := parseDue(text)
		switch {
		case err != nil:
			return nil, fmt.Errorf("line %d: %w", n, err)
		case len(dues) > 0 && due < dues[len(dues)-1]:
			return nil, fmt.Errorf("line %d: %v comes before %v, of a line before; due times must be in order", n, due, dues[len(dues)-1])
		}
		dues = append(dues, due)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	return dues, nil
}

func parseDue(text string) (time.Duration, error) {
	due, err := time.ParseDuration(text)
	if seconds, ferr := strconv.ParseFloat(text, 64); ferr == nil {
		if !(math.Abs(seconds) < math.MaxInt64/1e9) {
			return 0, fmt.Errorf("%q is no time", text)
		}
		due, err = time.Duration(math.Round(seconds*1e9)), nil
	}
	switch {
	case err != nil:
		return 0, fmt.Errorf("%q is no time; write seconds, such as 1.25, or a duration, such as 1250ms", text)
	case due < 0:
		return 0, fmt.Errorf("%v is before the start", due)
	}
	return due, nil
}
