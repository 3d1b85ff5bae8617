package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"shakedown/bench"
)

// drainBound is how long requests in flight may take to end when the service is told to stop.
const drainBound = 2 * time.Second

// A Server is the HTTP side of one process of a pattern. Routes, checks, pools and background work are added before
// Serve, which may be called once. It implements bench.Service.
type Server struct {
	env   bench.Env
	drain time.Duration
	log   *slog.Logger

	registry *prometheus.Registry
	metrics  *metrics
	mux      *http.ServeMux
	requests inFlight
	checks   checks
	spans    *lineFile
	history  *lineFile

	background []task
	closers    []closer
	closeOnce  sync.Once
	closeErr   error
}

var _ bench.Service = (*Server)(nil)

type task struct {
	name string
	run  func(context.Context) error
}

type closer struct {
	name  string
	close func(context.Context) error
}

// An Option changes how a Server behaves.
type Option func(*Server)

// Drain sets how long requests in flight may take to end when the service stops; without it, two seconds.
func Drain(d time.Duration) Option { return func(s *Server) { s.drain = d } }

// Logger sets where the server reports panics; without it, slog's default.
func Logger(l *slog.Logger) Option { return func(s *Server) { s.log = l } }

// New makes the server of one process. It has a metrics registry of its own, so that several fit in one test process.
func New(env bench.Env, opts ...Option) *Server {
	s := &Server{
		env: env, drain: drainBound, log: slog.Default(),
		registry: prometheus.NewRegistry(), mux: http.NewServeMux(), spans: openLines("a span", env.Spans),
		history: openLines("a line of the history", env.HistoryFile()),
	}
	for _, opt := range opts {
		opt(s)
	}
	s.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{PidFn: ownPID}),
	)
	s.metrics = newMetrics(s.registry)
	s.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	s.mux.HandleFunc("GET /readyz", s.checks.serveHTTP)
	s.mux.Handle("GET /metrics", promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{Registry: s.registry}))
	s.mux.HandleFunc("/debug/pprof/", pprof.Index)
	s.mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	s.mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	s.mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	s.mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	s.OnStop("spans", func(context.Context) error { return s.spans.close() })
	s.OnStop("history", func(context.Context) error { return s.history.close() })
	return s
}

// ownPID is this process's number in the namespace that /proc shows, which is not os.Getpid's when the process is the
// first of a pid namespace of its own and /proc is the machine's (pid_namespaces(7)).
func ownPID() (int, error) {
	self, err := os.Readlink("/proc/self")
	if err != nil {
		return 0, fmt.Errorf("finding the process in /proc: %w", err)
	}
	return strconv.Atoi(filepath.Base(self))
}

// Env is what the process was told about its trial.
func (s *Server) Env() bench.Env { return s.env }

// Registry is where a pattern registers metrics of its own: prefix shakedown_, base units, bounded labels.
func (s *Server) Registry() prometheus.Registerer { return s.registry }

// Go adds work that runs beside the requests, such as a refresher or a relay. Serve starts it, ends its context when the
// service stops, and waits for it. An error it returns before that stops the service.
func (s *Server) Go(name string, run func(ctx context.Context) error) {
	s.background = append(s.background, task{name, run})
}

// OnStop adds a clean-up that runs after the last request and all background work, last added first. Its context has
// a deadline of its own.
func (s *Server) OnStop(name string, cleanUp func(ctx context.Context) error) {
	s.closers = append(s.closers, closer{name, cleanUp})
}

// Serve answers on ln until ctx is done. Then it refuses new work, gives requests in flight the drain bound to end,
// cancels those that remain, waits for every goroutine and runs the clean-ups. The error says what did not end well:
// the listener, background work, a handler that ignores its context, a clean-up, or a span that could not be written.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	work, cancelWork := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelWork()
	srv := &http.Server{
		Handler:           s.mux,
		BaseContext:       func(net.Listener) context.Context { return work },
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	g, running := errgroup.WithContext(ctx)
	for _, t := range s.background {
		g.Go(func() error {
			if err := t.run(running); err != nil && running.Err() == nil {
				return fmt.Errorf("background work %s: %w", t.name, err)
			}
			return nil
		})
	}
	g.Go(func() error {
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serving on %s: %w", ln.Addr(), err)
		}
		return nil
	})
	ended := make(chan error, 1)
	go func() { ended <- g.Wait() }()
	<-running.Done()
	return errors.Join(s.stop(ctx, srv, cancelWork, ended), s.Close())
}

// stop drains, cancels and waits. It is bounded: what is still running after twice the drain bound is named, not waited for.
func (s *Server) stop(ctx context.Context, srv *http.Server, cancelWork func(), ended <-chan error) error {
	s.checks.stopping.Store(true)
	drained, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.drain)
	defer cancel()
	if srv.Shutdown(drained) != nil {
		_ = srv.Close() // what did not drain in time is cut off; its handlers see their context end
	}
	cancelWork()
	bound := time.NewTimer(s.drain)
	defer bound.Stop()
	var err error
	select {
	case err = <-ended:
	case <-bound.C:
		return errors.New("background work did not end with its context")
	}
	select {
	case <-s.requests.close():
	case <-bound.C:
		err = errors.Join(err, fmt.Errorf("%d handlers did not end with their context", s.requests.count()))
	}
	return err
}

// Close runs the clean-ups. Serve calls it; a role's New calls it when it gives up after it made pools or clients.
// It is idempotent.
func (s *Server) Close() error {
	s.closeOnce.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), s.drain)
		defer cancel()
		var errs []error
		for i := len(s.closers) - 1; i >= 0; i-- {
			if err := s.closers[i].close(ctx); err != nil {
				errs = append(errs, fmt.Errorf("closing %s: %w", s.closers[i].name, err))
			}
		}
		s.closeErr = errors.Join(errs...)
	})
	return s.closeErr
}

// inFlight counts handlers, so that stopping can wait for them: http.Server forgets those whose connection it closed.
type inFlight struct {
	mu     sync.Mutex
	n      int
	closed bool
	idle   chan struct{}
}

// enter says whether a handler may start.
func (f *inFlight) enter() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return false
	}
	f.n++
	return true
}

func (f *inFlight) exit() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n--
	if f.closed && f.n == 0 {
		close(f.idle)
	}
}

// close lets no further handler start; the channel closes when the last one has ended. It may be called once.
func (f *inFlight) close() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.idle = make(chan struct{})
	if f.n == 0 {
		close(f.idle)
	}
	return f.idle
}

func (f *inFlight) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}
