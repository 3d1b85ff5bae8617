package intercept

import "time"

// A Flow carries one way of a connection through a filter: each byte goes on, waits for a judgement, or is dropped. Bytes
// that go on are passed in the pieces in which they arrived, and copied only when they must wait for others to come.
type Flow struct {
	way Way
	// Of the present Feed: all bytes, and those of them from from to at that were taken and not yet passed.
	data     []byte
	from, at int
	out      Out

	mode      mode
	held      []byte // what waits since an earlier Feed
	notBefore time.Duration
}

type mode uint8

const (
	passing mode = iota
	holding
	dropping
)

// NewFlow is a flow on which everything passes.
func NewFlow(way Way) Flow { return Flow{way: way} }

// Begin starts to take bytes that arrived.
func (f *Flow) Begin(data []byte, out Out) { f.data, f.from, f.at, f.out = data, 0, 0, out }

// Finish ends what Begin began. To bytes that were not taken happens what happened to the last.
func (f *Flow) Finish() {
	f.Take(len(f.data) - f.at)
	if f.mode == holding {
		f.held = append(f.held, f.data[f.from:]...)
	}
	f.flush()
	f.data, f.from, f.at, f.out = nil, 0, 0, nil
}

// Rest is what has not been taken yet.
func (f *Flow) Rest() []byte { return f.data[f.at:] }

// Take takes n bytes, and returns them.
func (f *Flow) Take(n int) []byte {
	taken := f.data[f.at : f.at+n]
	f.at += n
	if f.mode == dropping {
		f.from = f.at
	}
	return taken
}

// Hold lets the bytes that follow wait.
func (f *Flow) Hold() {
	f.flush()
	f.mode = holding
}

// Holds says whether the bytes that were taken last wait, and Held how many do.
func (f *Flow) Holds() bool { return f.mode == holding }

// Held is how many bytes wait.
func (f *Flow) Held() int {
	if f.mode != holding {
		return 0
	}
	return len(f.held) + f.at - f.from
}

// Pass lets what waits and what follows go on, though not before a time; 0 is at once.
func (f *Flow) Pass(notBefore time.Duration) {
	if f.mode == holding {
		if len(f.held) > 0 {
			f.out.Pass(f.way, f.held, notBefore)
		}
		f.forget()
	} else if notBefore != f.notBefore {
		f.flush()
	}
	f.mode, f.notBefore = passing, notBefore
}

// Drop drops what waits and what follows.
func (f *Flow) Drop() {
	if f.mode == holding {
		f.forget()
		f.from = f.at
	}
	f.flush()
	f.mode = dropping
}

// Insert puts bytes of the filter's own at this place, to leave not before a time.
func (f *Flow) Insert(data []byte, notBefore time.Duration) {
	f.flush()
	f.out.Pass(f.way, data, notBefore)
}

// End lets what waits go on: nothing will come that could judge it.
func (f *Flow) End(out Out) {
	if f.mode == holding {
		f.Open(out)
	}
}

// Open lets what waits and what follows go on, at any time, also while the other way is fed.
func (f *Flow) Open(out Out) {
	if f.out != nil {
		f.Pass(0)
		return
	}
	f.out = out
	f.Pass(0)
	f.out = nil
}

// flush passes what was taken to go on.
func (f *Flow) flush() {
	if f.mode == passing && f.at > f.from {
		f.out.Pass(f.way, f.data[f.from:f.at], f.notBefore)
	}
	if f.mode != holding {
		f.from = f.at
	}
}

func (f *Flow) forget() {
	if cap(f.held) > 4<<10 { // rare, and a connection may live long
		f.held = nil
	}
	f.held = f.held[:0]
}
