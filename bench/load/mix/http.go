package mix

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	"shakedown/bench"
)

// A Target is a server as requests name it.
type Target struct {
	Host string // of the header Host
	Base string // before every path, such as "/v1", or nothing
}

// A field is one header; without places its value is the same for all.
type field struct {
	name  string
	value template
}

// ParseHeader reads "Name: value" lines, as flags have them.
func ParseHeader(lines []string) (map[string]string, error) {
	h := map[string]string{}
	for _, line := range lines {
		name, value, ok := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return nil, fmt.Errorf("%q is no header; write it as 'Name: value'", clip(line))
		}
		if name = textproto.CanonicalMIMEHeaderKey(name); h[name] != "" {
			return nil, fmt.Errorf("header %s is given twice", name)
		}
		h[name] = strings.TrimSpace(value)
	}
	return h, nil
}

// http compiles a request of HTTP.
func (c *compiled) http(keyed bool) (err error) {
	if c.Method == "" {
		if c.Method = "GET"; c.Body != "" {
			c.Method = "POST"
		}
	}
	if !httpguts.ValidHeaderFieldName(c.Method) || c.Method == http.MethodConnect {
		return fmt.Errorf("method: %q cannot be used", c.Method)
	}
	if !strings.HasPrefix(c.Path, "/") {
		return fmt.Errorf("path: must start with /, got %q", clip(c.Path))
	}
	if c.path, err = parse(c.Path, keyed); err != nil {
		return fmt.Errorf("path: %w", err)
	}
	for _, s := range c.path {
		for _, b := range s.text {
			if b <= ' ' || b >= 0x7f {
				return fmt.Errorf("path: %q must be escaped, as %%%02X", b, b)
			}
		}
	}
	if c.body, err = parse(c.Body, keyed); err != nil {
		return fmt.Errorf("body: %w", err)
	}
	if err := c.headers(keyed); err != nil {
		return fmt.Errorf("header: %w", err)
	}
	return nil
}

// ours are headers that the generator writes by itself.
var ours = []string{"Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive", "Upgrade", "Expect", "Te", "Trailer"}

func (c *compiled) headers(keyed bool) error {
	seen := map[string]bool{}
	for name, text := range c.Header {
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		switch {
		case !httpguts.ValidHeaderFieldName(name):
			return fmt.Errorf("%q is no name of a header", clip(name))
		case slices.Contains(ours, canonical):
			return fmt.Errorf("%s is set by shakedown", canonical)
		case seen[canonical]:
			return fmt.Errorf("%s is given twice", canonical)
		case !httpguts.ValidHeaderFieldValue(text):
			return fmt.Errorf("%s: %q holds a line break or another control character", canonical, clip(text))
		}
		seen[canonical] = true
		t, err := parse(text, keyed)
		if err != nil {
			return fmt.Errorf("%s: %w", canonical, err)
		}
		c.header = append(c.header, field{canonical, t})
	}
	if !seen["User-Agent"] {
		c.header = append(c.header, field{"User-Agent", template{{text: []byte("shakedown")}}})
	}
	slices.SortFunc(c.header, func(a, b field) int { return strings.Compare(a.name, b.name) })
	return nil
}

// request fills in what the client on net/http sends, in the order in which AppendHTTP draws.
func (c *compiled) request(r *bench.Request, a *arrival) {
	r.Method = c.Method
	r.Path = string(c.path.append(nil, a))
	r.Header = make(map[string][]string, len(c.header))
	for _, f := range c.header {
		r.Header[f.name] = []string{string(f.value.append(nil, a))}
	}
	if len(c.body) > 0 {
		r.Body = c.body.append(nil, a)
	}
}

// A head is an operation's request to one target: what comes before the body, and where it has to say how long that is.
type head struct {
	text   template
	length bool // the body differs from request to request: its length is written once it is known
}

// lengthDigits is the room left for a length that is not known yet. A value may begin with spaces (RFC 9110 §5.5).
const lengthDigits = 10

func (m *Mix) headsFor(t Target) []head {
	if m.protocol != HTTP {
		return nil
	}
	heads := make([]head, len(m.ops))
	for i := range m.ops {
		heads[i] = m.ops[i].headFor(t)
	}
	return heads
}

func (c *compiled) headFor(t Target) head {
	var h head
	text := template{}.add(c.Method + " " + t.Base)
	text = text.join(c.path)
	text = text.add(" HTTP/1.1\r\n")
	host := t.Host
	for _, f := range c.header {
		if f.name == "Host" && f.value.fixed() {
			host = string(f.value.append(nil, &arrival{}))
		}
	}
	text = text.add("Host: " + host + "\r\n")
	for _, f := range c.header {
		if f.name != "Host" {
			text = text.add(f.name + ": ").join(f.value).add("\r\n")
		}
	}
	switch {
	case !c.body.fixed():
		h.length = true
		text = text.add("Content-Length: " + strings.Repeat(" ", lengthDigits) + "\r\n\r\n")
	case len(c.body) > 0 || slices.Contains([]string{"POST", "PUT", "PATCH"}, c.Method):
		body := c.body.append(nil, &arrival{})
		text = text.add("Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n").join(c.body)
	default:
		text = text.add("\r\n")
	}
	h.text = text
	return h
}

// join appends a template.
func (t template) join(o template) template {
	for _, s := range o {
		if s.text != nil {
			t = t.add(string(s.text))
		} else {
			t = append(t, s)
		}
	}
	return t
}

// AppendHTTP writes the request of an arrival, whole and ready for the wire (RFC 9112 §3). It allocates nothing once dst is large enough.
func (r *Requests) AppendHTTP(dst []byte, seq uint64) (out []byte, op bench.OpID, key int64) {
	a, at := r.arrival(seq)
	h := &r.heads[0][at]
	if n := uint64(len(r.heads)); n > 1 {
		h = &r.heads[seq%n][at]
	}
	dst = h.text.append(dst, &a)
	if h.length {
		body := len(dst)
		dst = r.ops[at].body.append(dst, &a)
		n := len(dst) - body
		for i := body - len("\r\n\r\n") - 1; ; i-- {
			dst[i] = byte('0' + n%10)
			if n /= 10; n == 0 {
				break
			}
		}
	}
	return dst, bench.OpID(at), a.key
}

// A Stream writes the requests of a workload of an experiment.
type Stream struct {
	stream *bench.Stream
	mix    *Requests
}

// FromStream makes the requests of a workload ready for the wire; they are those that stream.Next describes.
func FromStream(w bench.Workload, stream *bench.Stream, targets ...Target) (*Stream, error) {
	if len(targets) == 0 {
		return nil, errors.New("mix: requests need a target")
	}
	ops := make([]Op, len(w.Ops))
	for i, op := range w.Ops {
		ops[i] = Op{Name: strconv.Itoa(i) + " " + op.Name, Method: op.Method, Path: op.Path, Keys: bench.Keys{Dist: "fixed", From: 1}}
	}
	m, err := New(ops)
	if err != nil {
		return nil, err
	}
	return &Stream{stream: stream, mix: m.Requests(0, targets...)}, nil
}

// AppendHTTP writes the request of an arrival.
func (s *Stream) AppendHTTP(dst []byte, seq uint64) (out []byte, op bench.OpID, key int64) {
	op, key = s.stream.Pick(seq)
	heads := s.mix.heads[seq%uint64(len(s.mix.heads))]
	return heads[op].text.append(dst, &arrival{seq: seq, key: key, keyed: true}), op, key
}
