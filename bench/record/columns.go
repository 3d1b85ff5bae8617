package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"shakedown/bench"
)

// Rows are stored column by column, each number as a zigzag varint of its difference to something near it, so that
// what repeats or grows steadily costs a byte and compresses well. Differences wrap around, so that every int64 comes
// back exactly.

// A column says how one integer field of a row is stored: relative to what, and how it is set again.
type column[T any] struct {
	get func(row, prev *T) int64 // prev is the row before, or a zero row
	set func(row, prev *T, v int64)
}

var sampleColumns = []column[bench.Sample]{
	{
		func(s, p *bench.Sample) int64 { return int64(s.Seq - p.Seq) },
		func(s, p *bench.Sample, v int64) { s.Seq = p.Seq + uint64(v) },
	},
	{
		func(s, p *bench.Sample) int64 { return int64(s.Due - p.Due) },
		func(s, p *bench.Sample, v int64) { s.Due = p.Due + time.Duration(v) },
	},
	{
		func(s, _ *bench.Sample) int64 { return int64(s.Sent - s.Due) },
		func(s, _ *bench.Sample, v int64) { s.Sent = s.Due + time.Duration(v) },
	},
	{
		func(s, _ *bench.Sample) int64 { return int64(s.Done - s.Sent) },
		func(s, _ *bench.Sample, v int64) { s.Done = s.Sent + time.Duration(v) },
	},
	{
		func(s, p *bench.Sample) int64 { return s.Key - p.Key },
		func(s, p *bench.Sample, v int64) { s.Key = p.Key + v },
	},
	{
		func(s, p *bench.Sample) int64 { return s.Value - p.Value },
		func(s, p *bench.Sample, v int64) { s.Value = p.Value + v },
	},
}

var inFlightColumns = []column[InFlight]{
	{
		func(r, p *InFlight) int64 { return int64(r.At - p.At) },
		func(r, p *InFlight, v int64) { r.At = p.At + time.Duration(v) },
	},
	{
		func(r, p *InFlight) int64 { return r.N - p.N },
		func(r, p *InFlight, v int64) { r.N = p.N + v },
	},
}

func appendColumns[T any](b []byte, columns []column[T], rows []T) []byte {
	for _, c := range columns {
		var none T
		prev := &none
		for i := range rows {
			b = binary.AppendVarint(b, c.get(&rows[i], prev))
			prev = &rows[i]
		}
	}
	return b
}

// readColumns appends count rows to rows and returns what follows the columns in b.
func readColumns[T any](rows []T, columns []column[T], count int, b []byte) ([]T, []byte, error) {
	if count*len(columns) > len(b) { // a varint takes at least a byte; check before allocating
		return rows, b, fmt.Errorf("%d rows do not fit in %d bytes", count, len(b))
	}
	start := len(rows)
	rows = append(rows, make([]T, count)...)
	for _, c := range columns {
		var none T
		prev := &none
		for i := start; i < len(rows); i++ {
			v, n := binary.Varint(b)
			if n <= 0 {
				return rows[:start], b, errors.New("a column ends early")
			}
			b = b[n:]
			c.set(&rows[i], prev, v)
			prev = &rows[i]
		}
	}
	return rows, b, nil
}

// The small fields of a sample are columns of one byte a row, after the integers.
const sampleByteColumns = 3

func appendSamples(b []byte, rows []bench.Sample) []byte {
	b = appendColumns(b, sampleColumns, rows)
	for i := range rows {
		b = append(b, byte(rows[i].Op))
	}
	for i := range rows {
		b = append(b, byte(rows[i].Outcome))
	}
	for i := range rows {
		b = append(b, byte(rows[i].Flags))
	}
	return b
}

func readSamples(rows []bench.Sample, count int, b []byte) ([]bench.Sample, error) {
	start := len(rows)
	rows, b, err := readColumns(rows, sampleColumns, count, b)
	if err != nil {
		return rows, err
	}
	if len(b) != sampleByteColumns*count {
		return rows[:start], fmt.Errorf("%d bytes follow the columns, want %d", len(b), sampleByteColumns*count)
	}
	for i := range count {
		s := &rows[start+i]
		s.Op, s.Outcome, s.Flags = bench.OpID(b[i]), bench.Outcome(b[count+i]), bench.Flags(b[2*count+i])
		if s.Outcome > bench.Unsent {
			return rows[:start], fmt.Errorf("row %d: unknown outcome %d", i, s.Outcome)
		}
	}
	return rows, nil
}

func readInFlight(rows []InFlight, count int, b []byte) ([]InFlight, error) {
	start := len(rows)
	rows, b, err := readColumns(rows, inFlightColumns, count, b)
	if err == nil && len(b) != 0 {
		return rows[:start], fmt.Errorf("%d bytes follow the columns", len(b))
	}
	return rows, err
}
