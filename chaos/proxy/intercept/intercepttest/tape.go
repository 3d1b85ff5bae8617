// Package intercepttest owns what the tests of protocols share: a filter fed from a table, and one between real sockets. It
// knows no protocol, and is the plainest proxy that keeps the promises of intercept.Out; only tests use it.
package intercepttest

import (
	"time"

	"shakedown/chaos/proxy/intercept"
)

// A Tape feeds a filter, and keeps what it passes.
type Tape struct {
	Filter intercept.Filter
	// Passed is what went on, by way, and Since the notBefore of each piece.
	Passed [2][]byte
	Since  [2][]time.Duration
	// Ended is "cut" or "finished" when the filter ended the connection.
	Ended string
	// Now is the time that the filter is told.
	Now time.Duration
}

var _ intercept.Out = (*Tape)(nil)

// Feed feeds one way, in pieces of at most so many bytes; 0 is all at once.
func (t *Tape) Feed(way intercept.Way, data []byte, piece int) {
	if piece <= 0 {
		piece = max(len(data), 1)
	}
	for len(data) > 0 && t.Ended == "" {
		n := min(piece, len(data))
		arrived := append([]byte(nil), data[:n]...)
		t.Filter.Feed(t.Now, way, arrived, t)
		for i := range arrived {
			arrived[i] = 0xAA // the bytes are the proxy's again: a filter that kept them shows
		}
		data = data[n:]
	}
}

// End ends a way.
func (t *Tape) End(way intercept.Way) {
	if t.Ended == "" {
		t.Filter.End(t.Now, way, t)
	}
}

// Wake wakes the filter.
func (t *Tape) Wake() { t.Filter.Wake(t.Now, t) }

// Up is what was passed to the server.
func (t *Tape) Up() string { return string(t.Passed[intercept.Up]) }

// Down is what was passed to the client.
func (t *Tape) Down() string { return string(t.Passed[intercept.Down]) }

// Pass keeps the bytes.
func (t *Tape) Pass(way intercept.Way, data []byte, notBefore time.Duration) {
	if t.Ended != "" {
		panic("a filter passed bytes after it had ended the connection")
	}
	t.Passed[way] = append(t.Passed[way], data...)
	t.Since[way] = append(t.Since[way], notBefore)
}

// Cut notes the end.
func (t *Tape) Cut() { t.Ended = "cut" }

// Finish notes the end.
func (t *Tape) Finish() { t.Ended = "finished" }

// WakeAt is not needed by a tape: tests call Wake.
func (*Tape) WakeAt(time.Duration) {}
