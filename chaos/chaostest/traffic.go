package chaostest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	connsPerLink = 3
	messageBytes = 512
	window       = 4 // messages under way on a connection
)

// exchanges is traffic over links: each connection sends a pseudo-random stream and expects it back.
type exchanges struct {
	links   links
	cuts    bool
	mark    int64 // what was met before
	stop    atomic.Bool
	clients sync.WaitGroup

	mu   sync.Mutex
	errs []error
	open map[net.Conn]struct{}
}

func startTraffic(t *testing.T, s links, cuts bool) *exchanges {
	t.Helper()
	e := &exchanges{links: s, cuts: cuts, open: map[net.Conn]struct{}{}}
	for i, l := range s {
		for j := range connsPerLink {
			e.clients.Go(func() { e.client(l.Addr(), uint64(i*connsPerLink+j)) })
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
	e.mark, err = e.links.met(ctx)
	return err
}

// Meet returns once the counters of a link show that traffic met an effect.
func (e *exchanges) Meet(ctx context.Context) error {
	return poll(ctx, func() (bool, error) {
		n, err := e.links.met(ctx)
		return n > e.mark, err
	})
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

// client exchanges until told to stop, on one connection, or on one after the other when faults cut them.
func (e *exchanges) client(addr string, seed uint64) {
	for again := true; again; again = e.cuts && !e.stop.Load() {
		wrong, err := e.once(addr, seed)
		if err != nil && (!e.cuts || wrong) {
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
func (e *exchanges) once(addr string, seed uint64) (wrong bool, err error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
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
	go func() { sent <- e.send(conn.(*net.TCPConn), seed, tokens, gone) }()
	got, wrong, err := receive(conn, seed, tokens)
	close(gone)
	if err != nil {
		_ = conn.Close() // the sender has nobody to send to
	}
	out := <-sent
	if err == nil && out.err == nil && got != out.bytes {
		return true, fmt.Errorf("%d bytes were sent and %d came back", out.bytes, got)
	}
	return wrong, errors.Join(err, out.err)
}

type sendResult struct {
	bytes int64
	err   error
}

// send writes the stream, at most a window ahead of what came back, and at the end closes its half.
func (e *exchanges) send(conn *net.TCPConn, seed uint64, tokens chan<- struct{}, gone <-chan struct{}) (r sendResult) {
	stream := rand.NewChaCha8([32]byte{byte(seed)})
	msg := make([]byte, messageBytes)
	for r.bytes == 0 || !e.stop.Load() {
		select {
		case tokens <- struct{}{}:
		case <-gone:
			return r
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
func receive(conn net.Conn, seed uint64, tokens <-chan struct{}) (got int64, wrong bool, err error) {
	stream := rand.NewChaCha8([32]byte{byte(seed)})
	have, want := make([]byte, messageBytes), make([]byte, messageBytes)
	for {
		n, err := io.ReadFull(conn, have)
		_, _ = stream.Read(want[:n]) // never fails
		if string(have[:n]) != string(want[:n]) {
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
