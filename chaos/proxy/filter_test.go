package proxy

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"shakedown/chaos"
	"shakedown/chaos/proxy/intercept"
	"shakedown/internal/units"
)

// shout is a protocol of lines, which it passes on in capitals. Some are commands.
type shout struct {
	mu      sync.Mutex
	rules   map[string]chaos.Rule
	opened  int
	closed  int
	version int
	seen    map[*shouter]int
}

var _ intercept.Inspector = (*shout)(nil)

func (s *shout) Open(uint64) intercept.Filter {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened++
	f := &shouter{in: s}
	s.seen[f] = -1
	return f
}

func (s *shout) SetRule(id string, r chaos.Rule) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules[id] = r
	s.version++
	return nil
}

func (s *shout) ClearRule(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.rules, id)
	s.version++
}

func (s *shout) Acknowledged() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.seen {
		if v != s.version {
			return false
		}
	}
	return true
}

func (s *shout) Counters(id string) (chaos.RuleCounters, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.rules[id]
	return chaos.RuleCounters{}, ok
}

func (s *shout) Rules() map[string]chaos.Rule { return nil }

type shouter struct {
	in      *shout
	partial [2][]byte
	later   []byte
}

func (f *shouter) Feed(now time.Duration, way intercept.Way, data []byte, out intercept.Out) {
	f.partial[way] = append(f.partial[way], data...)
	for {
		line, rest, ok := bytes.Cut(f.partial[way], []byte("\n"))
		if !ok {
			return
		}
		f.line(now, way, append(bytes.ToUpper(line), '\n'), out)
		f.partial[way] = rest
	}
}

func (f *shouter) line(now time.Duration, way intercept.Way, line []byte, out intercept.Out) {
	if way == intercept.Down { // commands are the client's
		out.Pass(way, line, 0)
		return
	}
	switch string(line) {
	case "CUT\n":
		out.Pass(intercept.Down, []byte("last words\n"), 0)
		out.Cut()
	case "FINISH\n":
		out.Pass(intercept.Down, []byte("goodbye\n"), 0)
		out.Finish()
	case "ANSWER\n":
		out.Pass(intercept.Down, []byte("not from the server\n"), 0)
	case "LATER\n":
		out.Pass(way, line, now+20*time.Millisecond)
	case "WAKE\n":
		f.later = bytes.Clone(line)
		out.WakeAt(now + 20*time.Millisecond)
	default:
		out.Pass(way, line, 0)
	}
}

func (f *shouter) End(_ time.Duration, way intercept.Way, out intercept.Out) {
	out.Pass(way, f.partial[way], 0)
}

func (f *shouter) Wake(_ time.Duration, out intercept.Out) {
	out.Pass(intercept.Up, f.later, 0)
	f.later = nil
	f.in.mu.Lock()
	defer f.in.mu.Unlock()
	f.in.seen[f] = f.in.version
}

func (f *shouter) Close() {
	f.in.mu.Lock()
	defer f.in.mu.Unlock()
	f.in.closed++
	delete(f.in.seen, f)
}

// shouting is a link of that protocol, which the redis one stands in for.
func shouting(t *testing.T) (*Link, *shout) {
	t.Helper()
	s := &shout{rules: map[string]chaos.Rule{}, seen: map[*shouter]int{}}
	p, err := New(WithInspectors(Inspectors{chaos.Redis: func(string) intercept.Inspector { return s }}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Close()
		if s.opened != s.closed {
			t.Errorf("%d filters were opened and %d closed", s.opened, s.closed)
		}
	})
	l, err := p.Create(t.Context(), Spec{Name: "a→b", Address: echoServer(t, "tcp", "127.0.0.1:0"), Protocol: chaos.Redis})
	if err != nil {
		t.Fatal(err)
	}
	return l, s
}

func TestAFilterStandsBetweenTheSocketsAndTheRings(t *testing.T) {
	for name, e := range map[string]chaos.Effect{"alone": {}, "delayed": {Delay: units.Millisecond}, "sliced": {SliceBytes: 3}} {
		t.Run(name, func(t *testing.T) {
			l, _ := shouting(t)
			shape(t, l, "e", e)
			c := dialLink(t, l)
			patiently(t, c)
			_, _ = io.WriteString(c, "hel")
			_, _ = io.WriteString(c, "lo\nyou\nanswer\n")
			got := make([]byte, len("HELLO\nYOU\nNOT FROM THE SERVER\n"))
			if _, err := io.ReadFull(c, got); err != nil {
				t.Fatal(err)
			}
			// The answer of the filter overtakes those of the server.
			text := strings.ToUpper(string(got))
			if !strings.Contains(text, "HELLO\nYOU\n") || !strings.Contains(text, "NOT FROM THE SERVER\n") {
				t.Errorf("got %q", got)
			}
			_, _ = io.WriteString(c, "a rest")
			_ = c.CloseWrite()
			if rest, err := io.ReadAll(c); string(rest) != "a rest" || err != nil {
				t.Errorf("got %q, %v", rest, err)
			}
		})
	}
}

func TestAFilterEndsConnections(t *testing.T) {
	for name, e := range map[string]chaos.Effect{"alone": {}, "delayed": {Delay: units.Millisecond}} {
		t.Run(name, func(t *testing.T) {
			l, _ := shouting(t)
			shape(t, l, "e", e)
			c := dialLink(t, l)
			patiently(t, c)
			_, _ = io.WriteString(c, "finish\nnever seen\n")
			if got, err := io.ReadAll(c); string(got) != "goodbye\n" || err != nil {
				t.Errorf("finishing: %q, %v", got, err)
			}
			c = dialLink(t, l)
			patiently(t, c)
			_, _ = io.WriteString(c, "cut\n")
			if got, err := io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("cutting: %q, %v", got, err)
			}
		})
	}
}

func TestAFilterTakesItsTime(t *testing.T) {
	l, _ := shouting(t)
	for _, line := range []string{"LATER\n", "WAKE\n"} {
		c := dialLink(t, l)
		patiently(t, c)
		start := time.Now()
		_, _ = io.WriteString(c, line)
		_ = c.CloseWrite() // the end follows what the filter has
		if got, err := io.ReadAll(c); string(got) != line || err != nil || time.Since(start) < 20*time.Millisecond {
			t.Errorf("%q: %q, %v after %s", line, got, err, time.Since(start))
		}
	}
}

func TestEveryLiveConnectionHasAcknowledgedARule(t *testing.T) {
	l, s := shouting(t)
	for range 20 {
		c := dialLink(t, l)
		_, _ = io.WriteString(c, "x\n")
		receive(t, c, "X\n")
	}
	r := chaos.Rule{Redis: &chaos.RedisRule{Error: "READONLY"}}
	if err := l.SetRule(t.Context(), "r", r); err != nil {
		t.Fatal(err)
	}
	if !s.Acknowledged() || len(s.seen) != 20 {
		t.Errorf("%v", s.seen)
	}
	if _, err := l.RuleCounters(t.Context(), "r"); err != nil {
		t.Error(err)
	}
	if err := l.ClearRule(t.Context(), "r"); err != nil || !s.Acknowledged() {
		t.Error(err)
	}
	if _, err := l.RuleCounters(t.Context(), "r"); err == nil {
		t.Error("a rule that is gone has counters")
	}
	r = chaos.Rule{HTTP: &chaos.HTTPRule{Answer: &chaos.HTTPAnswer{Status: 503}}}
	if err := l.SetRule(t.Context(), "r", r); err == nil {
		t.Error("a rule of another protocol was accepted")
	}
	if err := newTestLink(t, "tcp", "127.0.0.1:1").SetRule(t.Context(), "r", r); err == nil {
		t.Error("a link that knows bytes only accepted a rule")
	}
	if _, err := l.proxy.Create(t.Context(), Spec{Name: "x", Address: "127.0.0.1:1", Protocol: "gopher"}); err == nil {
		t.Error("an unknown protocol was accepted")
	}
}
