package result

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"shakedown/bench/load"
)

// JSON writes the result as one document.
func (r Result) JSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// NDJSON writes a load as lines: {"type":"interval",…} while it runs, and at the end {"type":"result",…}.
type NDJSON struct {
	w    io.Writer
	last time.Duration
}

// NewNDJSON writes to w.
func NewNDJSON(w io.Writer) *NDJSON { return &NDJSON{w: w} }

// Add writes the line of a tick.
func (n *NDJSON) Add(t load.Tick) error {
	line := struct {
		Type string `json:"type"`
		Interval
	}{"interval", IntervalOf(t, n.last)}
	n.last = t.At
	return json.NewEncoder(n.w).Encode(line)
}

// Result writes the last line.
func (n *NDJSON) Result(r Result) error {
	return json.NewEncoder(n.w).Encode(struct {
		Type string `json:"type"`
		Result
	}{"result", r})
}

// An HDRLog writes response times as an HdrHistogram interval log, version 1.3: a histogram in nanoseconds a second, which
// HdrHistogram's own tools read and merge.
type HDRLog struct {
	w       *hdrhistogram.HistogramLogWriter
	started time.Time
	sum     *hdrhistogram.Histogram
	from    time.Duration
	err     error
}

// NewHDRLog begins a log of a load that began at the given time.
func NewHDRLog(w io.Writer, started time.Time) (*HDRLog, error) {
	l := &HDRLog{w: hdrhistogram.NewHistogramLogWriter(w), started: started, sum: load.NewHistogram()}
	ms := started.UnixMilli()
	for _, write := range []func() error{
		func() error { return l.w.OutputComment("#[response times in ns, logged by shakedown]") },
		l.w.OutputLogFormatVersion,
		func() error { return l.w.OutputStartTime(ms) },
		func() error { return l.w.OutputBaseTime(ms) },
		l.w.OutputLegend,
	} {
		if err := write(); err != nil {
			return nil, fmt.Errorf("HdrHistogram log: %w", err)
		}
	}
	l.w.SetBaseTime(ms)
	return l, nil
}

// Add takes a tick; every second it writes a line.
func (l *HDRLog) Add(t load.Tick) {
	if t.Dist != nil {
		l.sum.Merge(t.Dist.Response)
	}
	if t.At-l.from >= time.Second {
		l.flush(t.At)
	}
}

func (l *HDRLog) flush(at time.Duration) {
	if l.sum.TotalCount() > 0 && l.err == nil {
		l.sum.SetStartTimeMs(l.started.Add(l.from).UnixMilli())
		l.sum.SetEndTimeMs(l.started.Add(at).UnixMilli())
		l.err = l.w.OutputIntervalHistogram(l.sum)
	}
	l.sum.Reset()
	l.from = at
}

// Close writes what is left, of a load that ended at the given time, and returns the first error of all.
func (l *HDRLog) Close(at time.Duration) error {
	l.flush(max(at, l.from))
	if l.err != nil {
		return fmt.Errorf("HdrHistogram log: %w", l.err)
	}
	return nil
}
