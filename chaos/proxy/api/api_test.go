package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"shakedown/chaos"
	"shakedown/internal/units"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs the proxy process inside the test.
func start(t *testing.T) Hello {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, w, Options{Token: "secret"}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the proxy ended with %v", err)
		}
	})
	line, err := bufio.NewReader(r).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var h Hello
	if err := json.Unmarshal(line, &h); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return h
}

func dial(t *testing.T, h Hello) *Client {
	t.Helper()
	c, err := Dial(t.Context(), h.Control, h.Token)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// echo is an upstream that echoes what one connection sends.
func echo(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() { _ = ln.Close(); <-ended })
	go func() {
		defer close(ended)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(c, c)
			_ = c.Close()
		}
	}()
	return ln.Addr().String()
}

func TestALinkIsDrivenFromAnotherProcess(t *testing.T) {
	c, ctx := dial(t, start(t)), t.Context()
	const name = "service-0→a/b 100%" // nothing in a name may escape the path
	l, err := c.CreateLink(ctx, LinkSpec{Name: name, Network: "tcp", Address: echo(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Shape(ctx, "d/1", chaos.Effect{Direction: chaos.Upstream, Delay: 20 * units.Millisecond}); err != nil {
		t.Fatal(err)
	}
	if p, err := l.Probe(ctx, time.Minute); err != nil || p.RoundTrip < 20*units.Millisecond {
		t.Errorf("probe %+v, %v", p, err)
	}
	all, err := c.Links(ctx)
	if err != nil || len(all) != 1 || all[0].Name != name || all[0].Effects["d/1"].Delay != 20*units.Millisecond {
		t.Errorf("links %+v, %v", all, err)
	}

	conn, err := net.Dial("tcp", l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	buf := []byte("hello")
	if _, err := conn.Write(buf); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, buf); err != nil {
		t.Fatal(err)
	}
	n := counted(t, l)
	if n.Delayed != 1 || n.DelayedMicros < 20_000 || n.Open != 1 {
		t.Errorf("counters %+v", n)
	}
	wantMetrics(t, c, name)

	if err := l.Clear(ctx, "d/1"); err != nil {
		t.Error(err)
	}
	if err := l.Clear(ctx, "d/1"); err != nil {
		t.Errorf("clearing twice: %v", err)
	}
	if err := c.DeleteLink(ctx, name); err != nil {
		t.Error(err)
	}
	if err := l.Shape(ctx, "x", chaos.Effect{}); err == nil || !strings.Contains(err.Error(), "no link "+name) {
		t.Errorf("shaping a deleted link: %v", err)
	}
}

// counted waits until the five bytes count: they do once they are written, which their echo may overtake.
func counted(t *testing.T, l *Link) chaos.Counters {
	t.Helper()
	for until := time.Now().Add(time.Minute); ; {
		n, err := l.Counters(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n.BytesUp == 5 && n.BytesDown == 5 {
			return n
		}
		if time.Now().After(until) {
			t.Fatalf("never counted: %+v", n)
		}
	}
}

func wantMetrics(t *testing.T, c *Client, link string) {
	t.Helper()
	text, err := c.Metrics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`bytes_total{direction="upstream",link=%q} 5`, `open_connections{link=%q} 1`, `connections_total{link=%q} 1`,
		`active_effects{effect="delay",link=%q} 1`, `active_effects{effect="hold",link=%q} 0`,
		`delayed_chunks_total{link=%q} 1`, `resets_total{link=%q} 0`, `dial_failures_total{link=%q} 0`,
	} {
		if want = "shakedown_proxy_" + fmt.Sprintf(want, link); !strings.Contains(string(text), want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
}

func TestBrowsersAndStrangersAreRefused(t *testing.T) {
	h := start(t)
	for name, tc := range map[string]struct {
		edit func(*http.Request)
		want int
	}{
		"the token":         {func(*http.Request) {}, http.StatusOK},
		"localhost":         {func(r *http.Request) { r.Host = "localhost:80" }, http.StatusOK},
		"IPv6 loopback":     {func(r *http.Request) { r.Host = "[::1]:80" }, http.StatusOK},
		"no token":          {func(r *http.Request) { r.Header.Del("Authorization") }, http.StatusUnauthorized},
		"a wrong token":     {func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, http.StatusUnauthorized},
		"a web page":        {func(r *http.Request) { r.Header.Set("Origin", "http://localhost") }, http.StatusForbidden},
		"an opaque page":    {func(r *http.Request) { r.Header.Set("Origin", "null") }, http.StatusForbidden},
		"a rebound name":    {func(r *http.Request) { r.Host = "evil.example:80" }, http.StatusForbidden},
		"a look-alike name": {func(r *http.Request) { r.Host = "127.0.0.1.evil.example" }, http.StatusForbidden},
	} {
		for _, path := range []string{"/v1/links", "/metrics"} {
			t.Run(name+path, func(t *testing.T) {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.Control+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Authorization", "Bearer "+h.Token)
				tc.edit(r)
				wantStatus(t, r, tc.want)
			})
		}
	}
}

// wantStatus sends the request; every refusal must say why, in JSON.
func wantStatus(t *testing.T, r *http.Request, want int) {
	t.Helper()
	r.Close = true
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != want {
		t.Fatalf("%s: %s, %v; want %d", resp.Status, body, err, want)
	}
	var e errorBody
	if want >= 400 && (json.Unmarshal(body, &e) != nil || e.Error == "") {
		t.Errorf("no reason in %q", body)
	}
}

func TestBadRequestsSayWhatIsWrong(t *testing.T) {
	h := start(t)
	c := dial(t, h)
	if _, err := c.CreateLink(t.Context(), LinkSpec{Name: "a→b", Address: "127.0.0.1:1"}); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		method, path, body string
		want               int
	}{
		{"PUT", "/v1/links/a→b", `{"address": "127.0.0.1:2"}`, http.StatusConflict},
		{"PUT", "/v1/links/c", `{"address": "127.0.0.1:2", "listen": "0.0.0.0:0"}`, http.StatusBadRequest},
		{"PUT", "/v1/links/c", `{"address": "127.0.0.1:2", "name": "d"}`, http.StatusBadRequest},
		{"PUT", "/v1/links/c", `{}`, http.StatusBadRequest},
		{"PUT", "/v1/links/c", `{"address": "x"} {}`, http.StatusBadRequest},
		{"PUT", "/v1/links/a→b/effects/e", `{"dely": "1s"}`, http.StatusBadRequest},
		{"PUT", "/v1/links/a→b/effects/e", `{"delay": "-1s"}`, http.StatusBadRequest},
		{"PUT", "/v1/links/a→b/effects/e", `{"delay": 5}`, http.StatusBadRequest},
		{"POST", "/v1/links/a→b/probe", `{}`, http.StatusBadRequest},
		{"GET", "/v1/links/none", ``, http.StatusNotFound},
		{"DELETE", "/v1/links/none", ``, http.StatusNotFound},
		{"GET", "/v2", ``, http.StatusNotFound},
	} {
		t.Run(tc.method+tc.path+tc.body, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), tc.method, h.Control+tc.path, strings.NewReader(tc.body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+h.Token)
			wantStatus(t, r, tc.want)
		})
	}
}

func TestTheProxyListensOnLoopbackOnly(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "example.com:80"} {
		if err := Run(t.Context(), io.Discard, Options{Listen: addr}); err == nil {
			t.Errorf("%s was accepted", addr)
		}
	}
	if _, err := NewServer(nil, Config{}); err == nil {
		t.Error("a server without a token was made")
	}
}

func TestAProbeOfAHeldLinkDoesNotDelayTheEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, w, Options{}) }()
	var h Hello
	if err := json.NewDecoder(r).Decode(&h); err != nil {
		t.Fatal(err)
	}
	c := dial(t, h)
	l, err := c.CreateLink(ctx, LinkSpec{Name: "a→b", Address: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Shape(ctx, "hole", chaos.Effect{Hold: true}); err != nil {
		t.Fatal(err)
	}
	probed := make(chan error, 1)
	go func() {
		_, err := l.Probe(context.Background(), 5*time.Minute)
		probed <- err
	}()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := <-probed; err == nil {
		t.Error("the probe came back from a hold")
	}
}
