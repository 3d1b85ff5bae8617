package mix

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"shakedown/bench"
)

// The protocols of operations.
const (
	HTTP     = "http"
	Postgres = "postgres"
	Redis    = "redis"
)

// An Op is one operation of a mix. It is of HTTP (Path), of PostgreSQL (SQL) or of Redis (Command); all texts but names may hold places.
type Op struct {
	Name   string     `json:"name,omitempty"`
	Weight float64    `json:"weight,omitempty"` // relative; 0 means 1
	Keys   bench.Keys `json:"keys,omitzero"`    // of {key}

	Method string            `json:"method,omitempty"` // empty: GET, or POST with a body
	Path   string            `json:"path,omitempty"`   // with the query, ready for the wire
	Header map[string]string `json:"header,omitempty"`
	Body   string            `json:"body,omitempty"`

	SQL  string   `json:"sql,omitempty"`
	Args []string `json:"args,omitempty"` // of $1, $2, …: draws such as zipf:1:1000:0.99, or values

	Command string `json:"command,omitempty"` // as redis-cli reads it
}

// A Mix is operations of one protocol that make sense.
type Mix struct {
	protocol string
	ops      []compiled
	pick     bench.Choice
}

// A compiled Op is ready to be filled.
type compiled struct {
	Op
	keys   *bench.KeyDraw // nil: the first draw of the templates is the key
	path   template
	header []field
	body   template
	args   []value
}

// New compiles operations; the error says which, and what is wrong with it.
func New(ops []Op) (*Mix, error) {
	if len(ops) == 0 {
		return nil, errors.New("there must be at least one request")
	}
	if len(ops) > math.MaxUint8 {
		return nil, fmt.Errorf("%d requests are too many; at most %d", len(ops), math.MaxUint8)
	}
	m := &Mix{}
	for i, op := range ops {
		if op.Name == "" {
			op.Name = fmt.Sprintf("request %d", i+1)
		}
		c, protocol, err := compile(op)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", op.Name, err)
		}
		for _, before := range m.ops {
			if before.Name == op.Name {
				return nil, fmt.Errorf("%s: two requests have this name", op.Name)
			}
		}
		if m.protocol != "" && protocol != m.protocol {
			return nil, fmt.Errorf("%s is of %s, and %s of %s; one load has one protocol", op.Name, protocol, m.ops[0].Name, m.protocol)
		}
		m.protocol = protocol
		m.ops = append(m.ops, c)
		weight := op.Weight
		if weight == 0 {
			weight = 1
		}
		m.pick.Add(weight)
	}
	return m, nil
}

// Protocol is HTTP, Postgres or Redis.
func (m *Mix) Protocol() string { return m.protocol }

// Names are the operations' names, in order of their bench.OpID.
func (m *Mix) Names() []string {
	names := make([]string, len(m.ops))
	for i, op := range m.ops {
		names[i] = op.Name
	}
	return names
}

func compile(op Op) (c compiled, protocol string, err error) {
	c = compiled{Op: op}
	if op.Weight < 0 || math.IsNaN(op.Weight) || math.IsInf(op.Weight, 0) {
		return c, "", fmt.Errorf("weight: must be a number ≥ 0, got %v", op.Weight)
	}
	keyed := op.Keys != bench.Keys{}
	if keyed {
		if c.keys, err = op.Keys.Draw(); err != nil {
			return c, "", fmt.Errorf("keys: %w", err)
		}
	}
	var said []string
	for protocol, text := range map[string]string{HTTP: op.Path, Postgres: op.SQL, Redis: op.Command} {
		if text != "" {
			said = append(said, protocol)
		}
	}
	if len(said) != 1 {
		return c, "", errors.New("says not what to ask: it needs one of path (HTTP), sql (PostgreSQL) and command (Redis)")
	}
	if said[0] != HTTP && (op.Method != "" || op.Header != nil || op.Body != "") {
		return c, "", fmt.Errorf("method, header and body are of HTTP, and this is %s", said[0])
	}
	if said[0] != Postgres && op.Args != nil {
		return c, "", fmt.Errorf("args are of sql, and this is %s", said[0])
	}
	switch said[0] {
	case HTTP:
		err = c.http(keyed)
	case Postgres:
		err = c.sql(keyed)
	default:
		err = c.command(keyed)
	}
	return c, said[0], err
}

// Requests are a mix's requests in one order, that of a seed. They are pure in the arrival's number, and safe for concurrent use.
type Requests struct {
	*Mix
	seed  uint64
	heads [][]head // of HTTP, by target and operation
}

// Requests draws requests by a seed. For HTTP the targets are those that arrivals go to, seq mod n.
func (m *Mix) Requests(seed uint64, targets ...Target) *Requests {
	r := &Requests{Mix: m, seed: seed}
	for _, t := range targets {
		r.heads = append(r.heads, m.headsFor(t))
	}
	return r
}

// Ops is how many operations there are.
func (r *Requests) Ops() int { return len(r.ops) }

// arrival begins what is drawn for arrival seq: its operation, and its key where the operation has keys.
func (r *Requests) arrival(seq uint64) (a arrival, at int) {
	a.seq = seq
	a.rng.Seed(r.seed, seq)
	at = r.pick.Of(&a.rng)
	if keys := r.ops[at].keys; keys != nil {
		a.key, a.keyed = keys.Key(&a.rng, seq), true
	}
	return a, at
}

// Next is the request of an arrival, for clients of package load: of a database only the operation, whose arguments AppendArgs gives.
func (r *Requests) Next(seq uint64) bench.Request {
	a, at := r.arrival(seq)
	op := &r.ops[at]
	req := bench.Request{Op: bench.OpID(at)}
	if r.protocol == HTTP {
		op.request(&req, &a)
	}
	req.Key = a.key
	return req
}

// AppendArgs are the arguments of an arrival's statement, int64 or string, or the words of its Redis command, string.
func (r *Requests) AppendArgs(dst []any, seq uint64) []any {
	a, at := r.arrival(seq)
	for i := range r.ops[at].args {
		dst = append(dst, r.ops[at].args[i].of(&a))
	}
	return dst
}

// SQL is an operation's statement.
func (r *Requests) SQL(op bench.OpID) string { return r.ops[op].SQL }

// A value is an argument: a number that is drawn, or a text.
type value struct {
	draw *bench.KeyDraw
	key  bool // the operation's
	text template
	same any // when it is always the same
}

func newValue(t template) value {
	v := value{text: t}
	switch {
	case len(t) == 1 && t[0].draw != nil:
		v.draw = t[0].draw
	case len(t) == 1 && t[0].key:
		v.key = true
	case t.fixed():
		v.same = string(t.append(nil, &arrival{}))
	}
	return v
}

func (v *value) of(a *arrival) any {
	switch {
	case v.same != nil:
		return v.same
	case v.key:
		return a.key
	case v.draw != nil:
		return a.draw(v.draw)
	default:
		return string(v.text.append(nil, a))
	}
}

// sql compiles a statement. An argument is a draw as flags have it, a text with places, or a text.
func (c *compiled) sql(keyed bool) error {
	for i, arg := range c.Args {
		words := strings.Split(arg, ":")
		if draw, err := drawOf(words); err == nil {
			c.args = append(c.args, value{draw: draw})
			continue
		} else if len(words) > 1 && kind(words[0]) {
			return fmt.Errorf("args: $%d, %q: %w", i+1, arg, err)
		}
		t, err := parse(arg, keyed)
		if err != nil {
			return fmt.Errorf("args: $%d: %w", i+1, err)
		}
		c.args = append(c.args, newValue(t))
	}
	return nil
}

func kind(word string) bool {
	switch word {
	case "zipf", "uniform", "sequential", "fixed":
		return true
	}
	return false
}

// command compiles a Redis command. Its words are text, always.
func (c *compiled) command(keyed bool) error {
	words, err := split(c.Command)
	if err != nil {
		return fmt.Errorf("command: %w", err)
	}
	for _, w := range words {
		t, err := parse(w, keyed)
		if err != nil {
			return fmt.Errorf("command: %w", err)
		}
		v := newValue(t)
		v.draw, v.key = nil, false
		c.args = append(c.args, v)
	}
	if c.args[0].same == nil {
		return errors.New("command: its first word must be the name of a command")
	}
	return nil
}

// split cuts a command into words as redis-cli does: at spaces, but for those in 'single quotes', "double quotes" and {{places}}.
func split(s string) ([]string, error) {
	var words []string
	for {
		if s = strings.TrimLeft(s, " \t\r\n"); s == "" {
			break
		}
		var word strings.Builder
		for s != "" && !strings.ContainsRune(" \t\r\n", rune(s[0])) {
			switch {
			case strings.HasPrefix(s, "{{"):
				end := strings.Index(s, "}}")
				if end < 0 {
					return nil, fmt.Errorf("%q is not closed with }}", clip(s))
				}
				word.WriteString(s[:end+2])
				s = s[end+2:]
			case s[0] == '\'' || s[0] == '"':
				rest, err := unquote(&word, s)
				if err != nil {
					return nil, err
				}
				s = rest
			default:
				word.WriteByte(s[0])
				s = s[1:]
			}
		}
		words = append(words, word.String())
	}
	if len(words) == 0 {
		return nil, errors.New("is empty")
	}
	return words, nil
}

// unquote reads a quoted stretch at the beginning of s; within, \ takes the next character as it is, and \n, \r and \t are what they are in C.
func unquote(word *strings.Builder, s string) (rest string, err error) {
	quote := s[0]
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == quote:
			return s[i+1:], nil
		case c == '\\' && i+1 < len(s):
			i++
			if n := strings.IndexByte("nrt", s[i]); n >= 0 && quote == '"' {
				word.WriteByte("\n\r\t"[n])
			} else {
				word.WriteByte(s[i])
			}
		default:
			word.WriteByte(c)
		}
	}
	return "", fmt.Errorf("%q: the quote is not closed", clip(s))
}
