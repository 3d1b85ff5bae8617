package chaos

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"

	"shakedown/internal/units"
)

// BackendTerminated ends connections to PostgreSQL with pg_terminate_backend, as an administrator or a failover of a pooler does:
// their clients are told 57P01 and have to connect again. There is nothing to restore.
type BackendTerminated struct {
	Engine string `json:"engine"`
	// User and Application narrow down whose connections; left out they are everybody's but the harness's. An application is an
	// instance, as "service-1", or a role, as "service": services say who they are.
	User        string `json:"user,omitempty"`
	Application string `json:"application,omitempty"`
	// Share of them, rounded up, drawn by Seed among those in the order of their names and ages; 0 means all.
	Share float64 `json:"share,omitempty"`
	Seed  uint64  `json:"seed,omitempty"`
	// Every is how often it is done while the fault is in force; 0 means once, when it is injected.
	Every units.Duration `json:"every,omitempty"`
}

var _ Fault = (*BackendTerminated)(nil)

// Kind is "backend_terminated".
func (*BackendTerminated) Kind() string { return "backend_terminated" }

func (f *BackendTerminated) String() string {
	s := "connections to " + f.Engine + " terminated" + of(f.Share)
	if f.Application != "" {
		s += " of " + f.Application
	}
	if f.User != "" {
		s += " of user " + f.User
	}
	if f.Every > 0 {
		s += " every " + f.Every.String()
	}
	return s
}

// Validate wants an engine, a share from 0 to 1, and at least 10 ms between two rounds.
func (f *BackendTerminated) Validate() error {
	if err := checkEngineName(f.Engine); err != nil {
		return err
	}
	if !(f.Share >= 0 && f.Share <= 1) {
		return fmt.Errorf("share is %v; it must be from 0 to 1, or left out for all", f.Share)
	}
	if f.Every != 0 && f.Every < 10*units.Millisecond {
		return fmt.Errorf("every is %v; it must be at least 10ms, or left out for once", f.Every)
	}
	return nil
}

// Available wants a PostgreSQL of the run.
func (f *BackendTerminated) Available(s Surface) error {
	return availableEngine(s, f, f.Engine, PostgreSQL)
}

// Inject proves itself by the connections being gone from pg_stat_activity.
func (f *BackendTerminated) Inject(ctx context.Context, s Surface) (Injection, error) {
	return injectEngines(ctx, s, engineFault{fault: f, engine: f.Engine, pull: f.pull})
}

func (f *BackendTerminated) pull(ctx context.Context, e Engine) (lever, Evidence, error) {
	l := &terminator{fault: f, name: e.Name(), look: observer{engine: e}}
	want, got, err := l.strike(ctx)
	if err != nil {
		return nil, Evidence{}, errors.Join(err, l.look.close(ctx))
	}
	if f.Every > 0 {
		l.watch = watching(f.Every.D(), func(ctx context.Context) { _, _, _ = l.strike(ctx) }) // the next round finds the server back
	}
	return l, Evidence{
		What: "connections that were terminated on " + e.Name() + " and are gone",
		Want: float64(want), Got: float64(got), Unit: "connections", Seen: want > 0 && got == want,
	}, nil
}

// terminator ends connections round after round.
type terminator struct {
	fault *BackendTerminated
	name  string
	look  observer
	watch *watch

	mu     sync.Mutex
	rounds uint64
	ended  int
}

// A connection is named by its process and its beginning: numbers of processes come again.
const (
	pgConnection = `pid::text || ' ' || backend_start::text`
	pgMatching   = `SELECT coalesce(array_agg(` + pgConnection + ` ORDER BY application_name, backend_start, pid), '{}') FROM pg_stat_activity
		WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND application_name NOT LIKE 'shakedown-harness%'
		AND ($1 = '' OR usename = $1) AND ($2 = '' OR application_name = $2 OR regexp_replace(application_name, '-[0-9]+$', '') = $2)`
	pgTerminate = `SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity WHERE ` + pgConnection + ` = ANY ($1)`
	pgPresent   = `SELECT count(*) FROM pg_stat_activity WHERE ` + pgConnection + ` = ANY ($1)`
)

// strike terminates one round's connections and waits until they are gone.
func (l *terminator) strike(ctx context.Context) (want, got int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []string
	if err := l.look.row(ctx, pgMatching, []any{l.fault.User, l.fault.Application}, &found); err != nil {
		return 0, 0, err
	}
	chosen := choose(found, l.fault.Share, l.fault.Seed, l.rounds)
	l.rounds++
	if len(chosen) == 0 {
		return 0, 0, nil
	}
	if _, err := l.look.count(ctx, pgTerminate, chosen); err != nil {
		return len(chosen), 0, err
	}
	left := int64(len(chosen))
	_, err = within(ctx, leverTime, func(ctx context.Context) (gone bool, err error) {
		left, err = l.look.count(ctx, pgPresent, chosen)
		return left == 0, err
	})
	if err == nil {
		got = len(chosen) - int(left)
	}
	l.ended += got
	return len(chosen), got, err
}

// choose draws a share of what there is, rounded up; 0 means all.
func choose(from []string, share float64, seed, round uint64) []string {
	if share == 0 {
		return from
	}
	rand.New(rand.NewPCG(seed, round)).Shuffle(len(from), func(i, j int) { from[i], from[j] = from[j], from[i] })
	return from[:int(math.Ceil(share*float64(len(from))))]
}

func (l *terminator) met(context.Context) Evidence {
	if l.watch != nil {
		l.watch.stop()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return Evidence{
		What: fmt.Sprintf("connections of real traffic that were terminated on %s, in %d rounds", l.name, l.rounds),
		Got:  float64(l.ended), Want: 1, Unit: "connections", Seen: l.ended > 0,
	}
}

func (l *terminator) release(ctx context.Context) error {
	if l.watch != nil {
		l.watch.stop()
	}
	_ = l.look.close(ctx) // nothing depends on the goodbye
	return nil
}
