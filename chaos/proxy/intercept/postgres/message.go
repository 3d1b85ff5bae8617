package postgres

import (
	"encoding/binary"

	"shakedown/chaos/proxy/intercept"
)

const (
	// startupLimit is the longest startup packet that a server takes (MAX_STARTUP_PACKET_LENGTH).
	startupLimit = 10_000
	// messageLimit is the longest message (PQ_LARGE_MESSAGE_LIMIT).
	messageLimit = 1<<30 - 1
)

// A reader frames one way of a connection: a type byte, but for a client's first messages, then a length that counts itself,
// then the body, of which only the beginning is kept.
type reader struct {
	intercept.Flow
	untyped bool // startup packets come

	head [5]byte
	got  int  // of the head
	kind byte // 0 for a startup packet
	left int  // of the body, to come
	want int  // of the body, to be kept
	body []byte
	seen bool // the body, as far as it is wanted, has been looked at
}

// A party looks at the messages of one way.
type party interface {
	// arrives is told the kind of the message whose first byte comes next, and may let it wait.
	arrives(kind byte)
	// wants says how much of a body of size bytes is to be kept.
	wants(kind byte, size int) int
	// look is given the message once what is wanted of it is there.
	look(kind byte, body []byte)
	// ends is told the end of each message.
	ends()
	// garbled is told that this is no message.
	garbled(first byte)
	// follows says whether the next bytes are to be looked at.
	follows() bool
}

// read takes all that has arrived, as far as the party follows.
func (r *reader) read(p party) {
	for p.follows() && len(r.Rest()) > 0 {
		if r.got < r.headSize() && !r.readHead(p) {
			continue
		}
		r.readBody(p)
	}
}

func (r *reader) headSize() int {
	if r.untyped {
		return 4
	}
	return 5
}

// readHead returns whether the head is whole and makes sense.
func (r *reader) readHead(p party) bool {
	if r.got == 0 {
		r.kind = 0
		if !r.untyped {
			r.kind = r.Rest()[0]
		}
		p.arrives(r.kind)
	}
	taken := r.Take(min(r.headSize()-r.got, len(r.Rest())))
	r.got += copy(r.head[r.got:], taken)
	if r.got < r.headSize() {
		return false
	}
	size := int64(binary.BigEndian.Uint32(r.head[r.headSize()-4:])) - 4
	if size < 0 || size > messageLimit || r.untyped && (size < 4 || size > startupLimit) {
		p.garbled(r.head[0])
		return false
	}
	r.left, r.want, r.seen, r.body = int(size), p.wants(r.kind, int(size)), false, nil
	return true
}

// readBody takes what is there of the body.
func (r *reader) readBody(p party) {
	if !r.seen {
		taken := r.Take(min(r.want-len(r.body), len(r.Rest())))
		r.left -= len(taken)
		if len(r.body) == 0 && len(taken) == r.want {
			r.body = taken // all of it came at once; it is looked at before the bytes are the proxy's again
		} else {
			r.body = append(r.body, taken...)
		}
		if len(r.body) < r.want {
			return
		}
		r.seen = true
		p.look(r.kind, r.body)
		r.body = nil
	}
	n := min(r.left, len(r.Rest()))
	r.Take(n)
	r.left -= n
	if r.left == 0 {
		r.got = 0
		p.ends()
	}
}
