package serve

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// readyTimeout bounds all ready checks of one question together.
const readyTimeout = time.Second

// checks are what must be true before a service takes load.
type checks struct {
	list     []check
	stopping atomic.Bool
}

type check struct {
	name string
	ask  func(context.Context) error
}

// Ready adds a condition for /readyz: the service is ready when every check returns nil within a second. Pools and
// clients made by this package bring their own.
func (s *Server) Ready(name string, ask func(ctx context.Context) error) {
	s.checks.list = append(s.checks.list, check{name, ask})
}

// err asks all checks at once and says what keeps the service from being ready.
func (c *checks) err(ctx context.Context) error {
	if c.stopping.Load() {
		return errors.New("stopping")
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	errs := make([]error, len(c.list))
	var wg sync.WaitGroup
	for i, check := range c.list {
		wg.Go(func() {
			if err := check.ask(ctx); err != nil {
				errs[i] = fmt.Errorf("%s: %w", check.name, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (c *checks) serveHTTP(w http.ResponseWriter, r *http.Request) {
	if err := c.err(r.Context()); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("ready\n"))
}
