package serve

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

// A Dependency counts the calls that a service makes to something behind it. Attempts over requests is amplification,
// so a call that never leaves (breaker open, pool empty) must not pass through it.
type Dependency struct {
	attempts                prometheus.Counter
	timeout, refused, other prometheus.Counter
	seconds                 prometheus.Observer
}

// Dependency is the counter for calls to the named dependency; the same name gives the same series.
func (s *Server) Dependency(name string) *Dependency {
	return &Dependency{
		attempts: s.metrics.attempts.WithLabelValues(name),
		timeout:  s.metrics.errors.WithLabelValues(name, "timeout"),
		refused:  s.metrics.errors.WithLabelValues(name, "refused"),
		other:    s.metrics.errors.WithLabelValues(name, "other"),
		seconds:  s.metrics.waits.WithLabelValues(name),
	}
}

// Do makes one attempt and returns its error unchanged. A context that has ended already is no attempt.
func (d *Dependency) Do(ctx context.Context, call func(ctx context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	done := d.Attempt()
	err := call(ctx)
	done(err)
	return err
}

// Attempt counts the start of one call; the returned function, called once, ends it with the call's error. "Not there"
// (pgx.ErrNoRows, redis.Nil) is an answer, not an error.
func (d *Dependency) Attempt() func(err error) {
	d.attempts.Inc()
	start := time.Now()
	return func(err error) {
		d.seconds.Observe(time.Since(start).Seconds())
		switch {
		case err == nil, errors.Is(err, pgx.ErrNoRows), errors.Is(err, redis.Nil):
		case isTimeout(err):
			d.timeout.Inc()
		case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, ErrRefused):
			d.refused.Inc()
		default:
			d.other.Inc()
		}
	}
}
