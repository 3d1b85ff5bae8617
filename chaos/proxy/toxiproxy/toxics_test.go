package toxiproxy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A toxicBench is a proxy with one toxic in front of a server, of the real Toxiproxy or of ours.
type toxicBench struct {
	t      *testing.T
	side   *side
	listen string
}

const toxicName = "under-test"

// with makes a proxy to a server, and gives it a toxic.
func with(t *testing.T, s *side, server, kind, stream string, toxicity float64, attributes string) *toxicBench {
	t.Helper()
	if a := s.ask(t, ask{"POST", "/proxies", fmt.Sprintf(`{"name":"p","listen":"127.0.0.1:0","upstream":%q}`, server)}); a.Status != http.StatusCreated {
		t.Fatalf("%+v", a)
	}
	t.Cleanup(func() { s.ask(t, ask{"DELETE", "/proxies/p", ""}) })
	b := &toxicBench{t, s, s.listen["p"]}
	b.add(kind, stream, toxicity, attributes)
	return b
}

func (b *toxicBench) add(kind, stream string, toxicity float64, attributes string) {
	b.t.Helper()
	body := fmt.Sprintf(`{"name":%q,"type":%q,"stream":%q,"toxicity":%g,"attributes":%s}`, toxicName, kind, stream, toxicity, attributes)
	if a := b.side.ask(b.t, ask{"POST", "/proxies/p/toxics", body}); a.Status != http.StatusOK {
		b.t.Fatalf("%+v", a)
	}
}

func (b *toxicBench) update(attributes string) {
	b.t.Helper()
	if a := b.side.ask(b.t, ask{"POST", "/proxies/p/toxics/" + toxicName, `{"attributes":` + attributes + `}`}); a.Status != http.StatusOK {
		b.t.Fatalf("%+v", a)
	}
}

func (b *toxicBench) remove() {
	b.t.Helper()
	if a := b.side.ask(b.t, ask{"DELETE", "/proxies/p/toxics/" + toxicName, ""}); a.Status != http.StatusNoContent {
		b.t.Fatalf("%+v", a)
	}
}

func (b *toxicBench) dial() *client {
	b.t.Helper()
	c, err := net.Dial("tcp", b.listen)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	return &client{b.t, c, time.Now()}
}

// A client is a connection through the proxy.
type client struct {
	t *testing.T
	net.Conn
	since time.Time // it was made, or sent
}

func (c *client) send(n int) {
	c.t.Helper()
	c.since = time.Now()
	if _, err := c.Write(bytes.Repeat([]byte("x"), n)); err != nil {
		c.t.Fatal(err)
	}
}

// wantBack wants n bytes, no sooner than a time after they were sent.
func (c *client) wantBack(n int, least time.Duration) {
	c.t.Helper()
	got, err := io.ReadFull(c, make([]byte, n))
	if took := time.Since(c.since); err != nil || took < least {
		c.t.Fatalf("%d of %d bytes after %s, %v; wanted them after %s at least", got, n, took, err, least)
	}
}

// wantEnd wants n bytes and then the end of the connection, no sooner than a time after they were sent. A reset end is one
// in which the RST is seen.
func (c *client) wantEnd(n int, least time.Duration, isReset bool) {
	c.t.Helper()
	got, err := io.ReadAll(c)
	if took := time.Since(c.since); len(got) != n || took < least {
		c.t.Fatalf("%d bytes and the end after %s; wanted %d, and the end after %s at least", len(got), took, n, least)
	}
	if errors.Is(err, syscall.ECONNRESET) != isReset || err != nil && !isReset {
		c.t.Fatalf("it ended with %v", err)
	}
}

// wantNothing wants a while without any byte, and without the end.
func (c *client) wantNothing() {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	n, err := c.Read(make([]byte, 1))
	var timeout net.Error
	if n > 0 || !errors.As(err, &timeout) || !timeout.Timeout() {
		c.t.Fatalf("%d bytes, %v; wanted nothing", n, err)
	}
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
}

// serve runs a server until the test ends.
func serve(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	t.Cleanup(func() { _ = ln.Close(); serving.Wait() })
	serving.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer func() { _ = c.Close() }()
				handle(c)
			})
		}
	})
	return ln.Addr().String()
}

func echoes(c net.Conn) { _, _ = io.Copy(c, c) }

// behaviours are what clients see of toxics. Each must hold of the real Toxiproxy too, or it would not be one of its toxics.
// Times are lower bounds, which hold on any machine.
var behaviours = map[string]func(*testing.T, *side){
	"noop": func(t *testing.T, s *side) {
		c := with(t, s, serve(t, echoes), "noop", "upstream", 1, `{}`).dial()
		c.send(100)
		c.wantBack(100, 0)
	},
	"latency": func(t *testing.T, s *side) {
		b := with(t, s, serve(t, echoes), "latency", "downstream", 1, `{"latency":50}`)
		c := b.dial()
		c.send(1)
		c.wantBack(1, 50*time.Millisecond)
		b.update(`{"latency":100}`) // acts on live connections
		c.send(1)
		c.wantBack(1, 100*time.Millisecond)
		c.send(1)
		b.remove() // delivers what it delayed
		c.wantBack(1, 0)
	},
	"latency in the other direction, with more jitter than latency": func(t *testing.T, s *side) {
		c := with(t, s, serve(t, echoes), "latency", "upstream", 1, `{"latency":10,"jitter":20}`).dial()
		for range 10 {
			c.send(1)
			c.wantBack(1, 0)
		}
	},
	"bandwidth": func(t *testing.T, s *side) {
		c := with(t, s, serve(t, echoes), "bandwidth", "downstream", 1, `{"rate":100}`).dial()
		c.send(50_000) // half a second's worth
		c.wantBack(50_000, 400*time.Millisecond)
	},
	"bandwidth of nothing": func(t *testing.T, s *side) {
		b := with(t, s, serve(t, echoes), "bandwidth", "upstream", 1, `{}`)
		c := b.dial()
		c.send(100)
		c.wantNothing()
		b.remove()
		c.wantBack(100, 0)
	},
	"slow_close": func(t *testing.T, s *side) {
		b := with(t, s, serve(t, func(c net.Conn) { _, _ = c.Write([]byte("bye")) }), "slow_close", "downstream", 1, `{"delay":150}`)
		b.dial().wantEnd(3, 150*time.Millisecond, false)
	},
	"timeout": func(t *testing.T, s *side) {
		c := with(t, s, serve(t, echoes), "timeout", "downstream", 1, `{"timeout":100}`).dial()
		c.send(10)
		c.wantEnd(0, 50*time.Millisecond, false) // Toxiproxy counts from the last byte, and we from the connection, or the toxic
	},
	"timeout without end": func(t *testing.T, s *side) {
		b := with(t, s, serve(t, echoes), "timeout", "downstream", 1, `{"timeout":0}`)
		c := b.dial()
		c.send(10)
		c.wantNothing()
		b.remove() // ends what it stopped, and delivers nothing of it
		c.wantEnd(0, 0, false)
		next := b.dial()
		next.send(10)
		next.wantBack(10, 0)
	},
	"reset_peer": func(t *testing.T, s *side) {
		c := with(t, s, serve(t, echoes), "reset_peer", "downstream", 1, `{"timeout":100}`).dial()
		c.send(10)
		c.wantEnd(0, 50*time.Millisecond, true)
	},
	"slicer": func(t *testing.T, s *side) {
		c := with(t, s, serve(t, echoes), "slicer", "downstream", 1, `{"average_size":64,"size_variation":32,"delay":10000}`).dial()
		c.send(1024) // at least ten pieces
		c.wantBack(1024, 80*time.Millisecond)
	},
	"limit_data": func(t *testing.T, s *side) {
		b := with(t, s, serve(t, echoes), "limit_data", "downstream", 1, `{"bytes":100}`)
		for range 2 { // each connection for itself
			c := b.dial()
			c.send(300)
			c.wantEnd(100, 0, false)
		}
	},
	"limit_data of nothing": func(t *testing.T, s *side) {
		c := with(t, s, serve(t, echoes), "limit_data", "downstream", 1, `{"bytes":0}`).dial()
		_, _ = c.Write([]byte("x")) // ours is closed by then
		c.wantEnd(0, 0, false)
	},
	"no toxicity": func(t *testing.T, s *side) {
		c := with(t, s, serve(t, echoes), "limit_data", "downstream", 0, `{"bytes":1}`).dial()
		c.send(10)
		c.wantBack(10, 0)
	},
	"a toxicity of a half": func(t *testing.T, s *side) {
		b := with(t, s, serve(t, echoes), "limit_data", "downstream", 0.5, `{"bytes":1}`)
		whole := 0
		for range 64 { // all alike once in 2^63 times
			c := b.dial()
			c.send(10)
			if n, _ := io.ReadFull(c, make([]byte, 10)); n == 10 {
				whole++
			}
			_ = c.Close()
		}
		if whole == 0 || whole == 64 {
			t.Errorf("%d of 64 connections got through", whole)
		}
	},
}

func TestToxicsActLikeToxiproxys(t *testing.T) {
	theirs, our := pair(t)
	for name, check := range behaviours {
		t.Run(name, func(t *testing.T) {
			t.Run("theirs", func(t *testing.T) { check(t, theirs) })
			t.Run("ours", func(t *testing.T) { check(t, our) })
		})
	}
}

func TestADisabledProxyKeepsItsToxics(t *testing.T) {
	s := &side{ours(t, Options{}), map[string]string{}}
	b := with(t, s, serve(t, echoes), "latency", "downstream", 1, `{"latency":50}`)
	for _, enabled := range []string{"false", "true"} {
		s.ask(t, ask{"POST", "/proxies/p", `{"enabled":` + enabled + `}`})
	}
	c := b.dial()
	c.send(1)
	c.wantBack(1, 50*time.Millisecond)
}

func TestTheSameSeedDrawsTheSameConnections(t *testing.T) {
	draw := func(seed uint64) (got [32]bool) {
		s := &side{ours(t, Options{Seed: seed}), map[string]string{}}
		b := with(t, s, serve(t, echoes), "limit_data", "downstream", 0.5, `{"bytes":1}`)
		for i := range got {
			c := b.dial()
			c.send(10)
			n, _ := io.ReadFull(c, make([]byte, 10))
			got[i] = n == 10
		}
		return got
	}
	one, same, other := draw(1), draw(1), draw(2)
	if one != same {
		t.Errorf("seed 1 drew\n%v and\n%v", one, same)
	}
	if one == other {
		t.Errorf("seeds 1 and 2 drew the same %v", one)
	}
}

func TestABadUpdateOfAToxicChangesNothing(t *testing.T) {
	s := &side{ours(t, Options{}), map[string]string{}}
	with(t, s, "127.0.0.1:1", "latency", "downstream", 1, `{"latency":50,"jitter":5}`)
	if a := s.ask(t, ask{"POST", "/proxies/p/toxics/" + toxicName, `{"toxicity":0.5,"attributes":{"latency":70,"jitter":"x"}}`}); a.Status != http.StatusBadRequest {
		t.Errorf("%+v", a)
	}
	var now struct {
		Toxicity   float64
		Attributes struct{ Latency, Jitter int }
	}
	a := s.ask(t, ask{"GET", "/proxies/p/toxics/" + toxicName, ""})
	if err := json.Unmarshal([]byte(a.Body), &now); err != nil || now.Toxicity != 1 || now.Attributes.Latency != 50 || now.Attributes.Jitter != 5 {
		t.Errorf("%s, %v", a.Body, err)
	}
}
