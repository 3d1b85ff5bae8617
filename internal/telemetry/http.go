package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// A Target is a service that Prometheus should scrape. Labels are added to all that is scraped from it.
type Target struct {
	Addr   string // host:port
	Labels map[string]string
}

// SetTargets says which services are up; it replaces what was said before.
func (h *Hub) SetTargets(targets []Target) {
	own := make([]Target, 0, len(targets))
	for _, t := range targets {
		own = append(own, Target{t.Addr, maps.Clone(t.Labels)})
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.targets = own
}

// Handler serves /metrics and /sd, the targets in the form of Prometheus's HTTP service discovery
// (https://prometheus.io/docs/prometheus/latest/http_sd/).
func (h *Hub) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(h.registry, promhttp.HandlerOpts{Registry: h.registry}))
	mux.HandleFunc("GET /sd", h.serveTargets)
	return mux
}

// targetGroup is one entry of the list that HTTP service discovery reads.
type targetGroup struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels,omitempty"`
}

func (h *Hub) serveTargets(w http.ResponseWriter, _ *http.Request) {
	h.mu.Lock()
	targets := slices.Clone(h.targets)
	h.mu.Unlock()
	groups := make([]targetGroup, 0, len(targets)) // no targets are [], not null, which Prometheus refuses
	for _, t := range targets {
		groups = append(groups, targetGroup{[]string{t.Addr}, t.Labels})
	}
	body, err := json.Marshal(groups)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json") // Prometheus insists on it
	_, _ = w.Write(body)
}

// serving is the server that Serve started.
type serving struct {
	wg  sync.WaitGroup
	mu  sync.Mutex
	err error
}

// Serve answers on addr until ctx is done, and returns the address it got; port 0 asks for a free one. The address must
// be loopback, because what is shown is nobody else's business and there is no password. Wait waits for the end.
func (h *Hub) Serve(ctx context.Context, addr string) (actual string, err error) {
	if err := loopback(addr); err != nil {
		return "", err
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return "", fmt.Errorf("listening: %w", err)
	}
	srv := &http.Server{Handler: h.Handler(), ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan struct{})
	h.serving.wg.Go(func() {
		defer close(ended)
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			h.serving.fail(fmt.Errorf("serving telemetry on %s: %w", ln.Addr(), err))
		}
	})
	h.serving.wg.Go(func() {
		select {
		case <-ctx.Done():
		case <-ended:
		}
		_ = srv.Close() // a scrape that is cut off is made again
	})
	return ln.Addr().String(), nil
}

// Wait returns once everything that Serve started has ended, which is after its context, and says what went wrong.
func (h *Hub) Wait() error {
	h.serving.wg.Wait()
	h.serving.mu.Lock()
	defer h.serving.mu.Unlock()
	return h.serving.err
}

func (s *serving) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = errors.Join(s.err, err)
}

func loopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("address %q: %w", addr, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("address %q is not loopback; write 127.0.0.1:PORT", addr)
	}
	return nil
}
