package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// hostile starts a server that treats every connection badly, until the test ends.
func hostile(t *testing.T, treat func(net.Conn)) (url string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var open []net.Conn
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, conn)
			mu.Unlock()
			serving.Go(func() {
				treat(conn)
				_ = conn.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		mu.Lock()
		for _, conn := range open {
			_ = conn.Close()
		}
		mu.Unlock()
		serving.Wait()
	})
	return "http://" + ln.Addr().String() + "/"
}

// each answers every request on a connection with what reply writes, until it says that it is enough.
func each(reply func(io.Writer) (more bool)) func(net.Conn) {
	return func(conn net.Conn) {
		r := bufio.NewReader(conn)
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			if _, err := io.Copy(io.Discard, req.Body); err != nil || !reply(conn) {
				return
			}
		}
	}
}

func says(text string, more bool) func(net.Conn) {
	return each(func(w io.Writer) bool {
		_, err := io.WriteString(w, text)
		return err == nil && more
	})
}

// endless repeats a text as long as anybody listens.
func endless(head, text string) func(net.Conn) {
	return each(func(w io.Writer) bool {
		_, err := io.WriteString(w, head)
		for chunk := strings.Repeat(text, 1+16<<10/len(text)); err == nil; {
			_, err = io.WriteString(w, chunk)
		}
		return false
	})
}

const whole = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// TestNoServerCanHarmTheGenerator: whatever a server does, every arrival ends in one outcome, and the program in a result.
func TestNoServerCanHarmTheGenerator(t *testing.T) {
	ok, notOK := func(l counts) bool { return l.OK == l.Scheduled }, func(l counts) bool { return l.OK == 0 && l.Unsure+l.Failed > 0 }
	whatever := func(counts) bool { return true }
	for _, tc := range []struct {
		name  string
		treat func(net.Conn)
		fits  func(counts) bool
	}{
		{"nonsense", says("\x00\xff\x17 this is not HTTP\r\n\r\n", true), notOK},
		{"nonsense without end", endless("", "nonsense"), notOK},
		{"a header without end", endless("HTTP/1.1 200 OK\r\n", "X-More: and more\r\n"), notOK},
		{"a line without end", endless("HTTP/1.1 200 OK\r\nX-More: ", "and more "), notOK},
		{"never an answer", func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }, notOK},
		{"closed at once", func(net.Conn) {}, notOK},
		{"half closed", func(conn net.Conn) {
			_ = conn.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, conn)
		}, notOK},
		{"reset", func(conn net.Conn) { _ = conn.(*net.TCPConn).SetLinger(0) }, notOK},
		{"reset instead of an answer", func(conn net.Conn) {
			_, _ = http.ReadRequest(bufio.NewReader(conn))
			_ = conn.(*net.TCPConn).SetLinger(0)
		}, notOK},
		{"an answer that breaks off", says("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", false), notOK},
		{"a body of a gigabyte", endless("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n", "x"), whatever},
		{"a body without end", endless("HTTP/1.1 200 OK\r\n\r\n", "x"), whatever},
		// A request may meet the end of the connection on its way: then nobody knows.
		{"closes after each answer", says(whole, false), func(l counts) bool { return l.OK > 0 && l.OK+l.Unsure+l.Failed == l.Scheduled }},
		{"closes after each answer, and says so", says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", false), ok},
		{"answers twice", says(whole+whole, true), whatever},
		{"interim answers without end", endless("", "HTTP/1.1 102 Processing\r\n\r\n"), notOK},
		{"a few interim answers", says("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"+whole, true), ok},
		{"chunks", says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nok\r\n0\r\nTrailer: yes\r\n\r\n", true), ok},
		{"chunks of garbage", says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n", true), notOK},
		{"a chunk of more than there can be", says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", true), notOK},
		{"a negative length", says("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", true), notOK},
		{"two lengths", says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", true), notOK},
		{"a status without a meaning", says("HTTP/1.1 999 Huh\r\nContent-Length: 0\r\n\r\n", true), func(l counts) bool { return l.Failed == l.Scheduled }},
		{"an upgrade nobody asked for", says("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", true), notOK},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, backend := range []string{"epoll", "io_uring", "net/http"} {
				s := newSandbox(t)
				got := s.run("load", hostile(t, tc.treat), "--rate", "200", "--duration", "400ms", "--warmup", "0s", "--timeout", "300ms",
					"--backend", backend, "--calibrate=false", "-o", "json")
				if got.code == 3 && backend == "io_uring" && strings.Contains(got.stderr, "io_uring") {
					t.Logf("no io_uring here: %s", got.stderr)
					continue
				}
				if got.code != 0 && got.code != 4 {
					t.Fatalf("%s: %v", backend, got)
				}
				l := loaded(t, got.out).Ledger
				if l.Scheduled == 0 || l.Scheduled != l.OK+l.Degraded+l.Refused+l.Failed+l.Unsure+l.Unsent || !tc.fits(l) {
					t.Errorf("%s: ledger %+v", backend, l)
				}
			}
		})
	}
}
