package chaos

import (
	"context"
	"errors"
	"fmt"
)

// IdleInTransaction is a session of ours with a transaction that has a snapshot and does nothing: VACUUM may remove no row that
// was dead after it began. Healing rolls it back.
type IdleInTransaction struct {
	Engine string `json:"engine"`
}

var _ Fault = (*IdleInTransaction)(nil)

// Kind is "idle_in_transaction".
func (*IdleInTransaction) Kind() string { return "idle_in_transaction" }

func (f *IdleInTransaction) String() string { return "transaction idle on " + f.Engine }

// Validate wants the name of an engine.
func (f *IdleInTransaction) Validate() error { return checkEngineName(f.Engine) }

// Available wants a PostgreSQL of the run.
func (f *IdleInTransaction) Available(s Surface) error {
	return availableEngine(s, f, f.Engine, PostgreSQL)
}

// Inject proves itself by pg_stat_activity: the session is idle in its transaction, and holds an xmin.
func (f *IdleInTransaction) Inject(ctx context.Context, s Surface) (Injection, error) {
	return injectEngines(ctx, s, engineFault{fault: f, engine: f.Engine, pull: f.pull})
}

func (f *IdleInTransaction) pull(ctx context.Context, e Engine) (lever, Evidence, error) {
	s, err := sessionOf(ctx, e)
	if err != nil {
		return nil, Evidence{}, err
	}
	l := &idleSession{heldSession{name: e.Name(), session: s, pid: s.PID(), look: observer{engine: e}}}
	for _, sql := range []string{"BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT 1"} { // which takes the snapshot
		if err == nil {
			_, err = s.Exec(ctx, sql)
		}
	}
	proof := Evidence{What: "a session of " + e.Name() + " that is idle in a transaction and holds an xmin"}
	if err == nil {
		proof.Seen, err = within(ctx, leverTime, func(ctx context.Context) (bool, error) {
			return l.look.yes(ctx, `SELECT EXISTS (SELECT FROM pg_stat_activity
				WHERE pid = $1 AND state = 'idle in transaction' AND backend_xmin IS NOT NULL)`, l.pid)
		})
	}
	if err != nil {
		return nil, proof, errors.Join(err, l.release(ctx))
	}
	return l, proof, nil
}

// idleSession holds no lock that anybody waits for.
type idleSession struct{ heldSession }

func (l *idleSession) met(ctx context.Context) Evidence {
	seen := Evidence{What: "transactions since whose dead rows VACUUM could not remove on " + l.name, Want: 1, Unit: "transactions"}
	n, err := l.look.count(ctx, "SELECT coalesce(max(age(backend_xmin)), 0) FROM pg_stat_activity WHERE pid = $1 AND state = 'idle in transaction'", l.pid)
	if err != nil {
		seen.What = fmt.Sprintf("%s (%v)", seen.What, err)
	}
	seen.Got, seen.Seen = float64(n), err == nil && n > 0
	return seen
}
