package intercepttest

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"shakedown/chaos/proxy/intercept"
	"shakedown/internal/clock"
)

// Relay stands between clients and a server, with a filter of the inspector on every connection, until the test ends. It
// returns where it listens.
func Relay(t testing.TB, in intercept.Inspector, network, address string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{inspector: in, network: network, address: address, open: map[*wire]struct{}{}, stop: make(chan struct{})}
	t.Cleanup(func() {
		_ = ln.Close()
		close(r.stop)
		r.closeAll()
		r.wg.Wait()
	})
	r.wg.Go(func() { r.accept(ln) })
	r.wg.Go(r.wake)
	return ln.Addr().String()
}

type relay struct {
	inspector        intercept.Inspector
	network, address string
	stop             chan struct{}
	wg               sync.WaitGroup

	mu   sync.Mutex
	open map[*wire]struct{}
	done bool
}

func (r *relay) accept(ln net.Listener) {
	for n := uint64(0); ; n++ {
		client, err := ln.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial(r.network, r.address)
		if err != nil {
			_ = client.Close()
			continue
		}
		w := newWire(client, server, r.inspector.Open(n))
		r.mu.Lock()
		r.open[w] = struct{}{}
		if r.done {
			w.end(true)
		}
		r.mu.Unlock()
		r.wg.Go(func() {
			w.run()
			r.mu.Lock()
			delete(r.open, w)
			r.mu.Unlock()
		})
	}
}

func (r *relay) closeAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done = true
	for w := range r.open {
		w.end(true)
	}
}

// wake wakes every filter again and again, in place of a proxy that is told when rules change.
func (r *relay) wake() {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-r.stop:
			return
		case <-tick.C:
		}
		if r.inspector.Acknowledged() {
			continue
		}
		r.mu.Lock()
		for w := range r.open {
			w.wake()
		}
		r.mu.Unlock()
	}
}

// A wire is one connection through the relay.
type wire struct {
	ends [2]net.Conn // by way: who receives
	once sync.Once

	mu     sync.Mutex // the filter, and what it passes
	filter intercept.Filter
	queues [2]chan piece // by way
	cut    bool
}

// A piece is bytes, the end of a way, or the end of the connection.
type piece struct {
	data   []byte
	at     time.Duration
	end    bool
	cut    bool // the connection ends once the other way has come here too
	finish bool
}

// queueLen bounds the pieces under way; a wire of a test never comes near.
const queueLen = 1 << 16

func newWire(client, server net.Conn, f intercept.Filter) *wire {
	return &wire{
		ends: [2]net.Conn{intercept.Up: server, intercept.Down: client}, filter: f,
		queues: [2]chan piece{make(chan piece, queueLen), make(chan piece, queueLen)},
	}
}

func (w *wire) run() {
	var reading, writing, meeting sync.WaitGroup
	meeting.Add(2)
	for way := range w.ends {
		reading.Go(func() { w.read(intercept.Way(way)) })
		writing.Go(func() { w.write(intercept.Way(way), &meeting) })
	}
	reading.Wait()
	w.mu.Lock()
	w.cut = true // nothing is passed any more
	for _, q := range w.queues {
		close(q)
	}
	w.mu.Unlock()
	writing.Wait()
	w.end(false)
	w.filter.Close()
}

// read feeds the filter with what the sender of a way sends.
func (w *wire) read(way intercept.Way) {
	buf := make([]byte, 16<<10)
	src := w.ends[1-way]
	for {
		n, err := src.Read(buf)
		w.mu.Lock()
		if n > 0 && !w.cut {
			w.filter.Feed(clock.Now(), way, buf[:n], w)
		}
		if err != nil {
			if !w.cut && errors.Is(err, io.EOF) {
				w.filter.End(clock.Now(), way, w)
				w.queues[way] <- piece{end: true}
			}
			w.mu.Unlock()
			if !errors.Is(err, io.EOF) {
				w.end(true)
			}
			return
		}
		w.mu.Unlock()
	}
}

// write sends what the filter passes.
func (w *wire) write(way intercept.Way, meeting *sync.WaitGroup) {
	meet := sync.OnceFunc(meeting.Done)
	defer meet()
	dst := w.ends[way]
	for p := range w.queues[way] {
		if wait := p.at - clock.Now(); p.at > 0 && wait > 0 {
			time.Sleep(wait)
		}
		switch {
		case p.cut || p.finish:
			meet()
			meeting.Wait() // both ways have sent what was passed
			w.end(p.cut)
		case p.end:
			_ = dst.(interface{ CloseWrite() error }).CloseWrite()
		default:
			if _, err := dst.Write(p.data); err != nil {
				w.end(true)
			}
		}
	}
}

func (w *wire) wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.cut {
		w.filter.Wake(clock.Now(), w)
	}
}

// end closes both ends, with a RST when the stream was cut.
func (w *wire) end(cut bool) {
	w.once.Do(func() {
		for _, c := range w.ends {
			if tcp, ok := c.(*net.TCPConn); ok && cut {
				_ = tcp.SetLinger(0)
			}
			_ = c.Close()
		}
	})
}

// Pass queues a copy.
func (w *wire) Pass(way intercept.Way, data []byte, notBefore time.Duration) {
	w.queues[way] <- piece{data: append([]byte(nil), data...), at: notBefore}
}

// Cut ends the connection with a RST once both ways are sent.
func (w *wire) Cut() { w.close(piece{cut: true}) }

// Finish ends it with a FIN.
func (w *wire) Finish() { w.close(piece{finish: true}) }

func (w *wire) close(p piece) {
	w.cut = true
	for _, q := range w.queues {
		q <- p
	}
}

// WakeAt wakes the filter at a time.
func (w *wire) WakeAt(at time.Duration) { time.AfterFunc(at-clock.Now(), w.wake) }
