package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"shakedown/chaos"
	"shakedown/chaos/proxy"
)

const (
	headerBytes  = 64 << 10
	bodyBytes    = 4 << 20 // a trace of delays is the longest
	shutdownTime = 2 * time.Second
	longestProbe = 10 * time.Minute
)

// Config is what a server serves beside the proxy's own resources, and to whom.
type Config struct {
	Guard Guard
	// AllowLink says why a link must not be; nil wants links that listen on loopback.
	AllowLink func(LinkSpec) error
	// Rest answers what is neither below /v1 nor /metrics; nil leaves it unanswered.
	Rest http.Handler
	// Metrics are served beside the proxy's own.
	Metrics []prometheus.Collector
}

// A Server answers the control API of one proxy.
type Server struct {
	proxy   *proxy.Proxy
	config  Config
	faults  *ledger
	mux     *http.ServeMux
	handler http.Handler
}

// NewServer serves the proxy to those whom the guard lets in; one that lets in nobody is an error.
func NewServer(p *proxy.Proxy, c Config) (*Server, error) {
	if c.Guard.Token == "" && !c.Guard.Loopback {
		return nil, errors.New("the control API needs a token")
	}
	if c.AllowLink == nil {
		c.AllowLink = loopbackOnly
	}
	s := &Server{proxy: p, config: c, faults: newLedger(p), mux: http.NewServeMux()}
	s.handler = c.Guard.protects(s.mux)
	registry := prometheus.NewPedanticRegistry()
	for _, m := range append([]prometheus.Collector{collector{p}}, c.Metrics...) {
		if err := registry.Register(m); err != nil {
			return nil, fmt.Errorf("metrics of the proxy: %w", err)
		}
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
		"GET /v1/faults":                       s.faultsInForce,
		"POST /v1/faults":                      s.inject,
		"GET /v1/faults/{id}":                  s.fault,
		"DELETE /v1/faults/{id}":               s.heal,
	} {
		s.mux.HandleFunc(pattern, limited(answer(h)))
	}
	for pattern, h := range ruleHandlers(p) {
		s.mux.HandleFunc(pattern, limited(answer(h)))
	}
	s.mux.HandleFunc("/v1/", answer(unknown))
	if c.Rest == nil {
		c.Rest = answer(unknown)
	}
	s.mux.Handle("/", c.Rest)
	return s, nil
}

// loopbackOnly is what a run wants of its links.
func loopbackOnly(s LinkSpec) error {
	if s.Listen != "" && !loopbackHost(s.Listen) {
		return fmt.Errorf("links listen on loopback only, not on %s", s.Listen)
	}
	return nil
}

func unknown(r *http.Request) (any, error) {
	return nil, refuse(http.StatusNotFound, "no such resource: %s %s", r.Method, r.URL.Path)
}

// limited bounds the body of a request.
func limited(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, bodyBytes)
		next(w, r)
	}
}

// ServeHTTP refuses browsers and strangers before anything else.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Serve answers on ln until ctx is done, and returns once every request has ended. What is not on loopback must have a
// token. Faults that are in force then go with the links, when the proxy is closed.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	if s.config.Guard.Token == "" && !loopbackHost(ln.Addr().String()) {
		_ = ln.Close()
		return fmt.Errorf("the control API listens on loopback only, not on %s, while it has no token", ln.Addr())
	}
	defer s.faults.close()
	requests, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	srv := &http.Server{
		Handler: s, ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: headerBytes,
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

func refuse(status int, format string, args ...any) error {
	return &Refusal{status, fmt.Sprintf(format, args...)}
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
	if r, ok := errors.AsType[*Refusal](err); ok {
		status = r.Status
	}
	write(w, status, errorBody{err.Error(), status})
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
	now, since := time.Now(), map[string]time.Time{}
	for id, age := range l.Ages() {
		since[id] = now.Add(-age)
	}
	return LinkInfo{LinkSpec: l.Spec(), Addr: l.Addr(), Effects: l.Effects(), Since: since}
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
	if err := s.config.AllowLink(spec); err != nil {
		return nil, refuse(http.StatusBadRequest, "%v", err)
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
