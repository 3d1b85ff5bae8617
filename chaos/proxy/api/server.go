package api

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"shakedown/chaos"
	"shakedown/chaos/proxy"
)

const (
	bodyBytes    = 64 << 10
	shutdownTime = 2 * time.Second
	longestProbe = 10 * time.Minute
)

// A Server answers the control API of one proxy.
type Server struct {
	proxy *proxy.Proxy
	token string
	mux   *http.ServeMux
}

// NewServer serves the proxy to whoever has the token. Without a token there is no server.
func NewServer(p *proxy.Proxy, token string) (*Server, error) {
	if token == "" {
		return nil, errors.New("the control API needs a token")
	}
	s := &Server{proxy: p, token: token, mux: http.NewServeMux()}
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(collector{p}); err != nil {
		return nil, fmt.Errorf("metrics of the proxy: %w", err)
	}
	s.mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	for pattern, h := range map[string]func(*http.Request) (any, error){
		"GET /v1/links":                        s.links,
		"PUT /v1/links/{name}":                 s.create,
		"GET /v1/links/{name}":                 onLink(p, s.link),
		"DELETE /v1/links/{name}":              s.remove,
		"PUT /v1/links/{name}/effects/{id}":    onLink(p, s.shape),
		"DELETE /v1/links/{name}/effects/{id}": onLink(p, s.clear),
		"POST /v1/links/{name}/probe":          onLink(p, s.probe),
		"GET /v1/links/{name}/counters":        onLink(p, s.counters),
	} {
		s.mux.HandleFunc(pattern, answer(h))
	}
	s.mux.HandleFunc("/", answer(func(r *http.Request) (any, error) {
		return nil, refuse(http.StatusNotFound, "no such resource: %s %s", r.Method, r.URL.Path)
	}))
	return s, nil
}

// ServeHTTP refuses browsers and strangers before anything else: a page in a browser can reach loopback, by a
// cross-site request (Origin) or by a name that it makes resolve to 127.0.0.1 (Host; DNS rebinding).
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	want := "Bearer " + s.token
	switch {
	case r.Header.Get("Origin") != "":
		fail(w, refuse(http.StatusForbidden, "requests of web pages are refused"))
	case !loopbackHost(r.Host):
		fail(w, refuse(http.StatusForbidden, "host %q is not this machine's loopback", r.Host))
	case subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte(want)) != 1:
		w.Header().Set("WWW-Authenticate", "Bearer")
		fail(w, refuse(http.StatusUnauthorized, "a bearer token is needed"))
	default:
		r.Body = http.MaxBytesReader(w, r.Body, bodyBytes)
		s.mux.ServeHTTP(w, r)
	}
}

// Serve answers on ln, which must be on loopback, until ctx is done, and returns once every request has ended.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	if !loopbackHost(ln.Addr().String()) {
		_ = ln.Close()
		return fmt.Errorf("the control API listens on loopback only, not on %s", ln.Addr())
	}
	requests, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	srv := &http.Server{
		Handler: s, ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: bodyBytes,
		BaseContext: func(net.Listener) context.Context { return requests },
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	select {
	case err := <-served:
		return fmt.Errorf("control API: %w", err)
	case <-ctx.Done():
	}
	cancel() // probes that wait for a held link give up
	grace, done := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer done()
	err := srv.Shutdown(grace)
	if err != nil {
		err = errors.Join(fmt.Errorf("control API: %w", err), srv.Close())
	}
	<-served //nolint:errcheck // http.ErrServerClosed, as asked
	return err
}

// loopbackHost says whether a Host header or an address names this machine's loopback.
func loopbackHost(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// A refusal is an error with its status.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

func refuse(status int, format string, args ...any) error {
	return &refusal{status, fmt.Sprintf(format, args...)}
}

// answer writes what a handler returns: a value, nothing, or an error.
func answer(h func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := h(r)
		switch {
		case err != nil:
			fail(w, err)
		case v == nil:
			w.WriteHeader(http.StatusNoContent)
		default:
			write(w, http.StatusOK, v)
		}
	}
}

func fail(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	if r, ok := errors.AsType[*refusal](err); ok {
		status = r.status
	}
	write(w, status, errorBody{err.Error()})
}

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // fails when the client is gone, who then needs no answer
}

// read decodes the request's body and refuses what it does not know.
func read(r *http.Request, into any) error {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return refuse(http.StatusBadRequest, "body: %v", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return refuse(http.StatusBadRequest, "body: more than one value")
	}
	return nil
}

// onLink finds the link that the path names.
func onLink(p *proxy.Proxy, h func(*http.Request, *proxy.Link) (any, error)) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		l, ok := p.Link(r.PathValue("name"))
		if !ok {
			return nil, refuse(http.StatusNotFound, "no link %s", r.PathValue("name"))
		}
		return h(r, l)
	}
}

func info(l *proxy.Link) LinkInfo {
	return LinkInfo{LinkSpec: l.Spec(), Addr: l.Addr(), Effects: l.Effects()}
}

func (s *Server) links(*http.Request) (any, error) {
	all := []LinkInfo{}
	for _, l := range s.proxy.Links() {
		all = append(all, info(l))
	}
	return all, nil
}

func (*Server) link(_ *http.Request, l *proxy.Link) (any, error) { return info(l), nil }

func (s *Server) create(r *http.Request) (any, error) {
	spec := LinkSpec{Name: r.PathValue("name")}
	if err := read(r, &spec); err != nil {
		return nil, err
	}
	if spec.Name != r.PathValue("name") {
		return nil, refuse(http.StatusBadRequest, "the body names the link %q, the path %q", spec.Name, r.PathValue("name"))
	}
	if spec.Listen != "" && !loopbackHost(spec.Listen) {
		return nil, refuse(http.StatusBadRequest, "links listen on loopback only, not on %s", spec.Listen)
	}
	l, err := s.proxy.Create(r.Context(), spec)
	switch {
	case errors.Is(err, proxy.ErrExists):
		return nil, refuse(http.StatusConflict, "%v", err)
	case err != nil:
		return nil, refuse(http.StatusBadRequest, "%v", err)
	}
	return info(l), nil
}

func (s *Server) remove(r *http.Request) (any, error) {
	if !s.proxy.Delete(r.PathValue("name")) {
		return nil, refuse(http.StatusNotFound, "no link %s", r.PathValue("name"))
	}
	return nil, nil
}

func (*Server) shape(r *http.Request, l *proxy.Link) (any, error) {
	var e chaos.Effect
	if err := read(r, &e); err != nil {
		return nil, err
	}
	if err := l.Shape(r.Context(), r.PathValue("id"), e); err != nil {
		return nil, refuse(http.StatusBadRequest, "%v", err)
	}
	return nil, nil
}

func (*Server) clear(r *http.Request, l *proxy.Link) (any, error) {
	return nil, l.Clear(r.Context(), r.PathValue("id"))
}

func (*Server) probe(r *http.Request, l *proxy.Link) (any, error) {
	var ask probeRequest
	if err := read(r, &ask); err != nil {
		return nil, err
	}
	if ask.GiveUp <= 0 || ask.GiveUp.D() > longestProbe {
		return nil, refuse(http.StatusBadRequest, "give_up is %s; it must be above 0 and at most %s", ask.GiveUp, longestProbe)
	}
	return l.Probe(r.Context(), ask.GiveUp.D())
}

func (*Server) counters(r *http.Request, l *proxy.Link) (any, error) { return l.Counters(r.Context()) }
