package http1_test

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"shakedown/chaos"
	"shakedown/chaos/proxy/intercept"
	"shakedown/chaos/proxy/intercept/http1"
	"shakedown/chaos/proxy/intercept/intercepttest"
	"shakedown/internal/units"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A rig is a link to a real server, which answers "<method> <path> <body>".
type rig struct {
	*http1.Inspector
	addr   string
	client *http.Client
	served *atomic.Int64 // requests that reached the server
}

func serve(t *testing.T, in intercept.Inspector) (addr string, served *atomic.Int64) {
	t.Helper()
	served = new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		body, _ := io.ReadAll(r.Body)
		switch r.URL.Path {
		case "/chunked":
			for range 3 {
				_, _ = io.WriteString(w, "some of it\n")
				_ = http.NewResponseController(w).Flush()
			}
		case "/upgrade":
			w.Header().Set("Connection", "upgrade")
			w.Header().Set("Upgrade", "echo")
			w.WriteHeader(http.StatusSwitchingProtocols)
			c, rw, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_, _ = io.Copy(c, rw)
				_ = c.Close()
			}
		case "/bye":
			w.Header().Set("Connection", "close")
			fallthrough
		default:
			_, _ = fmt.Fprintf(w, "%s %s %s", r.Method, r.URL.Path, body)
		}
	}))
	t.Cleanup(s.Close)
	return intercepttest.Relay(t, in, "tcp", s.Listener.Addr().String()), served
}

func newRig(t *testing.T) rig {
	t.Helper()
	r := rig{Inspector: http1.New("service-0→backend")}
	r.addr, r.served = serve(t, r)
	transport := &http.Transport{MaxIdleConnsPerHost: 1, ExpectContinueTimeout: time.Minute}
	r.client = &http.Client{Transport: transport}
	t.Cleanup(transport.CloseIdleConnections)
	return r
}

func (r rig) set(t *testing.T, pick chaos.Pick, rule chaos.HTTPRule) {
	t.Helper()
	must(t, r.SetRule("r", chaos.Rule{Pick: pick, HTTP: &rule}))
	for until := time.Now().Add(30 * time.Second); !r.Acknowledged(); time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("never: every connection knows the rules")
		}
	}
}

func (r rig) acted(t *testing.T) int64 {
	t.Helper()
	c, ok := r.Counters("r")
	if !ok {
		t.Fatal("no rule")
	}
	return c.Acted
}

// reply is what came back.
type reply struct {
	status int
	header http.Header
	body   string
}

func (r rig) ask(t *testing.T, method, path, body string) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+r.addr+path, strings.NewReader(body))
	must(t, err)
	if body == "expect" {
		req.Header.Set("Expect", "100-continue")
	}
	resp, err := r.client.Do(req)
	must(t, err)
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	must(t, err)
	return reply{resp.StatusCode, resp.Header, string(got)}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var busy = &chaos.HTTPAnswer{Status: 503, RetryAfter: 2 * units.Second, Body: "later\n"}

func TestAnAnswerTakesThePlaceOfTheServers(t *testing.T) {
	for _, when := range []chaos.When{chaos.Before, chaos.After} {
		t.Run(string(when), func(t *testing.T) {
			r := newRig(t)
			r.ask(t, "GET", "/orders/1", "") // a connection is there
			r.set(t, chaos.Pick{}, chaos.HTTPRule{Path: "/orders/*", Answer: busy, When: when})
			for _, path := range []string{"/orders/1?x=/", "/orders/2", "/bye", "/orders/3"} {
				for _, method := range []string{"GET", "POST", "HEAD"} {
					got := r.ask(t, method, path, strings.Repeat("x", 100_000))
					want, status := busy.Body, 503
					if path == "/bye" {
						want, status = method+" /bye "+strings.Repeat("x", 100_000), 200
					}
					if method == "HEAD" {
						want = ""
					}
					if got.status != status || got.body != want || (got.header.Get("Retry-After") == "2") != (status == 503) {
						t.Errorf("%s %s: %d %v, %d bytes", method, path, got.status, got.header, len(got.body))
					}
				}
			}
			reached := int64(1 + 3)
			if when == chaos.After {
				reached += 9
			}
			if r.served.Load() != reached || r.acted(t) != 9 {
				t.Errorf("%d requests reached the server, and the rule acted %d times", r.served.Load(), r.acted(t))
			}
		})
	}
}

func TestAClientThatAsksFirstIsAnsweredAtOnce(t *testing.T) {
	r := newRig(t)
	r.set(t, chaos.Pick{Nth: 2}, chaos.HTTPRule{Method: "POST", Answer: busy})
	for i, want := range []int{200, 503, 200} {
		if got := r.ask(t, "POST", "/", "expect"); got.status != want {
			t.Errorf("request %d: %d", i, got.status)
		}
	}
	if r.served.Load() != 2 {
		t.Errorf("%d requests reached the server", r.served.Load())
	}
}

func TestAShareIsDrawnFromTheSeed(t *testing.T) {
	r := newRig(t)
	r.set(t, chaos.Pick{Share: 0.25, Seed: 3}, chaos.HTTPRule{Answer: busy})
	draw := func() (fates []int) { // on one connection: the fate of a message depends on its number, and a client may open another as it likes
		c, err := net.Dial("tcp", r.addr)
		must(t, err)
		defer func() { _ = c.Close() }()
		in := bufio.NewReader(c)
		for range 200 {
			_, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			must(t, err)
			resp, err := http.ReadResponse(in, nil)
			must(t, err)
			_, err = io.Copy(io.Discard, resp.Body)
			must(t, errors.Join(err, resp.Body.Close()))
			fates = append(fates, resp.StatusCode)
		}
		return fates
	}
	first := fmt.Sprint(draw())
	if n := r.acted(t); n < 20 || n > 80 {
		t.Errorf("%d of 200 failed", n)
	}
	again := newRig(t)
	again.set(t, chaos.Pick{Share: 0.25, Seed: 3}, chaos.HTTPRule{Answer: busy})
	r = again
	if second := fmt.Sprint(draw()); first != second {
		t.Errorf("the same seed gives\n%s\nand then\n%s", first, second)
	}
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	r := newRig(t)
	r.set(t, chaos.Pick{}, chaos.HTTPRule{Path: "/no*", Answer: busy})
	c, err := net.Dial("tcp", r.addr)
	must(t, err)
	defer func() { _ = c.Close() }()
	paths := []string{"/a", "/no1", "/chunked", "/no2", "/no3", "/b"}
	var say strings.Builder
	for _, p := range paths {
		say.WriteString("POST " + p + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
	}
	_, err = io.WriteString(c, say.String())
	must(t, err)
	in := bufio.NewReader(c)
	for _, p := range paths {
		resp, err := http.ReadResponse(in, nil)
		must(t, err)
		body, err := io.ReadAll(resp.Body)
		must(t, errors.Join(err, resp.Body.Close()))
		if failed := resp.StatusCode == http.StatusServiceUnavailable; failed != strings.HasPrefix(p, "/no") {
			t.Errorf("%s: %s %q", p, resp.Status, body)
		}
	}
	if r.served.Load() != 3 {
		t.Errorf("%d requests reached the server", r.served.Load())
	}
}

func TestOnlyMatchingRequestsAreDelayed(t *testing.T) {
	for _, when := range []chaos.When{"", chaos.After} {
		r := newRig(t)
		const delay = 50 * time.Millisecond
		r.set(t, chaos.Pick{}, chaos.HTTPRule{Path: "/slow", Delay: units.Duration(delay), When: when})
		start := time.Now()
		r.ask(t, "GET", "/fast", "")
		r.ask(t, "GET", "/slow", "")
		if took := time.Since(start); took < delay || r.acted(t) != 1 {
			t.Errorf("it took %s, and %d were delayed", took, r.acted(t))
		}
	}
}

func TestAnAnswerIsCut(t *testing.T) {
	for name, tc := range map[string]struct {
		path string
		cut  chaos.Truncation
		want error
		got  string
	}{
		"sized":           {"/abcdef", chaos.Truncation{AfterBytes: 4}, io.ErrUnexpectedEOF, "GET "},
		"chunked":         {"/chunked", chaos.Truncation{AfterBytes: 8}, io.ErrUnexpectedEOF, "some "},
		"before its body": {"/abcdef", chaos.Truncation{}, io.ErrUnexpectedEOF, ""},
		"reset":           {"/abcdef", chaos.Truncation{AfterBytes: 4, Reset: true}, syscall.ECONNRESET, "GET "},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.set(t, chaos.Pick{}, chaos.HTTPRule{Path: tc.path, Cut: &tc.cut})
			resp, err := r.client.Get("http://" + r.addr + tc.path)
			if err != nil {
				if tc.cut.Reset && errors.Is(err, tc.want) {
					return // the reset was faster than the answer
				}
				t.Fatal(err)
			}
			defer func() { _ = resp.Body.Close() }()
			got, err := io.ReadAll(resp.Body)
			if !errors.Is(err, tc.want) || string(got) != tc.got || r.acted(t) != 1 {
				t.Errorf("%q, %v; the rule acted %d times", got, err, r.acted(t))
			}
		})
	}
	r := newRig(t)
	r.set(t, chaos.Pick{}, chaos.HTTPRule{Cut: &chaos.Truncation{AfterBytes: 1000}})
	if got := r.ask(t, "GET", "/short", ""); got.body != "GET /short " || r.acted(t) != 0 {
		t.Errorf("a short answer is %q, and the rule acted %d times", got.body, r.acted(t))
	}
}

func TestAnUpgradePasses(t *testing.T) {
	r := newRig(t)
	r.set(t, chaos.Pick{}, chaos.HTTPRule{Path: "/no", Answer: busy})
	c, err := net.Dial("tcp", r.addr)
	must(t, err)
	defer func() { _ = c.Close() }()
	_, err = io.WriteString(c, "GET /upgrade HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
	must(t, err)
	in := bufio.NewReader(c)
	resp, err := http.ReadResponse(in, nil)
	must(t, err)
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(resp.Status)
	}
	said := []byte("GET /no HTTP/1.1\r\n\r\n\x00\xff")
	_, err = c.Write(said)
	must(t, err)
	got := make([]byte, len(said))
	if _, err := io.ReadFull(in, got); err != nil || !bytes.Equal(got, said) {
		t.Errorf("%q came back as %q, %v", said, got, err)
	}
	counters, _ := r.Counters("r")
	if counters.Opaque != 0 || counters.Acknowledged != counters.Live {
		t.Errorf("%+v", counters)
	}
}

func TestWhatCannotBeSeenIsSaid(t *testing.T) {
	for say, why := range map[string]string{
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n": "HTTP/2", "\x16\x03\x01": "TLS", "hello\r\n": "bytes that are not HTTP/1",
	} {
		r := newRig(t)
		r.set(t, chaos.Pick{}, chaos.HTTPRule{Answer: busy})
		tape := &intercepttest.Tape{Filter: r.Open(0)}
		tape.Feed(intercept.Up, []byte(say), 1)
		if c, _ := r.Counters("r"); c.Opaque != 1 || c.Why != why || tape.Up() != say {
			t.Errorf("%q: %+v, passed %q", say, c, tape.Up())
		}
		tape.Filter.Close()
	}
}

var update = flag.Bool("update", false, "keep what a real server and its clients say, as seeds of the fuzz tests")

func TestRecordScripts(t *testing.T) {
	recorder := &intercepttest.Recorder{}
	r := rig{client: &http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Minute}}}
	defer r.client.CloseIdleConnections()
	r.addr, _ = serve(t, recorder)
	for _, method := range []string{"GET", "HEAD", "POST"} {
		for _, path := range []string{"/a", "/chunked", "/bye"} {
			r.ask(t, method, path, "expect")
			r.ask(t, method, path, "body")
		}
	}
	recorder.Store(t, "nethttp", *update)
}
