package proxy

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"shakedown/chaos"
)

// halfCloser is what both TCP and unix connections can do.
type halfCloser interface {
	net.Conn
	CloseWrite() error
}

// echoServer echoes each connection until its client closes its half.
func echoServer(t testing.TB, network, addr string) string {
	t.Helper()
	return startServer(t, network, addr, func(c halfCloser) {
		_, _ = io.Copy(c, c)
		_ = c.CloseWrite()
	})
}

// startServer runs serve for each connection; all of it has ended when the test has.
func startServer(t testing.TB, network, addr string, serve func(halfCloser)) string {
	t.Helper()
	ln, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() { _ = ln.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer func() { _ = c.Close() }()
				serve(c.(halfCloser))
			})
		}
	})
	return ln.Addr().String()
}

func newTestLink(t testing.TB, network, upstream string) *Link {
	t.Helper()
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	l, err := p.Create(t.Context(), Spec{Name: "service-0→echo", Network: network, Address: upstream})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func dialLink(t testing.TB, l *Link) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c.(*net.TCPConn)
}

// firstError connects and reads: a reset shows in the one or the other.
func firstError(l *Link) error {
	c, err := net.Dial("tcp", l.Addr())
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	_, err = c.Read(make([]byte, 1))
	return err
}

func shape(t testing.TB, l *Link, id string, e chaos.Effect) {
	t.Helper()
	if err := l.Shape(t.Context(), id, e); err != nil {
		t.Fatal(err)
	}
}

func unshape(t testing.TB, l *Link, id string) {
	t.Helper()
	if err := l.Clear(t.Context(), id); err != nil {
		t.Fatal(err)
	}
}

func exchange(t testing.TB, c net.Conn, msg string) {
	t.Helper()
	if _, err := io.WriteString(c, msg); err != nil {
		t.Fatal(err)
	}
	receive(t, c, msg)
}

func receive(t testing.TB, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("got %q, %v; want %q", got, err, want)
	}
}

func counters(t testing.TB, l *Link) chaos.Counters {
	t.Helper()
	c, err := l.Counters(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// eventually waits for a state that nothing announces; only a hang fails it.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for until := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("never: %s", what)
		}
	}
}
