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
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// NDJSON writes a load as lines: {"type":"interval",…} for every second while it runs, and at the end {"type":"result",…}.
type NDJSON struct {
	*gatherer
	enc *json.Encoder
}

// NewNDJSON writes to w.
func NewNDJSON(w io.Writer) *NDJSON {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return &NDJSON{gatherer: newGatherer(lineEvery), enc: enc}
}

// lineEvery is how much time a line is about, of NDJSON and of an HdrHistogram log.
const lineEvery = time.Second

// Add takes a tick; every second it writes a line.
func (n *NDJSON) Add(t load.Tick) error {
	if !n.add(t) {
		return nil
	}
	return n.line()
}

func (n *NDJSON) line() error {
	line := struct {
		Type string `json:"type"`
		Interval
	}{"interval", n.interval()}
	n.next()
	return n.enc.Encode(line)
}

// Result writes what is left of the intervals, and the last line.
func (n *NDJSON) Result(r Result) error {
	if n.tick > n.last {
		if err := n.line(); err != nil {
			return err
		}
	}
	return n.enc.Encode(struct {
		Type string `json:"type"`
		Result
	}{"result", r})
}

// An HDRLog writes response times as an HdrHistogram interval log, version 1.3: a histogram in nanoseconds a second, which
// HdrHistogram's own tools read and merge.
type HDRLog struct {
	*gatherer
	w       *hdrhistogram.HistogramLogWriter
	started time.Time
	err     error
}

// NewHDRLog begins a log of a load that began at the given time.
func NewHDRLog(w io.Writer, started time.Time) (*HDRLog, error) {
	l := &HDRLog{w: hdrhistogram.NewHistogramLogWriter(w), started: started, gatherer: newGatherer(lineEvery)}
	ms := started.Truncate(time.Second).UnixMilli() // the writer's own precision: what is relative to it stays exact
	for _, write := range []func() error{
		func() error { return l.w.OutputComment("[response times in ns, logged by shakedown]") },
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
	if l.add(t) {
		l.flush()
	}
}

// flush writes the interval, unless nothing was measured in it.
func (l *HDRLog) flush() {
	if l.response.TotalCount() > 0 && l.err == nil {
		l.response.SetStartTimeMs(l.started.Add(l.last).UnixMilli())
		l.response.SetEndTimeMs(l.started.Add(l.tick).UnixMilli())
		l.err = l.w.OutputIntervalHistogram(l.response)
	}
	l.next()
}

// Close writes what is left, and returns the first error of all.
func (l *HDRLog) Close() error {
	l.flush()
	if l.err != nil {
		return fmt.Errorf("HdrHistogram log: %w", l.err)
	}
	return nil
}
