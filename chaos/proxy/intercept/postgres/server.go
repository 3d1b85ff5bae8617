package postgres

import (
	"bytes"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"

	"shakedown/chaos"
)

const (
	tagLimit   = 64
	errorLimit = 8 << 10
)

type (
	queryMessage   = pgproto3.Query
	executeMessage = pgproto3.Execute
)

// encode writes a message of pgproto3. It only fails for one that is longer than the protocol allows, which none of the
// filter's own is.
func encode(m pgproto3.Message) []byte {
	b, err := m.Encode(nil)
	if err != nil {
		panic(err)
	}
	return b
}

// A server is the way from the server to the client.
type server struct {
	*filter
	reader
	encryption bool   // a request for encryption was passed on: a single byte answers it
	open       bool   // a transaction block is, as far as the server has answered
	count      uint64 // commands that were completed on the connection

	// An acknowledgement waits for the proof that what it acknowledges is committed.
	waiting *rule
}

func (s *server) follows() bool { return !s.over && s.silent == nil && s.seat.Follows() }

// encrypted looks at the single byte that answers a request for encryption.
func (s *server) encrypted() {
	if len(s.Rest()) == 0 {
		return
	}
	s.encryption = false
	switch s.Rest()[0] {
	case 'S':
		s.opaque("TLS")
	case 'G':
		s.opaque("GSSAPI encryption")
	case 'N':
		s.Take(1)
	} // else it is an error, as a server gives that knows of no encryption
}

// arrives lets the messages wait that may not go on.
func (s *server) arrives(kind byte) {
	if kind == 'E' && s.waiting != nil { // what is being waited for failed
		s.release()
	}
	if kind == 'E' && len(s.pending) > 0 || kind == 'C' && s.mayLose() {
		s.Hold()
	}
}

// mayLose says whether a rule may want an acknowledgement.
func (s *server) mayLose() bool {
	for _, r := range s.seat.Rules() {
		if r.Match.onAnswers() {
			return true
		}
	}
	return false
}

func (s *server) wants(kind byte, size int) int {
	switch kind {
	case 'Z':
		return min(size, 1)
	case 'C':
		return min(size, tagLimit)
	case 'E':
		return min(size, errorLimit)
	}
	return 0
}

func (s *server) garbled(byte) { s.opaque("bytes that are not PostgreSQL's protocol") }

// ends lets the next message pass, unless what came before it waits, or nothing passes any more.
func (s *server) ends() {
	switch {
	case s.silent != nil || s.over:
	case s.waiting == nil:
		s.Pass(0)
	case s.Held() > waitLimit:
		s.release()
	}
}

func (s *server) look(kind byte, body []byte) {
	switch kind {
	case 'C':
		s.completed(string(untilZero(body)))
	case 'E':
		s.erred(body)
	case 'Z':
		if len(body) == 1 {
			s.ready(body[0])
		}
	case 'G': // COPY FROM STDIN: Sync is ignored until the data ends, those that were sent too
		s.client.copying = true
		s.awaited = 0
		if s.client.simple {
			s.awaited = 1
		}
	case 'W': // replication
		s.seat.Idle()
	}
}

// ready is told that the server has done all until a Sync or a simple query, and in which state it is.
func (s *server) ready(status byte) {
	s.open = status != 'I'
	s.awaited = max(s.awaited-1, 0)
	if s.awaited == 0 { // the client has nothing under way: what was guessed from its commands is now known
		s.client.copying = false
		clear(s.pending)
		if !s.open {
			s.client.block = block{}
			s.client.endTransaction()
		} else {
			s.client.block.open = true
		}
	}
	if s.waiting == nil {
		return
	}
	if s.open {
		s.release()
		return
	}
	s.lose(s.waiting)
}

// completed is told the tag of a command that was executed.
func (s *server) completed(tag string) {
	open := s.open
	switch tag {
	case "BEGIN", "START TRANSACTION":
		s.open = true
	case "COMMIT", "PREPARE TRANSACTION":
		s.open = false
	}
	s.count++
	if s.waiting != nil || !s.Holds() {
		return
	}
	for _, r := range s.seat.Rules() {
		if !r.Match.onAnswers() {
			continue
		}
		r.Saw()
		if !r.Match.answer(tag, open) || !r.Picks(s.seat, s.count) {
			continue
		}
		if isCommit(tag, open) {
			s.lose(r)
			return
		}
		// It is committed when the server is ready, and not before: other statements of the same query may still fail.
		s.waiting = r
		return
	}
	s.Pass(0)
}

// lose drops an acknowledgement, and all that would follow it.
func (s *server) lose(r *rule) {
	r.Acted()
	s.waiting = nil
	s.Drop()
	if r.Match.LoseAck == chaos.LostByHold {
		s.silent = r
		s.client.Open(s.out)
		return
	}
	s.cut()
}

// release lets an acknowledgement go that is none.
func (s *server) release() {
	s.waiting = nil
	s.Pass(0)
}

// erred is told an error. That of a command which was made to fail is replaced.
func (s *server) erred(body []byte) {
	s.client.copying = false
	if !s.Holds() {
		return
	}
	for token, r := range s.pending {
		if !bytes.Contains(body, []byte(token)) {
			continue
		}
		delete(s.pending, token)
		r.Acted()
		s.Drop()
		s.Insert(errorResponse(r.Match.Error), 0)
		if r.Match.Error.Fatal {
			s.over = true
			s.out.Finish()
		}
		return
	}
	s.Pass(0)
}

func errorResponse(e *chaos.ErrorResponse) []byte {
	severity := "ERROR"
	if e.Fatal {
		severity = "FATAL"
	}
	message := strings.ToValidUTF8(e.Message, "?")
	if message == "" {
		message = "injected by shakedown"
	}
	return encode(&pgproto3.ErrorResponse{
		Severity: severity, SeverityUnlocalized: severity, Code: e.SQLState, Message: message,
	})
}
