package resp

import (
	"bytes"
	"time"

	"shakedown/chaos/proxy/intercept"
)

const (
	// waitLimit bounds the part of a command that waits for its judgement. What comes after it is not matched by its key.
	waitLimit = 32 << 10
	// argLimit is how much of an argument is kept; a longer key matches no pattern but the empty one.
	argLimit = 1 << 10
	// argsKept is how many arguments are kept: XREADGROUP has its key behind some options.
	argsKept = 12
	// answerLimit bounds the answers that wait for their turn.
	answerLimit = 4096
	// lineLimit is the longest line of a header.
	lineLimit = 64
	// depthLimit bounds how deep replies nest.
	depthLimit = 128
)

// A filter follows one connection. It keeps the beginning of a command (waitLimit, argsKept × argLimit) and the answers
// that wait for their turn (answerLimit, a line each).
type filter struct {
	seat   *intercept.Seat[match]
	client client
	server server

	// During a call.
	now time.Duration
	out intercept.Out

	dead     bool   // the connection cannot be followed
	sent     uint64 // replies that the server owes or has given
	answered uint64 // of those, the given ones
	answers  []answer
}

// An answer is what the filter says in the server's place.
type answer struct {
	after uint64 // so many replies come before it
	swap  bool   // it takes the place of the next
	text  string
	rule  *rule // nil when it only follows from an earlier one
}

func newFilter(seat *intercept.Seat[match]) *filter {
	f := &filter{seat: seat}
	f.client = client{filter: f, Flow: intercept.NewFlow(intercept.Up)}
	f.server = server{filter: f, Flow: intercept.NewFlow(intercept.Down)}
	return f
}

// Feed follows the commands and replies that arrived.
func (f *filter) Feed(now time.Duration, way intercept.Way, data []byte, out intercept.Out) {
	f.now, f.out = now, out
	if way == intercept.Up {
		f.client.Begin(data, out)
		f.client.read()
		f.client.Finish()
		return
	}
	f.server.Begin(data, out)
	f.server.read()
	f.server.Finish()
}

// End lets a command or a reply go on that did not become whole.
func (f *filter) End(_ time.Duration, way intercept.Way, out intercept.Out) {
	if way == intercept.Up {
		f.client.Flow.End(out)
	} else {
		f.server.Flow.End(out)
	}
}

// Wake acknowledges the present rules.
func (f *filter) Wake(time.Duration, intercept.Out) { f.seat.Rules() }

// Close gives the seat back.
func (f *filter) Close() { f.seat.Leave() }

// opaque gives the connection up: both ways pass from here on.
func (f *filter) opaque(why string) {
	f.dead = true
	f.seat.Opaque(why)
	f.client.Open(f.out)
	f.server.Open(f.out)
	f.answers = nil
}

// answer puts an answer in its place among the replies.
func (f *filter) answer(a answer) {
	f.answers = append(f.answers, a)
	f.speak()
}

// speak says what has its turn, unless the server is in the middle of something.
func (f *filter) speak() {
	if !f.server.between() {
		return
	}
	for len(f.answers) > 0 && f.answers[0].after == f.answered && !f.answers[0].swap {
		f.say(f.answers[0])
	}
}

// say says the first answer that waits.
func (f *filter) say(a answer) {
	f.answers = f.answers[1:]
	if a.rule != nil {
		a.rule.Acted()
	}
	line := []byte("-" + a.text + "\r\n")
	if f.server.fed() {
		f.server.Insert(line, 0)
	} else {
		f.out.Pass(intercept.Down, line, 0)
	}
}

// A header collects a line of the protocol that is not longer than lineLimit.
type header struct{ line []byte }

// add takes bytes up to the end of the line. The line, without its end, is whole when ok; none says that it is no header.
func (h *header) add(rest []byte) (n int, line []byte, ok, none bool) {
	n = bytes.IndexByte(rest, '\n') + 1
	ok = n > 0
	if !ok {
		n = len(rest)
	}
	if len(h.line)+n > lineLimit {
		return n, nil, false, true
	}
	h.line = append(h.line, rest[:n]...)
	if !ok {
		return n, nil, false, false
	}
	line, ok = bytes.CutSuffix(h.line, []byte("\r\n"))
	h.line = h.line[:0]
	return n, line, ok, !ok
}

// number reads an integer as Redis does: digits, perhaps with a sign, and nothing else.
func number(b []byte) (n int64, ok bool) {
	negative := len(b) > 0 && b[0] == '-'
	digits := b
	if negative {
		digits = b[1:]
	}
	if len(digits) == 0 || len(digits) > 18 {
		return 0, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	if negative {
		n = -n
	}
	return n, true
}
