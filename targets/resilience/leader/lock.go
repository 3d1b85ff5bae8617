package leader

import (
	"context"
	"errors"
	"sync"
	"time"

	"shakedown/internal/clock"
)

// errLost is what the store says of a role that it has not given to the one who asks, or no longer.
var errLost = errors.New("the role is not ours any more")

// A grant is the role as the store gave it. term is its fencing token; token, lease or session are the store's own names for it.
type grant struct {
	term  int64
	token string
	store any
}

// A lock gives the role to one at a time. All calls end with their context.
type lock interface {
	// await returns when the role may be free.
	await(ctx context.Context) error
	// acquire asks once; the grant is nil when another has the role.
	acquire(ctx context.Context, token string) (*grant, error)
	// renew asks for a TTL more from now on; errLost says that the role is another's.
	renew(ctx context.Context, g *grant) error
	// release gives the role back, if it is still ours.
	release(ctx context.Context, g *grant) error
}

// A lease is a grant, and what its holder believes of it.
type lease struct {
	*grant
	id    string
	check string

	mu    sync.Mutex
	until time.Duration // by the holder's clock: the TTL counted from before the store was asked
	lost  bool          // the store said so
}

func (l *lease) extend(until time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = until
}

func (l *lease) lose() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = true
}

// left is how long the lease still runs, as far as its holder looks: one that never looks believes in it until it is told.
func (l *lease) left() (time.Duration, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost {
		return 0, false
	}
	left := l.until - clock.Now()
	return left, left > 0 || l.check == checkNever
}

// keep renews the lease until ctx is done or the store says that it is lost.
func (s *service) keep(ctx context.Context, l *lease) {
	tick := time.NewTicker(s.config.renewal())
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		asked := clock.Now()
		err := s.ask(ctx, func(ctx context.Context) error { return s.lock.renew(ctx, l.grant) })
		switch {
		case err == nil:
			l.extend(asked + s.config.TTL.D())
		case errors.Is(err, errLost):
			l.lose()
			return
		}
	}
}

// ask calls the store, counts the call, and gives it a TTL to answer.
func (s *service) ask(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.config.TTL.D())
	defer cancel()
	var said error
	err := s.store.Do(ctx, func(ctx context.Context) error {
		said = call(ctx)
		if errors.Is(said, errLost) {
			return nil // an answer
		}
		return said
	})
	return errors.Join(err, said)
}
