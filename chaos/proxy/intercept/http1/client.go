package http1

import (
	"bytes"
	"time"

	"shakedown/chaos"
)

const tlsHandshake = 0x16 // the first byte of TLS (RFC 8446, 5.1)

// A client is the way from the client to the server: requests.
type client struct {
	*filter
	reader
	count   uint64 // requests of the connection
	version string // of the request at hand
	current *exchange
}

func (c *client) read() {
	for c.follows() && len(c.Rest()) > 0 {
		switch c.state {
		case atStart:
			c.start()
		case inHeaders:
			c.header()
		case inBody:
			c.rest()
		}
	}
}

// start reads the first line of a request.
func (c *client) start() {
	if len(c.line) == 0 {
		if c.Rest()[0] == tlsHandshake {
			c.opaque("TLS")
			return
		}
		if len(c.seat.Rules()) > 0 {
			c.Hold()
		}
	}
	line, ended, long := c.readLine(everything)
	if long && c.Holds() {
		c.Pass(0) // too long to wait: no rule acts on it
	}
	switch {
	case !ended:
		return
	case len(line) == 0: // before a request (RFC 9112, 2.2)
		c.Pass(0)
		return
	}
	method, rest, ok := bytes.Cut(line, []byte(" "))
	target, version, _ := bytes.Cut(rest, []byte(" "))
	switch {
	case bytes.Equal(line, []byte("PRI * HTTP/2.0")):
		c.opaque("HTTP/2")
		return
	case !ok || !token(method) || !long && !bytes.HasPrefix(version, []byte("HTTP/1.")):
		c.opaque("bytes that are not HTTP/1")
		return
	case len(c.exchanges) == exchangeLimit:
		c.opaque("more requests under way than are kept")
		return
	}
	c.state, c.head, c.version = inHeaders, head{length: -1}, string(version)
	c.judge(string(method), pathOf(target))
}

// token says whether b could be a method (RFC 9110, 5.6.2).
func token(b []byte) bool {
	for _, c := range b {
		if c <= ' ' || c >= 0x7f || bytes.IndexByte([]byte(`"(),/:;<=>?@[\]{}`), c) >= 0 {
			return false
		}
	}
	return len(b) > 0
}

// judge holds a request against the rules.
func (c *client) judge(method string, path []byte) {
	c.count++
	x := &exchange{method: method}
	c.current = x
	var delay time.Duration
	if c.Holds() {
		for _, r := range c.seat.Rules() {
			r.Saw()
			if !r.Match.matches(method, path) || !r.Picks(c.seat, c.count) {
				continue
			}
			m := r.Match
			switch {
			case m.Delay > 0 && m.When == chaos.After:
				x.delay += m.Delay.D()
				x.late = append(x.late, r)
			case m.Delay > 0:
				delay += m.Delay.D()
				r.Acted()
			case m.Answer != nil && x.answer == nil:
				x.answer, x.before = r, m.When != chaos.After
			case m.Cut != nil && x.cut == nil:
				x.cut = r
			}
		}
	}
	c.exchanges = append(c.exchanges, x)
	switch {
	case x.before:
		x.delay += delay
		c.Drop()
	case delay > 0:
		c.Pass(c.now + delay)
	case c.Holds():
		c.Pass(0)
	}
}

// header reads a line of the header section.
func (c *client) header() {
	line, ended, _ := c.readLine(everything)
	if !ended {
		return
	}
	if len(line) > 0 {
		c.head.field(line)
		return
	}
	h := c.head
	c.state, c.body = inBody, body{}
	switch {
	case h.malformed || h.coded && !h.chunked:
		c.opaque("a request whose end is not told")
		return
	case h.chunked:
		c.body.kind = chunked
	case h.length > 0:
		c.body = body{kind: sized, left: h.length}
	}
	c.current.closes = h.closes || c.version == "HTTP/1.0" && !h.keeps
	if c.current.before && h.expects && c.body.kind != noBody {
		// The client may send the body yet, or not (RFC 9110, 10.1.1): who does not read it must close.
		c.current.closes, c.current.ready = true, true
		c.speak()
	}
	if c.body.kind == noBody {
		c.done()
	}
}

// rest reads the body.
func (c *client) rest() {
	done, ok := c.nextOfBody(everything)
	if !ok {
		c.opaque("a request whose chunks are malformed")
		return
	}
	if done {
		c.done()
	}
}

// done is the end of a request.
func (c *client) done() {
	c.state = atStart
	if c.over {
		return
	}
	c.Pass(0)
	c.current.ready = true
	c.speak()
}
