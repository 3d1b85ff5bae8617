package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"shakedown/bench"
	"shakedown/internal/clock"
)

// The response headers by which a service says more than a status does, in canonical form.
const (
	outcomeHeader = "Shakedown-Outcome" // "degraded" or "refused"
	flagsHeader   = "Shakedown-Flags"   // as bench.ParseFlags reads them
	valueHeader   = "Shakedown-Value"   // an int64
)

// HTTPClient is a Client on net/http: HTTP/1.1, no proxy, no compression, no redirects, no limit on connections, and no
// retries, not even those that net/http does by itself: each would be a request that the ledger does not know.
type HTTPClient struct {
	bases       []*url.URL
	transport   *http.Transport
	multiplexed bool               // requests share connections
	end         context.CancelFunc // of dials

	mu     sync.Mutex // orders dials.Add before dials.Wait
	closed bool
	dials  sync.WaitGroup
}

var _ Client = (*HTTPClient)(nil)

// NewHTTPClient is a client of the instances at the given base URLs, such as "http://127.0.0.1:8080". Arrival seq goes
// to instance seq mod n. The caller ends it with Close.
func NewHTTPClient(bases ...string) (*HTTPClient, error) {
	if len(bases) == 0 {
		return nil, errors.New("load: an HTTP client needs a base URL")
	}
	life, end := context.WithCancel(context.Background())
	c := &HTTPClient{end: end}
	for _, base := range bases {
		u, err := url.Parse(base)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			end()
			return nil, fmt.Errorf("load: %q is not the URL of a server, such as http://127.0.0.1:8080", base)
		}
		u.Path = strings.TrimSuffix(u.Path, "/")
		c.bases = append(c.bases, u)
	}
	dialer := &net.Dialer{KeepAlive: -1} // keep-alive probes would be system calls for nothing
	c.transport = &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			// net/http lets a dial outlive its request, and even begin after it; Close lets neither outlive the client.
			if !c.beginDial() {
				return nil, net.ErrClosed
			}
			defer c.dials.Done()
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			defer context.AfterFunc(life, cancel)()
			return dialer.DialContext(ctx, network, addr)
		},
		DisableCompression:  true,
		MaxIdleConnsPerHost: 1 << 20,
		ReadBufferSize:      2 << 10, // answers are small, connections are many
		WriteBufferSize:     2 << 10,
		TLSNextProto:        map[string]func(string, *tls.Conn) http.RoundTripper{}, // not nil: no HTTP/2
	}
	return c, nil
}

// Close closes idle connections and ends dials that outlived their requests. No request may be in flight.
func (c *HTTPClient) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.end()
	c.dials.Wait()
	c.transport.CloseIdleConnections()
}

// beginDial counts a dial, unless the client is closed.
func (c *HTTPClient) beginDial() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.dials.Add(1)
	return true
}

// Do sends one request. A 2xx is OK, 429 and 503 are Refused, any other status is Failed, and the service may say
// "degraded" of a 2xx, and "refused" or "unsure" of anything, in the header Shakedown-Outcome. Without a whole answer the request is
// Failed when nothing of it has left, and Unsure otherwise.
func (c *HTTPClient) Do(ctx context.Context, seq uint64, r bench.Request, timeout time.Duration) Answer {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	t := &attempt{cancel: cancel, shared: c.multiplexed}
	began := clock.Now()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: t.gotConn, WroteHeaders: t.wroteHeaders})
	req, err := c.request(ctx, seq, r)
	if err != nil {
		return Answer{Outcome: bench.Failed, Cause: "a path that cannot be sent"}
	}
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return Answer{Outcome: t.outcome(err), Wait: t.waited(began), Cause: cause(err, t.left())}
	}
	a := answer(resp)
	a.Wait = t.waited(began)
	if resp.StatusCode == http.StatusSwitchingProtocols {
		_ = resp.Body.Close() // it is the connection, and has neither an end nor a time-out
		return a
	}
	if err := discard(resp.Body); err != nil && a.Outcome.Answered() {
		a.Outcome, a.Cause = bench.Unsure, cause(err, true) // the answer broke off
	}
	return a
}

// requestHeader is that of every request; net/http does not write to it.
var requestHeader = http.Header{"User-Agent": {"shakedown"}}

// request is cheaper than http.NewRequestWithContext, which parses the URL. Workloads' paths are ready for the wire.
func (c *HTTPClient) request(ctx context.Context, seq uint64, r bench.Request) (*http.Request, error) {
	base := c.bases[seq%uint64(len(c.bases))]
	u := &url.URL{Scheme: base.Scheme, Host: base.Host}
	u.Path, u.RawQuery, _ = strings.Cut(r.Path, "?")
	if strings.IndexByte(u.Path, '%') >= 0 {
		path, err := url.PathUnescape(u.Path)
		if err != nil {
			return nil, err
		}
		u.RawPath, u.Path = base.Path+u.Path, path
	}
	u.Path = base.Path + u.Path
	req := &http.Request{
		Method: r.Method, URL: u, Host: base.Host, Header: requestHeader,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	if r.Header != nil {
		req.Header = r.Header
	}
	if host := first(req.Header, "Host"); host != "" {
		req.Host = host // net/http sends this one, and not the header's
	}
	if len(r.Body) > 0 {
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(r.Body)), int64(len(r.Body))
	}
	return req.WithContext(ctx), nil
}

func answer(resp *http.Response) Answer {
	a := Answer{Outcome: bench.Failed}
	said := first(resp.Header, outcomeHeader)
	switch {
	case said == "refused" || resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable:
		a.Outcome = bench.Refused
	case said == "unsure":
		a.Outcome = bench.Unsure
	case resp.StatusCode/100 != 2:
	case said == "degraded":
		a.Outcome = bench.Degraded
	default:
		a.Outcome = bench.OK
	}
	if a.Outcome != bench.OK {
		a.Cause = statusCause(resp.StatusCode)
	}
	a.Flags = bench.ParseFlags(first(resp.Header, flagsHeader))
	if v, err := strconv.ParseInt(first(resp.Header, valueHeader), 10, 64); err == nil {
		a.Value = v // a service that states no value, or not a number, has value 0
	}
	return a
}

// first is Header.Get for a key that is canonical.
func first(h http.Header, key string) string {
	if v := h[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}

var buffers = sync.Pool{New: func() any { return new([16 << 10]byte) }}

// discard reads a body to its end: an answer is done when all of it is there. What has no end ends with the request's time-out.
func discard(body io.ReadCloser) (err error) {
	buf := buffers.Get().(*[16 << 10]byte)
	defer buffers.Put(buf)
	for err == nil {
		_, err = body.Read(buf[:])
	}
	_ = body.Close() // what it says about the connection is net/http's to know
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// An attempt follows one request through net/http, to know whether any of it may have left, and when.
type attempt struct {
	sent   atomic.Int64 // a time of clock.Now; 0: it has not left
	shared bool         // its connection is other requests' too
	cancel context.CancelFunc
}

// wroteHeaders: from here on the request may be on the wire.
func (t *attempt) wroteHeaders() { t.sent.CompareAndSwap(0, int64(clock.Now())) }

func (t *attempt) left() bool { return t.sent.Load() != 0 }

// waited is how long the request, begun then, had no connection, or no room on one.
func (t *attempt) waited(began time.Duration) time.Duration {
	if sent := t.sent.Load(); sent != 0 {
		return time.Duration(sent) - began
	}
	return clock.Now() - began
}

// gotConn is called again when net/http retries by itself, as it does with a GET whose idle connection turned out to be
// closed. When the first attempt may have left, the retry must not: its connection is closed under it, unless others use that too.
func (t *attempt) gotConn(info httptrace.GotConnInfo) {
	if !t.left() {
		return
	}
	t.cancel()
	if !t.shared {
		_ = info.Conn.Close()
	}
}

// short are errors of the generator's own machine: the request did not fail, it was never sent.
var short = []error{syscall.EMFILE, syscall.ENFILE, syscall.EADDRNOTAVAIL, syscall.ENOBUFS, syscall.ENOMEM}

func (t *attempt) outcome(err error) bench.Outcome {
	if t.left() {
		return bench.Unsure
	}
	for _, e := range short {
		if errors.Is(err, e) {
			return bench.Unsent
		}
	}
	return bench.Failed
}
