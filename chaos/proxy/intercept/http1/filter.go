package http1

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"

	"shakedown/chaos"
	"shakedown/chaos/proxy/intercept"
)

// exchangeLimit bounds the requests of a connection that wait for their answers.
const exchangeLimit = 1024

// A filter follows one connection. It keeps a line of each way (lineLimit; a request's first line waits for its judgement
// meanwhile), and what is to become of exchangeLimit requests.
type filter struct {
	seat   *intercept.Seat[match]
	client client
	server server

	// During a call.
	now time.Duration
	out intercept.Out

	over      bool // cut or finished
	dead      bool // not followed
	exchanges []*exchange
}

// An exchange is a request, and what is to become of its answer.
type exchange struct {
	method string
	answer *rule         // takes the place of the server's answer
	before bool          // the server never sees the request
	ready  bool          // and all of it has come
	closes bool          // the client expects nothing after the answer
	delay  time.Duration // of the answer
	late   []*rule       // that delay it
	cut    *rule
}

func newFilter(seat *intercept.Seat[match]) *filter {
	f := &filter{seat: seat}
	f.client = client{filter: f, reader: reader{Flow: intercept.NewFlow(intercept.Up)}}
	f.server = server{filter: f, reader: reader{Flow: intercept.NewFlow(intercept.Down)}}
	return f
}

// Feed follows the requests and answers that arrived.
func (f *filter) Feed(now time.Duration, way intercept.Way, data []byte, out intercept.Out) {
	if f.over {
		return
	}
	f.now, f.out = now, out
	r, read := &f.client.reader, f.client.read
	if way == intercept.Down {
		r, read = &f.server.reader, f.server.read
	}
	r.Begin(data, out)
	read()
	if !f.over { // what follows the end goes nowhere
		r.Finish()
	}
}

// End lets a request's first line go on that did not become whole.
func (f *filter) End(_ time.Duration, way intercept.Way, out intercept.Out) {
	switch {
	case f.over:
	case way == intercept.Up:
		f.client.reader.End(out)
	default:
		f.server.reader.End(out)
	}
}

// Wake acknowledges the present rules.
func (f *filter) Wake(time.Duration, intercept.Out) { f.seat.Rules() }

// Close gives the seat back.
func (f *filter) Close() { f.seat.Leave() }

// opaque gives the connection up, as something that cannot be followed.
func (f *filter) opaque(why string) {
	f.seat.Opaque(why)
	f.pass()
}

// tunnel gives the connection up, as one that carries no more requests.
func (f *filter) tunnel() {
	f.seat.Idle()
	f.pass()
}

func (f *filter) pass() {
	f.dead = true
	f.client.Open(f.out)
	f.server.Open(f.out)
}

func (f *filter) follows() bool { return !f.over && !f.dead }

// speak says the answers that have their turn, unless the server is in the middle of one.
func (f *filter) speak() {
	for !f.over && len(f.exchanges) > 0 && f.exchanges[0].before && f.exchanges[0].ready && f.server.state == atStart && len(f.server.line) == 0 {
		x := f.exchanges[0]
		f.exchanges = f.exchanges[1:]
		f.say(x, f.now+x.delay)
	}
}

// say says the answer of a rule.
func (f *filter) say(x *exchange, at time.Duration) {
	x.answer.Acted()
	for _, r := range x.late {
		r.Acted()
	}
	if x.delay == 0 {
		at = 0
	}
	text := write(x.answer.Match.Answer, x.method == http.MethodHead, x.closes)
	if f.server.fed {
		f.server.Insert(text, at)
	} else {
		f.out.Pass(intercept.Down, text, at)
	}
	if x.closes && x.before {
		f.over = true
		f.out.Finish()
	}
}

// write writes an answer.
func write(a *chaos.HTTPAnswer, head, closes bool) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", a.Status, http.StatusText(a.Status))
	if a.RetryAfter > 0 {
		fmt.Fprintf(&b, "Retry-After: %d\r\n", int64(a.RetryAfter.Seconds()))
	}
	if closes {
		b.WriteString("Connection: close\r\n")
	}
	if a.Status != http.StatusNoContent && a.Status != http.StatusNotModified {
		fmt.Fprintf(&b, "Content-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n", len(a.Body))
	}
	b.WriteString("\r\n")
	if !head {
		b.WriteString(a.Body)
	}
	return []byte(b.String())
}

const everything = math.MaxInt64
