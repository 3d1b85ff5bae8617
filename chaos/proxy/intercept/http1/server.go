package http1

import (
	"bytes"
	"net/http"
	"strconv"
)

// A server is the way from the server to the client: answers.
type server struct {
	*filter
	reader
	fed      bool // within a Feed of this way
	x        *exchange
	status   int
	old      bool // HTTP/1.0
	replaced bool
}

func (s *server) read() {
	s.fed = true
	for s.follows() && len(s.Rest()) > 0 {
		switch s.state {
		case atStart:
			s.start()
		case inHeaders:
			s.header()
		case inBody:
			s.rest()
		}
	}
	s.fed = false
}

// start reads a status line. An answer that nobody asked for, such as 408, has an exchange of its own.
func (s *server) start() {
	if len(s.line) == 0 {
		s.x = &exchange{}
		if len(s.exchanges) > 0 && !s.exchanges[0].before {
			s.x = s.exchanges[0]
		}
		if s.x.answer != nil || s.x.delay > 0 {
			s.Hold()
		}
	}
	line, ended, _ := s.readLine(everything)
	if !ended {
		return
	}
	version, rest, _ := bytes.Cut(line, []byte(" "))
	code, _, _ := bytes.Cut(rest, []byte(" "))
	status, err := strconv.Atoi(string(code))
	if err != nil || len(code) != 3 || !bytes.HasPrefix(version, []byte("HTTP/1.")) {
		s.opaque("bytes that are not HTTP/1")
		return
	}
	s.state, s.head, s.status, s.old = inHeaders, head{length: -1}, status, string(version) == "HTTP/1.0"
	s.replaced = false
	switch {
	case status < 200 && s.Holds():
		s.Pass(0)
	case status < 200:
	case s.x.answer != nil:
		s.replaced = true
		s.Drop()
	case s.x.delay > 0:
		for _, r := range s.x.late {
			r.Acted()
		}
		s.Pass(s.now + s.x.delay)
	}
}

// header reads a line of the header section.
func (s *server) header() {
	line, ended, _ := s.readLine(everything)
	if !ended {
		return
	}
	if len(line) > 0 {
		s.head.field(line)
		return
	}
	h := s.head
	switch {
	case s.status == http.StatusSwitchingProtocols:
		if h.http2 {
			s.opaque("HTTP/2")
		} else {
			s.tunnel()
		}
		return
	case s.status < 200: // the answer itself follows
		s.state = atStart
		return
	case s.x.method == http.MethodConnect && s.status < 300 && !s.replaced:
		s.tunnel()
		return
	case h.malformed:
		s.opaque("an answer whose end is not told")
		return
	}
	s.state, s.body = inBody, s.framed()
	if s.replaced {
		s.x.closes = h.closes || s.body.kind == untilClose || s.old && !h.keeps
		s.say(s.x, s.now+s.x.delay)
	}
	if s.body.kind == noBody {
		s.done()
	}
}

// framed says how the answer's body is framed (RFC 9112, 6.3).
func (s *server) framed() body {
	h := s.head
	switch {
	case s.x.method == http.MethodHead || s.status == http.StatusNoContent || s.status == http.StatusNotModified:
		return body{}
	case h.chunked:
		return body{kind: chunked}
	case h.coded || h.length < 0:
		return body{kind: untilClose}
	case h.length == 0:
		return body{}
	}
	return body{kind: sized, left: h.length}
}

// rest reads the body, as far as a cut lets it.
func (s *server) rest() {
	most := int64(everything)
	if cut := s.cuts(); cut != nil {
		most = cut.Match.Cut.AfterBytes - s.body.seen
		if most <= 0 {
			s.end(cut)
			return
		}
	}
	done, ok := s.nextOfBody(most)
	if !ok {
		s.opaque("an answer whose chunks are malformed")
		return
	}
	if done {
		s.done()
	}
}

// cuts is the rule that cuts the answer, if one does.
func (s *server) cuts() *rule {
	if s.replaced || s.x.cut == nil || s.body.kind == sized && s.body.left+s.body.seen <= s.x.cut.Match.Cut.AfterBytes {
		return nil
	}
	return s.x.cut
}

// end ends the connection within an answer.
func (s *server) end(cut *rule) {
	cut.Acted()
	s.Drop()
	s.over = true
	if cut.Match.Cut.Reset {
		s.out.Cut()
	} else {
		s.out.Finish()
	}
}

// done is the end of an answer.
func (s *server) done() {
	s.state = atStart
	s.Pass(0)
	if len(s.exchanges) > 0 && s.exchanges[0] == s.x {
		s.exchanges = s.exchanges[1:]
	}
	s.speak()
}
