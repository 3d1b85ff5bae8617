package load

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"shakedown/bench"
)

func clientWith(t testing.TB, o HTTPOptions, bases ...string) *HTTPClient {
	t.Helper()
	c, err := NewHTTPClientWith(o, bases...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// speaks starts a server that answers with the protocol it was asked in.
func speaks(t *testing.T, secure bool) (s *httptest.Server, opened *atomic.Int64) {
	t.Helper()
	s = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Shakedown-Value", strings.TrimSuffix(strings.TrimPrefix(r.Proto, "HTTP/"), ".0"))
		_, _ = io.Copy(w, r.Body)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetHTTP2(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.EnableHTTP2 = secure
	opened = new(atomic.Int64)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	if secure {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s, opened
}

func TestTheClientSpeaksTheProtocolItIsToldTo(t *testing.T) {
	for _, c := range []struct {
		name          string
		secure, http2 bool
		want          int64 // 2 for HTTP/2; 1.1 is no number
	}{
		{"HTTP/1.1", false, false, 0},
		{"HTTP/1.1 over TLS", true, false, 0},
		{"HTTP/2 over TLS", true, true, 2},
		{"HTTP/2 in plaintext", false, true, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _ := speaks(t, c.secure)
			o := HTTPOptions{HTTP2: c.http2}
			if c.secure {
				roots := x509.NewCertPool()
				roots.AddCert(s.Certificate())
				o.TLS = &tls.Config{RootCAs: roots}
			}
			r := bench.Request{Method: "POST", Path: "/", Body: []byte("hello")}
			got := clientWith(t, o, s.URL).Do(t.Context(), 0, r, time.Minute)
			if got.Outcome != bench.OK || got.Value != c.want || got.Wait <= 0 {
				t.Errorf("got %+v, want ok and value %d, after a wait for a connection", got, c.want)
			}
		})
	}
}

func TestHTTP2RequestsShareAConnection(t *testing.T) {
	s, opened := speaks(t, false)
	c := clientWith(t, HTTPOptions{HTTP2: true, Connections: 1}, s.URL)
	var wg sync.WaitGroup
	for seq := range uint64(50) {
		wg.Go(func() {
			if a := c.Do(t.Context(), seq, get, time.Minute); a.Outcome != bench.OK {
				t.Errorf("request %d: %+v", seq, a)
			}
		})
	}
	wg.Wait()
	if n := opened.Load(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

func TestACertificateThatIsNotTrustedFailsTheRequest(t *testing.T) {
	s, _ := speaks(t, true)
	got := clientWith(t, HTTPOptions{}, s.URL).Do(t.Context(), 0, get, time.Minute)
	if got.Outcome != bench.Failed || got.Cause != "connect: certificate not trusted" {
		t.Errorf("got %+v, want failed, for want of trust", got)
	}
	o := HTTPOptions{TLS: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // that is what is tested
	if got := clientWith(t, o, s.URL).Do(t.Context(), 0, get, time.Minute); got.Outcome != bench.OK {
		t.Errorf("got %+v, want ok from a client that does not verify", got)
	}
}

func TestRequestsBeyondTheConnectionsWaitForOne(t *testing.T) {
	held, release := make(chan struct{}), make(chan struct{})
	var opened atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		held <- struct{}{}
		<-release
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	c := clientWith(t, HTTPOptions{Connections: 1}, s.URL)
	answers := make(chan Answer, 2)
	for seq := range uint64(2) {
		go func() { answers <- c.Do(t.Context(), seq, get, time.Minute) }()
	}
	<-held
	release <- struct{}{}
	<-held
	release <- struct{}{}
	first, second := <-answers, <-answers
	if first.Outcome != bench.OK || second.Outcome != bench.OK || opened.Load() != 1 {
		t.Errorf("got %+v and %+v over %d connections, want both ok over one", first, second, opened.Load())
	}
}

func TestANewCapBelowTheServersIsRefused(t *testing.T) {
	for _, n := range []int{-1, 1} {
		if _, err := NewHTTPClientWith(HTTPOptions{Connections: n}, "http://127.0.0.1:1", "http://127.0.0.1:2"); err == nil {
			t.Errorf("took %d connections to two servers", n)
		}
	}
}

func TestWhatWentWrongIsSaidInAFewWords(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	silent := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	torn, _ := raw(t, func(int, int) string { return "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf" })
	mute, _ := raw(t, func(int, int) string { return "" })
	babble, _ := raw(t, func(int, int) string { return "hello, this is no HTTP at all\r\n\r\n" })
	for _, c := range []struct {
		url     string
		timeout time.Duration
		want    string
	}{
		{"http://" + closed.Addr().String(), time.Minute, "connect: connection refused"},
		{silent, 500 * time.Millisecond, "timeout"},
		{torn, time.Minute, "closed without a whole answer"},
		{mute, time.Minute, "closed without a whole answer"},
		{babble, time.Minute, "malformed answer"},
	} {
		got := client(t, c.url).Do(t.Context(), 0, bench.Request{Method: "POST", Path: "/"}, c.timeout)
		if got.Cause != c.want || got.Outcome == bench.OK {
			t.Errorf("got %+v, want %q", got, c.want)
		}
	}
}

func TestAnUpgradeThatNobodyAskedForEndsTheRequest(t *testing.T) {
	url, _ := raw(t, func(int, int) string {
		return "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
	})
	if got := client(t, url).Do(t.Context(), 0, get, time.Minute); got.Outcome != bench.Failed || got.Cause != "status 101" {
		t.Errorf("got %+v, want failed", got)
	}
}
