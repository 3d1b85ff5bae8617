package resp

import (
	"bytes"

	"shakedown/chaos/proxy/intercept"
)

// A server is the way from the server to the client: replies.
type server struct {
	*filter
	intercept.Flow
	header header
	active bool // within Begin and Finish

	kind  byte    // of the element at hand; 0 between two
	size  int64   // of a blob, its end included, to come
	stack []int64 // elements to come, of each aggregate that is open
	kinds []byte  // of the aggregates
	swap  bool    // the reply is replaced
	whose bool    // an attribute has come, and what it belongs to has not
}

func (s *server) follows() bool {
	return !s.dead && (!s.client.leaving || len(s.answers) > 0)
}

func (s *server) fed() bool { return s.active }

// between says whether the server is between two replies or pushes.
func (s *server) between() bool { return s.kind == 0 && len(s.stack) == 0 && !s.whose }

func (s *server) read() {
	s.active = true
	for s.follows() && len(s.Rest()) > 0 {
		switch {
		case s.kind == 0:
			s.begin(s.Rest()[0])
		case s.size > 0:
			n := int(min(s.size, int64(len(s.Rest()))))
			s.Take(n)
			if s.size -= int64(n); s.size == 0 {
				s.element()
			}
		case isLine(s.kind):
			n := bytes.IndexByte(s.Rest(), '\n') + 1
			if n == 0 {
				s.Take(len(s.Rest()))
				break
			}
			s.Take(n)
			s.element()
		default:
			s.readHeader()
		}
	}
	s.active = false
}

// isLine says whether an element is a line of any length.
func isLine(kind byte) bool { return bytes.IndexByte([]byte("+-:_,#("), kind) >= 0 }

// begin looks at the first byte of an element. A push stands between replies and an attribute before one; neither answers
// a command.
func (s *server) begin(kind byte) {
	if bytes.IndexByte([]byte("+-:_,#($!=*%~>|"), kind) < 0 {
		s.opaque("bytes that are not Redis' protocol")
		return
	}
	s.kind, s.whose = kind, false
	if len(s.stack) > 0 || kind == '>' || kind == '|' {
		return
	}
	if len(s.answers) > 0 && s.answers[0].swap && s.answers[0].after == s.answered {
		s.swap = true
		s.Drop()
	}
}

func (s *server) readHeader() {
	n, line, ok, none := s.header.add(s.Rest())
	s.Take(n)
	if none {
		s.opaque("bytes that are not Redis' protocol")
		return
	}
	if !ok {
		return
	}
	size, ok := number(line[1:])
	if !ok || size < -1 || size > 1<<48 {
		s.opaque("a reply of a length that is not told")
		return
	}
	switch kind := s.kind; {
	case kind == '$' || kind == '!' || kind == '=':
		if size < 0 { // null
			s.element()
			return
		}
		s.size = size + 2
	case size <= 0:
		s.aggregate(kind)
	case len(s.stack) == depthLimit:
		s.opaque("replies that nest too deep")
	default:
		if kind == '%' || kind == '|' {
			size *= 2
		}
		s.stack, s.kinds, s.kind = append(s.stack, size), append(s.kinds, kind), 0
	}
}

// element is the end of an element that is no aggregate.
func (s *server) element() { s.aggregate(s.kind) }

// aggregate is the end of an element, and of the aggregates that it completes.
func (s *server) aggregate(kind byte) {
	s.kind = 0
	for {
		if kind == '|' { // it belongs to what follows
			s.whose = true
			return
		}
		if len(s.stack) == 0 {
			s.complete(kind)
			return
		}
		top := len(s.stack) - 1
		s.stack[top]--
		if s.stack[top] > 0 {
			return
		}
		kind = s.kinds[top]
		s.stack, s.kinds = s.stack[:top], s.kinds[:top]
	}
}

// complete is the end of a reply or a push.
func (s *server) complete(kind byte) {
	if kind != '>' && s.answered < s.sent {
		s.answered++
	}
	if s.swap && kind != '>' {
		s.swap = false
		s.Pass(0)
		s.say(s.answers[0])
	}
	s.speak()
}
