package intercepttest

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"shakedown/chaos"
	"shakedown/chaos/proxy/intercept"
)

// A Script is what passed on a connection, in order: pieces of its two ways. It is stored as one byte for the way, two for
// the length, and the bytes, again and again, so that any bytes are a script.
type Script []Piece

// A Piece is what arrived at once on one way.
type Piece struct {
	Way  intercept.Way
	Data []byte
}

// Parse reads a script. What is missing at the end is left out.
func Parse(stored []byte) (s Script) {
	for len(stored) >= 3 {
		n := min(int(binary.BigEndian.Uint16(stored[1:])), len(stored)-3)
		s = append(s, Piece{intercept.Way(stored[0] & 1), stored[3 : 3+n]})
		stored = stored[3+n:]
	}
	return s
}

// Bytes is the stored form.
func (s Script) Bytes() (stored []byte) {
	for _, p := range s {
		for rest := p.Data; len(rest) > 0; {
			n := min(len(rest), 1<<16-1)
			stored = append(stored, byte(p.Way))
			stored = binary.BigEndian.AppendUint16(stored, uint16(n))
			stored = append(stored, rest[:n]...)
			rest = rest[n:]
		}
	}
	return stored
}

// said is all that was said on a way.
func (s Script) said(way intercept.Way) (all []byte) {
	for _, p := range s {
		if p.Way == way {
			all = append(all, p.Data...)
		}
	}
	return all
}

// play feeds a filter, in pieces of at most so many bytes, and ends both ways.
func (s Script) play(f intercept.Filter, piece int, after func()) *Tape {
	t := &Tape{Filter: f, Now: time.Hour}
	for _, p := range s {
		t.Feed(p.Way, p.Data, piece)
		if after != nil {
			after()
		}
	}
	t.End(intercept.Up)
	t.End(intercept.Down)
	f.Close()
	return t
}

// transparent checks that a filter without rules passes every byte, whatever the bytes and wherever they are cut.
func transparent(t *testing.T, s Script, open func() intercept.Filter) {
	t.Helper()
	for _, piece := range []int{0, 1, 7} {
		got := s.play(open(), piece, nil)
		if got.Ended != "" {
			t.Fatalf("in pieces of %d: a filter without rules %s the connection", piece, got.Ended)
		}
		for _, way := range []intercept.Way{intercept.Up, intercept.Down} {
			if want := s.said(way); !bytes.Equal(got.Passed[way], want) {
				t.Fatalf("in pieces of %d, way %d:\n%q was made of\n%q", piece, way, got.Passed[way], want)
			}
		}
	}
}

// same checks that a filter does the same wherever the bytes are cut, and keeps no more than limit of them. Kept tells how
// much a filter keeps.
func same(t *testing.T, s Script, open func() intercept.Filter, limit int, kept func(intercept.Filter) int) {
	t.Helper()
	whole := open()
	want := s.play(whole, 0, func() {
		if n := kept(whole); n > limit {
			t.Fatalf("it keeps %d bytes, more than %d", n, limit)
		}
	})
	for _, piece := range []int{1, 5} {
		got := s.play(open(), piece, nil)
		if got.Ended != want.Ended || got.Up() != want.Up() || got.Down() != want.Down() {
			t.Fatalf("in pieces of %d:\n%q\n%q %s\nis not what it is at once:\n%q\n%q %s",
				piece, got.Up(), got.Down(), got.Ended, want.Up(), want.Down(), want.Ended)
		}
	}
}

// addScripts makes the recorded scripts in testdata seeds of a fuzz test.
func addScripts(f *testing.F) {
	f.Helper()
	files, err := filepath.Glob("testdata/*.script")
	if err != nil || len(files) == 0 {
		f.Fatalf("no recorded scripts: %v", err)
	}
	for _, name := range files {
		stored, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(stored)
	}
}

// A Recorder is an inspector that passes everything, and keeps it.
type Recorder struct {
	mu      sync.Mutex
	scripts []*Script
}

var _ intercept.Inspector = (*Recorder)(nil)

// Open starts a script.
func (r *Recorder) Open(uint64) intercept.Filter {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := new(Script)
	r.scripts = append(r.scripts, s)
	return &recording{recorder: r, script: s}
}

// Store looks whether something was recorded of every connection and can be read back, and writes it where it is to be kept, one file a connection.
func (r *Recorder) Store(t *testing.T, name string, keep bool) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.scripts) == 0 {
		t.Fatal("nothing was recorded")
	}
	for i, s := range r.scripts {
		again := Parse(s.Bytes())
		for _, way := range []intercept.Way{intercept.Up, intercept.Down} {
			if said := s.said(way); len(said) == 0 || !bytes.Equal(said, again.said(way)) {
				t.Fatalf("connection %d, way %v: %d bytes were recorded, and %d read back", i, way, len(said), len(again.said(way)))
			}
		}
		if !keep {
			continue
		}
		file := filepath.Join("testdata", name+"-"+string(rune('a'+i))+".script")
		if err := os.WriteFile(file, s.Bytes(), 0o644); err != nil { //nolint:gosec // it is read by everybody
			t.Fatal(err)
		}
	}
}

// SetRule does nothing, as the others.
func (*Recorder) SetRule(string, chaos.Rule) error { return nil }

// ClearRule does nothing.
func (*Recorder) ClearRule(string) {}

// Acknowledged is true.
func (*Recorder) Acknowledged() bool { return true }

// Counters has none.
func (*Recorder) Counters(string) (c chaos.RuleCounters, ok bool) { return c, false }

// Rules has none.
func (*Recorder) Rules() map[string]chaos.Rule { return nil }

type recording struct {
	recorder *Recorder
	script   *Script
}

func (r *recording) Feed(_ time.Duration, way intercept.Way, data []byte, out intercept.Out) {
	r.recorder.mu.Lock()
	*r.script = append(*r.script, Piece{way, bytes.Clone(data)})
	r.recorder.mu.Unlock()
	out.Pass(way, data, 0)
}

func (*recording) End(time.Duration, intercept.Way, intercept.Out) {}
func (*recording) Wake(time.Duration, intercept.Out)               {}
func (*recording) Close()                                          {}
