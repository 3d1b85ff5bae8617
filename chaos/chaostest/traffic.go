package chaostest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const (
	connsPerLink = 3
	messageBytes = 512
	window       = 4 // messages under way on a connection
	// A short connection ends after so many messages; the others stay until the end.
	shortMessages = 50
	// pace is how long a client rests after a window of messages, or an exchange. It leaves the machine to the faults, and to the other
	// tests: what is tried is whether traffic meets a fault, and not how much of it passes.
	pace = 5 * time.Millisecond
	// silence is how long a client waits for the next byte where connections may be forgotten.
	silence = 500 * time.Millisecond
	// flippedBytes bounds how many bytes of a message may be wrong where bits are flipped; other bytes in their place, as of
	// a lost or doubled piece, would be wrong nearly everywhere.
	flippedBytes = 16
)

// A way is one that connections take to a server that echoes.
type way func() (net.Conn, error)

// exchanges is traffic on some ways: each connection sends a pseudo-random stream and expects it back.
type exchanges struct {
	effects func(context.Context) (int64, error) // that traffic has met
	excused Harm
	refused atomic.Int64
	mark    int64 // what was met before
	stop    atomic.Bool
	clients sync.WaitGroup

	mu   sync.Mutex
	errs []error
	open map[net.Conn]struct{}
}

func startTraffic(t *testing.T, ways []way, effects func(context.Context) (int64, error), excused Harm) *exchanges {
	t.Helper()
	e := &exchanges{effects: effects, excused: excused, open: map[net.Conn]struct{}{}}
	for i, w := range ways {
		for j := range connsPerLink {
			e.clients.Go(func() { e.client(w, uint64(i*connsPerLink+j), j == 0) })
		}
	}
	t.Cleanup(func() { // when the test gave up before Stop
		e.stop.Store(true)
		e.closeAll()
		e.clients.Wait()
	})
	return e
}

// Mark remembers what was met until now. It belongs to the caller of Meet.
func (e *exchanges) Mark(ctx context.Context) (err error) {
	e.mark, err = e.met(ctx)
	return err
}

// Meet returns once the counters of a link, or a refused connection, show that traffic met an effect.
func (e *exchanges) Meet(ctx context.Context) error {
	return poll(ctx, func() (bool, error) {
		n, err := e.met(ctx)
		return n > e.mark, err
	})
}

func (e *exchanges) met(ctx context.Context) (int64, error) {
	n, err := e.effects(ctx)
	return n + e.refused.Load(), err
}

// Stop ends the exchange after the message that each connection is at, and waits until all that was sent is back.
func (e *exchanges) Stop(ctx context.Context) error {
	e.stop.Store(true)
	cut := context.AfterFunc(ctx, e.closeAll)
	defer cut()
	e.clients.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	return errors.Join(e.errs...)
}

func (e *exchanges) closeAll() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for c := range e.open {
		_ = c.Close()
	}
}

// client exchanges until told to stop: on one connection, or on one after the other when they are short or cut.
func (e *exchanges) client(w way, seed uint64, short bool) {
	for again := true; again; again = !e.stop.Load() {
		wrong, err := e.once(w, seed, short)
		if err != nil && (wrong || e.excused&(Cuts|Forgets) == 0) {
			e.mu.Lock()
			e.errs = append(e.errs, fmt.Errorf("connection %d: %w", seed, err))
			e.mu.Unlock()
			return
		}
		if err != nil {
			time.Sleep(time.Millisecond) // a link that resets would be dialled in a tight loop
		}
	}
}

// once is one connection. An error with wrong set is a wrong byte, which nothing excuses.
func (e *exchanges) once(w way, seed uint64, short bool) (wrong bool, err error) {
	conn, err := w()
	if err != nil {
		if errors.Is(err, syscall.ECONNREFUSED) {
			e.refused.Add(1)
		}
		return false, err
	}
	e.mu.Lock()
	e.open[conn] = struct{}{}
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		delete(e.open, conn)
		e.mu.Unlock()
		_ = conn.Close()
	}()
	tokens := make(chan struct{}, window)
	gone := make(chan struct{}) // closed when nobody reads any more
	sent := make(chan sendResult, 1)
	go func() { sent <- e.send(conn.(*net.TCPConn), seed, short, tokens, gone) }()
	got, wrong, err := e.receive(conn, seed, tokens)
	close(gone)
	if err != nil {
		_ = conn.Close() // the sender has nobody to send to
	}
	out := <-sent
	if err == nil && out.err == nil && got != out.bytes {
		return got > out.bytes, fmt.Errorf("%d bytes were sent and %d came back", out.bytes, got)
	}
	return wrong, errors.Join(err, out.err)
}

type sendResult struct {
	bytes int64
	err   error
}

// send writes the stream, at most a window ahead of what came back, and at the end closes its half.
func (e *exchanges) send(conn *net.TCPConn, seed uint64, short bool, tokens chan<- struct{}, gone <-chan struct{},
) (r sendResult) {
	stream := rand.NewChaCha8([32]byte{byte(seed)})
	msg := make([]byte, messageBytes)
	for n := 0; n == 0 || !e.stop.Load() && (!short || n < shortMessages); n++ {
		select {
		case tokens <- struct{}{}:
		case <-gone:
			return r
		}
		if n%window == 0 {
			time.Sleep(pace)
		}
		_, _ = stream.Read(msg) // never fails
		n, err := conn.Write(msg)
		r.bytes += int64(n)
		if err != nil {
			r.err = err
			return r
		}
	}
	r.err = conn.CloseWrite()
	return r
}

// receive reads until the end and compares with the stream that was sent.
func (e *exchanges) receive(conn net.Conn, seed uint64, tokens <-chan struct{}) (got int64, wrong bool, err error) {
	stream := rand.NewChaCha8([32]byte{byte(seed)})
	have, want := make([]byte, messageBytes), make([]byte, messageBytes)
	for {
		if e.excused&Forgets != 0 {
			_ = conn.SetReadDeadline(time.Now().Add(silence)) // fails only when closed, which Read says too
		}
		n, err := io.ReadFull(conn, have)
		_, _ = stream.Read(want[:n]) // never fails
		if !e.same(have[:n], want[:n]) {
			return got, true, fmt.Errorf("bytes %d to %d came back wrong", got, got+int64(n))
		}
		got += int64(n)
		if errors.Is(err, io.EOF) {
			return got, false, nil
		}
		if err != nil {
			return got, false, err
		}
		<-tokens
	}
}

// same compares what came back with what was sent.
func (e *exchanges) same(have, want []byte) bool {
	if e.excused&Flips == 0 {
		return bytes.Equal(have, want)
	}
	flipped := 0
	for i := range have {
		if have[i] != want[i] {
			flipped++
		}
	}
	return flipped <= flippedBytes
}
