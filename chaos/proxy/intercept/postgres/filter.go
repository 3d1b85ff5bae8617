package postgres

import (
	"encoding/binary"
	"fmt"
	"iter"
	"time"

	"shakedown/chaos/proxy/intercept"
)

// Codes in the place of a protocol version (section "Message Formats").
const (
	sslRequest    = 80877103
	gssEncRequest = 80877104
	cancelRequest = 80877102
	tlsHandshake  = 0x16 // the first byte of TLS (RFC 8446, 5.1), which a client may send at once since PostgreSQL 17
)

const (
	// pendingLimit bounds the replaced commands whose errors are awaited.
	pendingLimit = 1024
	// waitLimit bounds the answers that wait for the proof of a commit.
	waitLimit = 64 << 10
)

type rule = intercept.Active[match]

// A filter follows one connection. It keeps the text of prepared statements (preparedLimit), the beginning of a command
// (textLimit), and while a commit is awaited waitLimit of answers.
type filter struct {
	in     *Inspector
	seat   *intercept.Seat[match]
	client client
	server server

	// During a call.
	now time.Duration
	out intercept.Out

	over    bool             // cut or finished
	awaited int              // ReadyForQuery messages that the server owes
	pending map[string]*rule // by token: commands that were replaced, whose errors are awaited
	silent  *rule            // the client hears nothing more, until this rule goes
}

func newFilter(in *Inspector, seat *intercept.Seat[match]) *filter {
	f := &filter{in: in, seat: seat, pending: map[string]*rule{}}
	f.client = client{filter: f, reader: reader{Flow: intercept.NewFlow(intercept.Up), untyped: true}}
	f.server = server{filter: f, reader: reader{Flow: intercept.NewFlow(intercept.Down)}}
	return f
}

// Feed follows the messages that arrived.
func (f *filter) Feed(now time.Duration, way intercept.Way, data []byte, out intercept.Out) {
	if f.over {
		return
	}
	f.now, f.out = now, out
	r, p := f.of(way)
	r.Begin(data, out)
	if way == intercept.Down && f.server.encryption {
		f.server.encrypted()
	}
	r.read(p)
	if !f.over { // what follows a cut goes nowhere
		r.Finish()
	}
}

func (f *filter) of(way intercept.Way) (*reader, party) {
	if way == intercept.Up {
		return &f.client.reader, &f.client
	}
	return &f.server.reader, &f.server
}

// End lets a message go on that did not become whole.
func (f *filter) End(_ time.Duration, way intercept.Way, out intercept.Out) {
	if f.over {
		return
	}
	r, _ := f.of(way)
	r.End(out)
}

// Wake acknowledges the present rules. A connection that was silent for a rule that is gone is of no use to anybody.
func (f *filter) Wake(_ time.Duration, out intercept.Out) {
	f.seat.Rules()
	if f.silent != nil && !f.over && !f.seat.InForce(f.silent) {
		f.over = true
		out.Cut()
	}
}

// Close gives the seat back.
func (f *filter) Close() { f.seat.Leave() }

// opaque gives the connection up: both ways pass from here on.
func (f *filter) opaque(why string) {
	f.seat.Opaque(why)
	f.client.Open(f.out)
	f.server.Open(f.out)
}

// cut ends the connection in place of what is being looked at.
func (f *filter) cut() {
	f.over = true
	f.out.Cut()
}

// A client is the way from the client to the server.
type client struct {
	*filter
	reader
	prepared
	block   block
	count   uint64 // commands of the connection
	simple  bool   // the last command was a simple query
	copying bool   // the server awaits the data of a COPY: it ignores Sync
	scratch []statement
}

func (c *client) follows() bool { return !c.over && c.silent == nil && c.seat.Follows() }

func (c *client) arrives(kind byte) {
	if c.untyped || (kind == 'Q' || kind == 'E') && len(c.seat.Rules()) > 0 {
		c.Hold()
	}
}

func (c *client) wants(kind byte, size int) int {
	if c.untyped {
		return size
	}
	switch kind {
	case 'Q':
		return min(size, textLimit)
	case 'P':
		return min(size, nameLimit+textLimit)
	case 'B', 'C':
		return min(size, 2*nameLimit)
	case 'E':
		return min(size, nameLimit+4)
	}
	return 0
}

func (c *client) ends() { c.Pass(0) }

func (c *client) garbled(first byte) {
	why := "bytes that are not PostgreSQL's protocol"
	if c.untyped && first == tlsHandshake {
		why = "TLS"
	}
	c.opaque(why)
}

func (c *client) look(kind byte, body []byte) {
	if c.untyped {
		c.startup(body)
		return
	}
	switch kind {
	case 'Q':
		c.query(body)
	case 'P':
		if name, rest, ok := cstring(body); ok {
			c.parse(name, untilZero(rest))
		}
	case 'B':
		c.bound(body)
	case 'C':
		c.closed(body)
	case 'E':
		c.execute(body)
	case 'S':
		if !c.copying {
			c.awaited++
		}
	case 'F': // a function call, the old fast path
		c.awaited++
	case 'c', 'f': // the data of a COPY ends
		c.copying = false
	}
}

// startup looks at a startup packet. A request for encryption is refused while there are rules, for they need to see what
// is said; the client goes on without, or says why it will not.
func (c *client) startup(body []byte) {
	switch code := binary.BigEndian.Uint32(body); {
	case code == sslRequest || code == gssEncRequest:
		if len(c.seat.Rules()) > 0 {
			c.Drop()
			c.out.Pass(intercept.Down, []byte{'N'}, 0)
			return
		}
		c.server.encryption = true
	case code == cancelRequest:
		c.seat.Idle()
	case code>>16 != 3:
		c.opaque(fmt.Sprintf("version %d of the protocol", code>>16))
	case replicates(body[4:]):
		c.seat.Idle()
	default:
		c.untyped = false
		c.awaited = 1 // after the authentication
	}
}

// replicates says whether a startup packet asks for a connection that replicates.
func replicates(parameters []byte) bool {
	for {
		key, rest, ok := cstring(parameters)
		if !ok || key == "" {
			return false
		}
		value := untilZero(rest)
		if key == "replication" {
			return string(value) != "false" && string(value) != "off" && string(value) != "no" && string(value) != "0"
		}
		if len(value) == len(rest) {
			return false
		}
		parameters = rest[len(value)+1:]
	}
}

func (c *client) bound(body []byte) {
	portal, rest, ok := cstring(body)
	if !ok {
		return
	}
	if statement, _, ok := cstring(rest); ok {
		c.bind(portal, statement)
	} else {
		c.closePortal(portal)
	}
}

func (c *client) closed(body []byte) {
	if len(body) == 0 {
		return
	}
	name, _, ok := cstring(body[1:])
	switch {
	case !ok:
	case body[0] == 'S':
		c.forget(name)
	default:
		c.closePortal(name)
	}
}

func (c *client) query(body []byte) {
	text := untilZero(body)
	c.scratch = split(c.scratch[:0], text)
	c.simple = true
	c.awaited++
	c.command(command{text: text, known: true, statements: c.scratch}, func(token string) []byte {
		return encode(&queryMessage{String: token})
	})
}

func (c *client) execute(body []byte) {
	c.simple = false
	portal, _, ok := cstring(body)
	if !ok {
		c.command(command{}, nil)
		return
	}
	c.command(c.prepared.command(portal), func(token string) []byte {
		return encode(&executeMessage{Portal: token})
	})
}

// command holds a command against the rules. Failing makes the message that takes its place when it is to fail.
func (c *client) command(cmd command, failing func(token string) []byte) {
	c.count++
	var delayed, failed, cut *rule
	var delay time.Duration
	for _, r := range c.judges() {
		r.Saw()
		if !r.Match.command(cmd, c.block) || !r.Picks(c.seat, c.count) {
			continue
		}
		switch {
		case r.Match.Delay > 0:
			delay += r.Match.Delay.D()
			delayed = r
			r.Acted()
		case r.Match.Error != nil && failed == nil && failing != nil && len(c.pending) < pendingLimit:
			failed = r
		case r.Match.Error == nil && cut == nil:
			cut = r
		}
	}
	var at time.Duration
	if delayed != nil {
		at = c.now + delay
	}
	switch {
	case cut != nil:
		cut.Acted()
		c.cut()
		return
	case failed != nil:
		token := c.in.token()
		c.pending[token] = failed
		c.Drop()
		c.Insert(failing(token), at)
		return
	}
	if c.Holds() {
		c.Pass(at)
	}
	for _, s := range cmd.statements {
		c.block.run(s)
	}
	if !cmd.known && c.block.open {
		c.block.commands++ // one that was prepared out of sight
	}
}

// judges are the rules about commands, if the present message waited for them from its first byte.
func (c *client) judges() iter.Seq2[int, *rule] {
	return func(yield func(int, *rule) bool) {
		if !c.Holds() {
			return
		}
		for i, r := range c.seat.Rules() {
			if !r.Match.onAnswers() && !yield(i, r) {
				return
			}
		}
	}
}

// untilZero is what stands before the first zero byte, or all.
func untilZero(b []byte) []byte {
	for i, c := range b {
		if c == 0 {
			return b[:i]
		}
	}
	return b
}
