package record

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// appendLines writes each value as one line of JSON. The newline commits the line: without it the line is torn.
func appendLines[T any](b []byte, values []T) ([]byte, error) {
	for i := range values {
		line, err := json.Marshal(values[i])
		if err != nil {
			return nil, err
		}
		b = append(append(b, line...), '\n')
	}
	return b, nil
}

// readLines reads what appendLines writes. A last line without its newline is torn and dropped: whole is the length of
// what comes before. Any other line that does not parse is an error with its offset.
func readLines[T any](b []byte) (values []T, whole int, err error) {
	for off := 0; off < len(b); {
		line, _, ended := bytes.Cut(b[off:], []byte{'\n'})
		if !ended {
			return values, off, nil
		}
		var v T
		dec := json.NewDecoder(bytes.NewReader(line))
		if err := dec.Decode(&v); err != nil {
			return nil, 0, fmt.Errorf("offset %d: %w", off, err)
		}
		if _, err := dec.Token(); err != io.EOF {
			return nil, 0, fmt.Errorf("offset %d: more than one value on a line", off)
		}
		values = append(values, v)
		off += len(line) + 1
	}
	return values, len(b), nil
}
