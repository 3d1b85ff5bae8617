package http1

import (
	"bytes"
	"strconv"

	"shakedown/chaos/proxy/intercept"
)

// lineLimit is how much of a line is kept. Of a longer one the rest is passed on without a look.
const lineLimit = 8 << 10

// A reader reads the messages of one way.
type reader struct {
	intercept.Flow
	state stateOf
	line  []byte
	whole int64 // length of the line at hand, also of what is not kept
	head  head
	body  body
}

type stateOf uint8

const (
	atStart stateOf = iota
	inHeaders
	inBody
)

// A head is what the header fields of a message say about its framing, and its connection.
type head struct {
	length    int64 // -1 when it is not told
	coded     bool  // a transfer coding is told
	chunked   bool  // and the last is chunked
	closes    bool
	keeps     bool
	expects   bool // Expect: 100-continue
	http2     bool // Upgrade: h2c
	malformed bool
}

// readLine takes a line, or what is there of it, and at most so many bytes; ended says that it has ended. It is without its
// end. Of a long one only the beginning is there.
func (r *reader) readLine(most int64) (line []byte, ended, long bool) {
	rest := r.Rest()[:min(most, int64(len(r.Rest())))]
	n := bytes.IndexByte(rest, '\n') + 1
	if ended = n > 0; !ended {
		n = len(rest)
	}
	taken := r.Take(n)
	r.whole += int64(n)
	if room := lineLimit - len(r.line); room > 0 {
		r.line = append(r.line, taken[:min(n, room)]...)
	}
	long = r.whole > lineLimit
	if !ended {
		return nil, false, long
	}
	line = bytes.TrimSuffix(bytes.TrimSuffix(r.line, []byte("\n")), []byte("\r"))
	r.line, r.whole = r.line[:0], 0
	return line, true, long
}

// field notes a header field.
func (h *head) field(line []byte) {
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok {
		return
	}
	value = bytes.TrimSpace(value)
	switch string(bytes.ToLower(name)) {
	case "content-length":
		n, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil || n < 0 || h.length >= 0 && h.length != n {
			h.malformed = true
		}
		h.length = n
	case "transfer-encoding":
		codings := bytes.Split(value, []byte(","))
		h.coded = true
		h.chunked = bytes.EqualFold(bytes.TrimSpace(codings[len(codings)-1]), []byte("chunked"))
	case "connection":
		h.closes = h.closes || has(value, "close")
		h.keeps = h.keeps || has(value, "keep-alive")
	case "expect":
		h.expects = bytes.EqualFold(value, []byte("100-continue"))
	case "upgrade":
		h.http2 = has(value, "h2c")
	}
}

// has says whether a list has a word.
func has(list []byte, word string) bool {
	for _, w := range bytes.Split(list, []byte(",")) {
		if bytes.EqualFold(bytes.TrimSpace(w), []byte(word)) {
			return true
		}
	}
	return false
}

// A body is the rest of a message as its head frames it (RFC 9112, 6.3).
type body struct {
	kind  bodyKind
	left  int64 // of the length, or of the chunk at hand
	chunk chunkState
	seen  int64 // bytes, framing included
}

type bodyKind uint8

const (
	noBody bodyKind = iota
	sized
	chunked
	untilClose
)

type chunkState uint8

const (
	chunkSize chunkState = iota
	chunkData
	chunkEnd
	trailers
)

// nextOfBody takes a part of the body from what is there, and at most so many bytes. It returns whether that ended it; ok is false when it is malformed.
func (r *reader) nextOfBody(most int64) (done, ok bool) {
	b := &r.body
	before := len(r.Rest())
	defer func() { b.seen += int64(before - len(r.Rest())) }()
	switch {
	case b.kind == noBody:
		return true, true
	case b.kind == untilClose:
		r.Take(int(min(most, int64(before))))
		return false, true
	case b.kind == sized, b.chunk == chunkData:
		n := min(b.left, most, int64(before))
		r.Take(int(n))
		b.left -= n
		if b.left > 0 {
			return false, true
		}
		b.chunk = chunkEnd
		return b.kind == sized, true
	}
	return r.chunkLine(most)
}

// chunkLine takes a line of the framing of chunks.
func (r *reader) chunkLine(most int64) (done, ok bool) {
	line, ended, _ := r.readLine(most)
	if !ended {
		return false, true
	}
	b := &r.body
	switch b.chunk {
	case chunkSize:
		digits, _, _ := bytes.Cut(line, []byte(";"))
		n, err := strconv.ParseInt(string(bytes.TrimRight(digits, " \t")), 16, 64)
		if err != nil || n < 0 {
			return false, false
		}
		b.left, b.chunk = n, chunkData
		if n == 0 {
			b.chunk = trailers
		}
	case chunkEnd:
		if len(line) > 0 {
			return false, false
		}
		b.chunk = chunkSize
	case trailers:
		return len(line) == 0, true
	}
	return false, true
}
