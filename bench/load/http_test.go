package load

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"shakedown/bench"
)

func client(t testing.TB, bases ...string) *HTTPClient {
	t.Helper()
	c, err := NewHTTPClient(bases...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func serve(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

var get = bench.Request{Method: "GET", Path: "/"}

func TestAnAnswerBecomesTheOutcomeItStates(t *testing.T) {
	for _, c := range []struct {
		status  int
		headers map[string]string
		want    Answer
	}{
		{200, nil, Answer{Outcome: bench.OK}},
		{204, nil, Answer{Outcome: bench.OK}},
		{200, map[string]string{"Shakedown-Flags": "hit,stale", "Shakedown-Value": "-42"}, Answer{Outcome: bench.OK, Flags: bench.Hit | bench.Stale, Value: -42}},
		{200, map[string]string{"Shakedown-Value": "many"}, Answer{Outcome: bench.OK}},
		{200, map[string]string{"Shakedown-Outcome": "degraded", "Shakedown-Flags": "fell_back"}, Answer{Outcome: bench.Degraded, Flags: bench.FellBack}},
		{200, map[string]string{"Shakedown-Outcome": "refused"}, Answer{Outcome: bench.Refused}},
		{500, map[string]string{"Shakedown-Outcome": "refused"}, Answer{Outcome: bench.Refused}},
		{504, map[string]string{"Shakedown-Outcome": "unsure"}, Answer{Outcome: bench.Unsure}},
		{500, map[string]string{"Shakedown-Outcome": "degraded"}, Answer{Outcome: bench.Failed}},
		{429, nil, Answer{Outcome: bench.Refused}},
		{503, nil, Answer{Outcome: bench.Refused}},
		{500, map[string]string{"Shakedown-Flags": "retried"}, Answer{Outcome: bench.Failed, Flags: bench.Retried}},
		{404, nil, Answer{Outcome: bench.Failed}},
		{302, map[string]string{"Location": "/"}, Answer{Outcome: bench.Failed}},
	} {
		t.Run(fmt.Sprint(c.status, c.headers), func(t *testing.T) {
			url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				for k, v := range c.headers {
					w.Header().Set(k, v)
				}
				w.WriteHeader(c.status)
			})
			got := client(t, url).Do(t.Context(), 0, get, time.Minute)
			if c.want.Outcome != bench.OK {
				c.want.Cause = fmt.Sprint("status ", c.status)
			}
			if got.Wait <= 0 {
				t.Errorf("waited %v for a connection; a dial takes some time", got.Wait)
			}
			if got.Wait = 0; got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestARequestArrivesAsTheWorkloadWroteIt(t *testing.T) {
	var got string
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = fmt.Sprint(r.Method, " ", r.RequestURI, " ", r.ContentLength, len(body), " ", r.Proto, r.Header["Accept-Encoding"])
	})
	c := client(t, url+"/base/")
	for _, r := range []struct{ method, path, want string }{
		{"GET", "/item/5", "GET /base/item/5 0 0 HTTP/1.1[]"},
		{"POST", "/order?key=7&b=%20", "POST /base/order?key=7&b=%20 0 0 HTTP/1.1[]"},
		{"DELETE", "/a%2Fb/c", "DELETE /base/a%2Fb/c 0 0 HTTP/1.1[]"},
	} {
		a := c.Do(t.Context(), 0, bench.Request{Method: r.method, Path: r.path}, time.Minute)
		if a.Outcome != bench.OK || got != r.want {
			t.Errorf("%v: the server saw %q, want %q", a.Outcome, got, r.want)
		}
	}
	if a := c.Do(t.Context(), 0, bench.Request{Method: "GET", Path: "/%zz"}, time.Minute); a.Outcome != bench.Failed {
		t.Errorf("a path that cannot be sent: %v", a.Outcome)
	}
}

func TestInstancesTakeTurnsBySequenceNumber(t *testing.T) {
	var urls []string
	var hits [3]atomic.Int64
	for i := range hits {
		urls = append(urls, serve(t, func(http.ResponseWriter, *http.Request) { hits[i].Add(1) }))
	}
	c := client(t, urls...)
	for seq := range uint64(10) {
		c.Do(t.Context(), seq, get, time.Minute)
	}
	if a, b, c := hits[0].Load(), hits[1].Load(), hits[2].Load(); a != 4 || b != 3 || c != 3 {
		t.Errorf("instances got %d, %d and %d of 10", a, b, c)
	}
}

// raw is a server that is told what to do with each request: conn is the number of its connection, n that of the request
// on it. It answers what reply returns, and closes the connection after anything but fine.
func raw(t *testing.T, reply func(conn, n int) string) (url string, requests *atomic.Int64) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	requests = new(atomic.Int64)
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer func() { _ = conn.Close() }()
				r := bufio.NewReader(conn)
				for n := 0; ; n++ {
					if _, err := http.ReadRequest(r); err != nil {
						return
					}
					requests.Add(1)
					answer := reply(i, n)
					if _, err := io.WriteString(conn, answer); err != nil || answer != fine {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() { _ = ln.Close(); wg.Wait() })
	return "http://" + ln.Addr().String(), requests
}

const fine = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func TestARequestThatMayHaveLeftIsUnsure(t *testing.T) {
	for name, reply := range map[string]string{
		"closed without an answer":    "",
		"closed within the headers":   "HTTP/1.1 200 OK\r\nContent-Le",
		"closed within the body":      "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort",
		"not HTTP":                    "hello\r\n\r\n",
		"a length that does not hold": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			url, _ := raw(t, func(int, int) string { return reply })
			if a := client(t, url).Do(t.Context(), 0, get, time.Minute); a.Outcome != bench.Unsure {
				t.Errorf("got %v", a.Outcome)
			}
		})
	}
	t.Run("timed out", func(t *testing.T) {
		var seen atomic.Bool
		url := serve(t, func(_ http.ResponseWriter, r *http.Request) { seen.Store(true); <-r.Context().Done() })
		c := client(t, url)
		// On a machine so slow that nothing has left in time, the request failed; then be more patient.
		patience := 10 * time.Millisecond
		a := c.Do(t.Context(), 0, get, patience)
		for ; a.Outcome == bench.Failed && !seen.Load(); a = c.Do(t.Context(), 0, get, patience) {
			patience *= 2
		}
		if a.Outcome != bench.Unsure {
			t.Errorf("got %v", a.Outcome)
		}
	})
	t.Run("cut off", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		url := serve(t, func(_ http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() })
		if a := client(t, url).Do(ctx, 0, get, time.Minute); a.Outcome != bench.Unsure {
			t.Errorf("got %v", a.Outcome)
		}
	})
}

func TestARequestThatCannotHaveLeftFailed(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	if a := client(t, url).Do(t.Context(), 0, get, time.Minute); a.Outcome != bench.Failed {
		t.Errorf("connection refused: got %v", a.Outcome)
	}
	for _, err := range []error{syscall.EMFILE, syscall.EADDRNOTAVAIL} {
		wrapped := &net.OpError{Op: "dial", Err: fmt.Errorf("socket: %w", err)}
		if got := new(attempt).outcome(wrapped); got != bench.Unsent {
			t.Errorf("%v: got %v; the generator ran short, not the server", err, got)
		}
	}
}

func TestADialThatBeginsAfterCloseIsRefused(t *testing.T) {
	c := client(t, serve(t, func(http.ResponseWriter, *http.Request) {}))
	c.Close()
	if a := c.Do(t.Context(), 0, get, time.Minute); a.Outcome != bench.Failed {
		t.Errorf("got %v", a.Outcome)
	}
}

// net/http sends a GET again when the connection that it had kept closes under it.
func TestNoRequestIsSentTwice(t *testing.T) {
	for round := range 20 {
		url, requests := raw(t, func(_, n int) string {
			if n == 1 {
				return "" // the second request on a connection
			}
			return fine
		})
		c := client(t, url)
		if a := c.Do(t.Context(), 0, get, time.Minute); a.Outcome != bench.OK {
			t.Fatalf("round %d: the first request: %v", round, a.Outcome)
		}
		a := c.Do(t.Context(), 1, get, time.Minute)
		if sent := requests.Load(); a.Outcome != bench.Unsure || sent != 2 {
			t.Fatalf("round %d: the second request: %v, and the server has seen %d; want unsure and 2", round, a.Outcome, sent)
		}
	}
}

func TestAnAnswerIsReadWholeAndItsConnectionKept(t *testing.T) {
	for _, size := range []int{100, 8 << 20} {
		var conns, whole atomic.Int64
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if n, err := w.Write(make([]byte, size)); err == nil && n == size {
				whole.Add(1)
			}
		}))
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				conns.Add(1)
			}
		}
		s.Start()
		cl := client(t, s.URL)
		for seq := range uint64(3) {
			if a := cl.Do(t.Context(), seq, get, time.Minute); a.Outcome != bench.OK {
				t.Errorf("%d bytes: %v", size, a.Outcome)
			}
		}
		s.Close()
		if conns.Load() != 1 || whole.Load() != 3 {
			t.Errorf("%d bytes, three times: %d connections and %d whole answers, want 1 and 3", size, conns.Load(), whole.Load())
		}
	}
}

func TestBasesThatAreNoServersAreRefused(t *testing.T) {
	for _, bases := range [][]string{{}, {""}, {"127.0.0.1:80"}, {"ftp://host"}, {"http://"}, {"http://ok", "nope"}} {
		if _, err := NewHTTPClient(bases...); err == nil {
			t.Errorf("%q is taken", bases)
		}
	}
}

func TestAServerThatDiesLeavesABalancedLedger(t *testing.T) {
	var n atomic.Int64
	var s *httptest.Server
	dead := make(chan struct{})
	kill := sync.OnceFunc(func() {
		go func() { defer close(dead); _ = s.Listener.Close(); s.CloseClientConnections() }()
	})
	s = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if n.Add(1) > 50 {
			kill()
			<-r.Context().Done()
		}
	}))
	defer s.Close()
	p, m := plan(t, client(t, s.URL), open(1000, 0, 300*time.Millisecond))
	p.Timeout = 20 * time.Second
	stats, err := Run(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	<-dead
	check(t, p, m, stats)
	if l := stats.Ledger; l.OK == 0 || l.Unsure == 0 || l.OK > 50 {
		t.Errorf("%+v; want at most 50 ok, and those in flight unsure", l)
	}
}
