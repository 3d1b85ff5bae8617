package wire

import (
	"bytes"
	"errors"
	"strconv"

	"shakedown/bench"
)

// What a server may send of a head and of a line of it, and how many interim (1xx) responses before the one that counts.
const (
	maxLine    = 64 << 10
	maxHead    = 1 << 20
	maxInterim = 100
)

// Errors of a server that does not speak HTTP/1.1.
var (
	errNotHTTP   = errors.New("the answer is not HTTP/1")
	errHeader    = errors.New("malformed header")
	errLength    = errors.New("malformed Content-Length")
	errChunk     = errors.New("malformed chunk")
	errTooLong   = errors.New("the head is too long")
	errInterim   = errors.New("too many interim responses")
	errUpgrade   = errors.New("the server switched protocols")
	errTruncated = errors.New("the answer broke off")
)

// A response is read in whatever pieces it comes in (RFC 9112); of its body nothing is kept. The zero value awaits one.
type response struct {
	expect   func(*response, []byte) (more bool, err error) // what to do with the next line; nil: bytes of a body come
	status   int
	left     int64  // of the body or the chunk; -1: until the connection closes
	partial  []byte // the beginning of a line
	head     int    // bytes of the head so far
	interim  int
	length   int64 // Content-Length; -1: none
	bodyless bool  // the request was a HEAD
	keep     bool  // the connection can be used again
	chunked  bool
	coded    bool // it has a Transfer-Encoding
	began    bool // something of it came
	said     said
	flags    bench.Flags
	value    int64
}

// said is what the service itself says has become of the request.
type said uint8

const (
	saidNothing said = iota
	saidDegraded
	saidRefused
	saidUnsure
)

// begin makes r await the response to a request.
func (r *response) begin(bodyless bool) {
	*r = response{expect: (*response).statusLine, partial: r.partial[:0], length: -1, bodyless: bodyless}
}

// feed takes what came. Once the response is complete, done is true and rest is what came after it.
func (r *response) feed(b []byte) (rest []byte, done bool, err error) {
	if len(b) > 0 {
		r.began = true
	}
	for len(b) > 0 {
		if r.expect == nil {
			if r.left < 0 {
				return nil, false, nil
			}
			n := min(r.left, int64(len(b)))
			r.left -= n
			b = b[n:]
			if r.left > 0 {
				return nil, false, nil
			}
			if !r.chunked {
				return b, true, nil
			}
			r.expect = (*response).chunkEnd
			continue
		}
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			if len(r.partial)+len(b) > maxLine {
				return nil, false, errTooLong
			}
			r.partial = append(r.partial, b...)
			return nil, false, nil
		}
		line := b[:i]
		b = b[i+1:]
		if len(r.partial) > 0 {
			r.partial = append(r.partial, line...)
			line = r.partial
			r.partial = r.partial[:0]
		}
		if n := len(line); n > 0 && line[n-1] == '\r' {
			line = line[:n-1]
		}
		more, err := r.expect(r, line)
		if err != nil {
			return nil, false, err
		}
		if !more {
			return b, true, nil
		}
	}
	return nil, false, nil
}

// A model is an answer that came in one piece, and what it was read as. A server's answers are mostly the same to the byte, for a second
// at least: those need no reading.
type model struct {
	answer []byte
	read   response
}

// modelMost is how long an answer may be to be kept as one: comparing costs less than reading up to some length only.
const modelMost = 1 << 10

// matches reads b into r, which awaits an answer, if it is the model's.
func (m *model) matches(r *response, b []byte) bool {
	if r.began || r.bodyless != m.read.bodyless || !bytes.Equal(b, m.answer) || len(b) == 0 {
		return false
	}
	partial := r.partial
	*r = m.read
	r.partial = partial
	return true
}

// take makes b the model, which r has just read.
func (m *model) take(r *response, b []byte) {
	if len(b) <= modelMost {
		m.answer, m.read = append(m.answer[:0], b...), *r
		m.read.partial = nil
	}
}

// closed says what the end of the connection means: the end of a body without a length, or a response that broke off.
func (r *response) closed() (done bool) { return r.expect == nil && r.left < 0 }

// statusLine is "HTTP/1.1 200 OK" (RFC 9112 §4).
func (r *response) statusLine(line []byte) (bool, error) {
	if len(line) < len("HTTP/1.1 200") || string(line[:7]) != "HTTP/1." || line[8] != ' ' || len(line) > 12 && line[12] != ' ' {
		return false, errNotHTTP
	}
	r.status = 0
	for _, d := range line[9:12] {
		if d < '0' || d > '9' {
			return false, errNotHTTP
		}
		r.status = r.status*10 + int(d-'0')
	}
	switch {
	case r.status < 100:
		return false, errNotHTTP
	case r.status == 101:
		return false, errUpgrade
	}
	r.keep = line[7] != '0' // an HTTP/1.0 server must say that it keeps the connection
	r.expect = (*response).headerLine
	return true, nil
}

func (r *response) headerLine(line []byte) (bool, error) {
	if len(line) == 0 {
		return r.headEnds()
	}
	if r.head += len(line); r.head > maxHead {
		return false, errTooLong
	}
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 {
		if line[0] == ' ' || line[0] == '\t' {
			return true, nil // the rest of a folded header (RFC 9112 §5.2); none that matters here is folded
		}
		return false, errHeader
	}
	switch name := line[:colon]; colon { // few headers matter, and they differ in length
	case len("Connection"):
		if is(name, "connection") {
			r.connection(line[colon+1:])
		}
	case len("Content-Length"):
		if is(name, "content-length") {
			return r.contentLength(line[colon+1:])
		}
	case len("Shakedown-Value"): // and Shakedown-Flags
		switch value := bytes.TrimSpace(line[colon+1:]); {
		case is(name, "shakedown-value"):
			if v, err := strconv.ParseInt(string(value), 10, 64); err == nil {
				r.value = v // a service that states no value, or not a number, has value 0
			}
		case is(name, "shakedown-flags"):
			r.flags = bench.ParseFlags(string(value))
		}
	case len("Transfer-Encoding"): // and Shakedown-Outcome
		switch value := bytes.TrimSpace(line[colon+1:]); {
		case is(name, "transfer-encoding"):
			r.coded, r.chunked = true, endsInChunked(value)
		case is(name, "shakedown-outcome"):
			switch string(value) {
			case "degraded":
				r.said = saidDegraded
			case "refused":
				r.said = saidRefused
			case "unsure":
				r.said = saidUnsure
			}
		}
	}
	return true, nil
}

// is compares with a name in lower case.
func is(name []byte, lower string) bool {
	for i := range len(lower) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

func endsInChunked(value []byte) bool {
	if i := bytes.LastIndexByte(value, ','); i >= 0 {
		value = bytes.TrimSpace(value[i+1:])
	}
	return len(value) == len("chunked") && is(value, "chunked")
}

func (r *response) connection(value []byte) {
	for len(value) > 0 {
		token := value
		if i := bytes.IndexByte(value, ','); i >= 0 {
			token, value = value[:i], value[i+1:]
		} else {
			value = nil
		}
		switch token = bytes.TrimSpace(token); {
		case len(token) == len("close") && is(token, "close"):
			r.keep = false
		case len(token) == len("keep-alive") && is(token, "keep-alive"):
			r.keep = true
		}
	}
}

func (r *response) contentLength(value []byte) (bool, error) {
	value = bytes.TrimSpace(value)
	if len(value) == 0 || len(value) > 18 {
		return false, errLength
	}
	var n int64
	for _, d := range value {
		if d < '0' || d > '9' {
			return false, errLength
		}
		n = n*10 + int64(d-'0')
	}
	if r.length >= 0 && r.length != n {
		return false, errLength
	}
	r.length = n
	return true, nil
}

// headEnds decides how long the body is (RFC 9112 §6.3).
func (r *response) headEnds() (more bool, err error) {
	switch {
	case r.status < 200:
		if r.interim++; r.interim > maxInterim {
			return false, errInterim
		}
		r.expect, r.length, r.coded, r.chunked = (*response).statusLine, -1, false, false
		return true, nil
	case r.bodyless || r.status == 204 || r.status == 304:
		return false, nil
	case r.chunked:
		if r.length >= 0 {
			r.keep = false // an attack, or a bug: RFC 9112 §6.1
		}
		r.expect = (*response).chunkSize
		return true, nil
	case r.coded || r.length < 0:
		r.expect, r.left, r.keep = nil, -1, false
		return true, nil
	case r.length == 0:
		return false, nil
	default:
		r.expect, r.left = nil, r.length
		return true, nil
	}
}

// chunkSize is "1a2b;extension" (RFC 9112 §7.1).
func (r *response) chunkSize(line []byte) (bool, error) {
	var n int64
	digits := 0
	for _, c := range line {
		var d byte
		switch {
		case '0' <= c && c <= '9':
			d = c - '0'
		case 'a' <= c && c <= 'f':
			d = c - 'a' + 10
		case 'A' <= c && c <= 'F':
			d = c - 'A' + 10
		case digits > 0 && (c == ';' || c == ' ' || c == '\t'):
			return r.chunk(n)
		default:
			return false, errChunk
		}
		if digits++; digits > 15 {
			return false, errChunk
		}
		n = n<<4 | int64(d)
	}
	if digits == 0 {
		return false, errChunk
	}
	return r.chunk(n)
}

func (r *response) chunk(n int64) (bool, error) {
	if n == 0 {
		r.expect = (*response).trailerLine
	} else {
		r.expect, r.left = nil, n
	}
	return true, nil
}

func (r *response) chunkEnd(line []byte) (bool, error) {
	if len(line) > 0 {
		return false, errChunk
	}
	r.expect = (*response).chunkSize
	return true, nil
}

func (r *response) trailerLine(line []byte) (bool, error) {
	if r.head += len(line); r.head > maxHead {
		return false, errTooLong
	}
	return len(line) > 0, nil
}

// outcome is what the response says became of the request: a 2xx is ok, 429 and 503 are refused, any other status is failed,
// and the service may say "degraded" of a 2xx, and "refused" or "unsure" of anything.
func (r *response) outcome() bench.Outcome {
	switch {
	case r.said == saidRefused || r.status == 429 || r.status == 503:
		return bench.Refused
	case r.said == saidUnsure:
		return bench.Unsure
	case r.status/100 != 2:
		return bench.Failed
	case r.said == saidDegraded:
		return bench.Degraded
	default:
		return bench.OK
	}
}
