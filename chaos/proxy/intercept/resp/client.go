package resp

import (
	"bytes"
	"slices"
	"time"

	"shakedown/chaos/proxy/intercept"
)

// A client is the way from the client to the server: commands.
type client struct {
	*filter
	intercept.Flow
	header header

	state   state
	left    int64 // arguments to come
	size    int64 // of the argument at hand, its end included, to come
	args    [][]byte
	arg     []byte // of the argument at hand
	judged  bool
	count   uint64 // commands of the connection
	multi   bool   // within MULTI
	dirty   bool   // and a command has failed there
	resp3   bool
	leaving bool // the connection will carry no commands
}

type state uint8

const (
	between  state = iota // commands
	counting              // reading how many arguments there are
	sizing                // reading how long the next one is
	reading               // it
	inline                // reading a command that is a line of words
)

const tlsHandshake = 0x16 // the first byte of TLS (RFC 8446, 5.1)

func (c *client) follows() bool { return !c.dead && !c.leaving }

func (c *client) read() {
	for c.follows() && len(c.Rest()) > 0 {
		switch c.state {
		case between:
			c.begin()
		case counting, sizing:
			c.readHeader()
		case reading:
			c.readArgument()
		case inline:
			c.readInline()
		}
	}
}

func (c *client) begin() {
	first := c.Rest()[0]
	if first == tlsHandshake {
		c.opaque("TLS")
		return
	}
	if len(c.seat.Rules()) > 0 || c.dirty {
		c.Hold()
	}
	c.args, c.judged = c.args[:0], false
	c.state = counting
	if first != '*' {
		c.state = inline
	}
}

func (c *client) readHeader() {
	n, line, ok, none := c.header.add(c.Rest())
	c.Take(n)
	if none {
		c.opaque("bytes that are not Redis' protocol")
		return
	}
	if !ok {
		return
	}
	prefix := byte('$')
	if c.state == counting {
		prefix = '*'
	}
	number, ok := number(bytes.TrimPrefix(line, []byte{prefix}))
	switch {
	case !ok || len(line) == 0 || line[0] != prefix || c.state == sizing && number < 0:
		c.opaque("bytes that are not Redis' protocol")
	case c.state == counting && number <= 0:
		c.end() // the server does not answer it
	case c.state == counting:
		c.left, c.state = number, sizing
	default:
		c.size, c.state, c.arg = number+2, reading, nil
	}
}

func (c *client) readArgument() {
	taken := c.Take(int(min(c.size, int64(len(c.Rest())))))
	c.size -= int64(len(taken))
	if !c.judged && len(c.args) < argsKept {
		c.arg = append(c.arg, taken[:min(len(taken), max(argLimit+3-len(c.arg), 0))]...)
	}
	if !c.judged && c.Held() > waitLimit {
		c.judge(true)
	}
	if c.size > 0 {
		return
	}
	c.left--
	c.state = sizing
	if !c.judged {
		c.args = append(c.args, argumentOf(c.arg))
		c.judge(c.left == 0 || len(c.args) == argsKept)
	}
	if c.left == 0 {
		c.end()
	}
}

// argumentOf cuts its end off. One that was too long to be kept is nil, and matches nothing.
func argumentOf(arg []byte) []byte {
	if len(arg) > argLimit+2 {
		return nil
	}
	return arg[:len(arg)-2]
}

// readInline reads a line of words, which Redis takes for a command too.
func (c *client) readInline() {
	n := bytes.IndexByte(c.Rest(), '\n') + 1
	whole := n > 0
	if !whole {
		n = len(c.Rest())
	}
	taken := c.Take(n)
	if len(c.arg) < argLimit {
		c.arg = append(c.arg, taken[:min(n, argLimit-len(c.arg))]...)
	}
	if !whole && c.Held() <= waitLimit {
		return
	}
	if !c.judged {
		words := bytes.Fields(c.arg)
		c.args = append(c.args, words[:min(len(words), argsKept)]...)
		if len(c.args) > 0 {
			c.judge(true)
		}
	}
	if whole {
		c.end()
	}
}

// end is the end of a command.
func (c *client) end() {
	c.Pass(0)
	c.state, c.arg = between, nil
}

// judge decides about the command as soon as its name and key are known; at last, with what is known.
func (c *client) judge(last bool) {
	name := ""
	if len(c.args) > 0 {
		name = string(bytes.ToUpper(c.args[0]))
	}
	wanted := c.Holds() && slices.ContainsFunc(c.seat.Rules(), func(r *rule) bool {
		return (r.Match.Key != "" || r.Match.Error != "") && r.Match.command(name)
	})
	var key []byte
	if len(c.args) > 0 && wanted {
		var done bool
		if key, done = keyOf(c.args); !done && !last {
			return
		}
	}
	if second := name == "CLIENT" || name == "HELLO"; second && len(c.args) < 3 && !last {
		return // what these do is in their arguments
	}
	c.judged = true
	c.count++
	c.decide(name, key)
}

// decide holds a command against the rules.
func (c *client) decide(name string, key []byte) {
	var failed *rule
	var at time.Duration
	if c.Holds() {
		for _, r := range c.seat.Rules() {
			r.Saw()
			if !r.Match.matches(name, key) || !r.Picks(c.seat, c.count) {
				continue
			}
			switch {
			case r.Match.Delay > 0:
				at = max(at, c.now) + r.Match.Delay.D()
				r.Acted()
			case failed == nil && len(c.answers) < answerLimit:
				failed = r
			}
		}
	}
	switch {
	case name == "EXEC" && c.multi && c.Holds() && (failed != nil || c.dirty):
		c.abort(failed, key)
	case failed != nil:
		c.dirty = c.dirty || c.multi
		c.Drop()
		c.answer(answer{after: c.sent, text: failed.Match.reply(key), rule: failed})
	default:
		if c.Holds() {
			c.Pass(at)
		}
		c.sends(name)
	}
}

// abort makes EXEC fail: the server discards what it has queued, and its answer to that is replaced.
func (c *client) abort(failed *rule, key []byte) {
	text := "EXECABORT Transaction discarded because of previous errors."
	if failed != nil {
		text = "EXECABORT Transaction discarded because of: " + failed.Match.reply(key)
	}
	c.Drop()
	c.Insert([]byte("*1\r\n$7\r\nDISCARD\r\n"), 0)
	c.answer(answer{after: c.sent, swap: true, text: text, rule: failed})
	c.sent++
	c.multi, c.dirty = false, false
}

// sends notes what a command that is passed on does to the connection.
func (c *client) sends(name string) {
	second := ""
	if len(c.args) > 1 {
		second = string(bytes.ToUpper(c.args[1]))
	}
	switch name {
	case "MULTI":
		c.multi = true
	case "EXEC", "DISCARD":
		c.multi, c.dirty = false, false
	case "RESET":
		c.multi, c.dirty, c.resp3 = false, false, false
	case "HELLO":
		c.resp3 = second == "3" || c.resp3 && second == ""
	case "SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE":
		if c.resp3 && !c.multi {
			return // each channel is confirmed by a push, and there is no reply
		}
		if !c.multi {
			c.leave()
		}
	case "MONITOR", "SYNC", "PSYNC":
		c.leave()
	case "CLIENT":
		if second == "REPLY" { // the server may go silent
			c.leaving = true
			c.seat.Opaque("CLIENT REPLY")
		}
	}
	c.sent++
}

// leave stops to follow a connection on which replies do not answer commands any more.
func (c *client) leave() {
	c.leaving = true
	c.seat.Idle()
}
