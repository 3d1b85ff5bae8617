package mix

import (
	"fmt"
	"strconv"
	"strings"

	"shakedown/bench"
)

// A template is a text with places: {{zipf FROM TO S}}, {{uniform FROM TO}}, {{sequential FROM TO}}, {{seq}}, {{pad N}} and {key}.
type template []segment

// A segment is text, or a place.
type segment struct {
	text []byte
	draw *bench.KeyDraw // nil: text, or one of the two below
	seq  bool           // the number of the arrival
	key  bool           // the key of the operation
}

// places are what a template may hold.
const places = "{{zipf FROM TO S}}, {{uniform FROM TO}}, {{sequential FROM TO}}, {{fixed N}}, {{seq}}, {{pad N}}"

const maxPad = 16 << 20

// parse understands a template; {key} is a place only where the operation has keys.
func parse(text string, keyed bool) (template, error) {
	var t template
	for text != "" {
		at, open, end := strings.Index(text, "{{"), "{{", "}}"
		if keyed {
			if k := strings.Index(text, "{key}"); k >= 0 && (at < 0 || k < at) {
				at, open, end = k, "{", "}"
			}
		}
		if at < 0 {
			return t.add(text), nil
		}
		t = t.add(text[:at])
		text = text[at+len(open):]
		inside, rest, ok := strings.Cut(text, end)
		if !ok {
			return nil, fmt.Errorf("%q is not closed with }}", clip(open+text))
		}
		text = rest
		if open == "{" {
			t = append(t, segment{key: true})
			continue
		}
		var err error
		if t, err = t.place(inside); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func clip(s string) string {
	const most = 40
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// add appends text.
func (t template) add(text string) template {
	if text == "" {
		return t
	}
	if n := len(t); n > 0 && t[n-1].text != nil {
		t[n-1].text = append(t[n-1].text, text...)
		return t
	}
	return append(t, segment{text: []byte(text)})
}

// place appends what is between {{ and }}.
func (t template) place(inside string) (template, error) {
	words := strings.Fields(inside)
	switch {
	case len(words) == 1 && words[0] == "seq":
		return append(t, segment{seq: true}), nil
	case len(words) == 2 && words[0] == "pad":
		n, err := strconv.Atoi(words[1])
		if err != nil || n < 0 || n > maxPad {
			return nil, fmt.Errorf("{{%s}}: pad takes a number of bytes, 0 to %d", clip(inside), maxPad)
		}
		return t.add(strings.Repeat("x", n)), nil
	}
	draw, err := drawOf(words)
	if err != nil {
		return nil, fmt.Errorf("{{%s}}: %w", clip(inside), err)
	}
	return append(t, segment{draw: draw}), nil
}

// drawOf understands a draw: its kind, and what it takes.
func drawOf(words []string) (*bench.KeyDraw, error) {
	if len(words) == 0 {
		return nil, fmt.Errorf("says nothing; there are %s", places)
	}
	number := func(i int) (int64, error) {
		n, err := strconv.ParseInt(words[i], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%q is not a whole number", words[i])
		}
		return n, nil
	}
	takes := map[string]int{"zipf": 3, "uniform": 2, "sequential": 2, "fixed": 1}
	n, ok := takes[words[0]]
	if !ok {
		return nil, fmt.Errorf("unknown; there are %s", places)
	}
	if len(words) != n+1 {
		return nil, fmt.Errorf("%s takes %d values, got %d", words[0], n, len(words)-1)
	}
	from, err := number(1)
	if err != nil {
		return nil, err
	}
	keys := bench.Keys{Dist: words[0], From: from}
	if n >= 2 {
		to, err := number(2)
		if err != nil {
			return nil, err
		}
		if keys.N = to - from + 1; to < from || keys.N <= 0 {
			return nil, fmt.Errorf("from %d to %d is no range", from, to)
		}
	}
	if n == 3 {
		if keys.S, err = strconv.ParseFloat(words[3], 64); err != nil {
			return nil, fmt.Errorf("%q is not a number", words[3])
		}
	}
	return keys.Draw()
}

// append fills the places for one arrival. The first draw is kept where there is no key yet.
func (t template) append(dst []byte, a *arrival) []byte {
	for i := range t {
		s := &t[i]
		switch {
		case s.draw != nil:
			dst = strconv.AppendInt(dst, a.draw(s.draw), 10)
		case s.key:
			dst = strconv.AppendInt(dst, a.key, 10)
		case s.seq:
			dst = strconv.AppendUint(dst, a.seq, 10)
		default:
			dst = append(dst, s.text...)
		}
	}
	return dst
}

// fixed says that every arrival gets the same text.
func (t template) fixed() bool {
	for _, s := range t {
		if s.text == nil {
			return false
		}
	}
	return true
}

// An arrival is what the templates of one request are filled from, in a fixed order.
type arrival struct {
	rng   bench.Rand
	seq   uint64
	key   int64
	keyed bool // key is known
}

func (a *arrival) draw(d *bench.KeyDraw) int64 {
	v := d.Key(&a.rng, a.seq)
	if !a.keyed {
		a.key, a.keyed = v, true
	}
	return v
}
