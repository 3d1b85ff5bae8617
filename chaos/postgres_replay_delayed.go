package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"

	"shakedown/internal/units"
)

// ReplayDelayed makes a standby of PostgreSQL get what its primary writes, and show it later: by Delay after the commit, or, without
// one, when the fault is healed. A promotion ends it.
type ReplayDelayed struct {
	Engine string `json:"engine"` // "postgres-replica-0", or "postgres-replica" for every one
	// Delay becomes recovery_min_apply_delay; 0 pauses the replay.
	Delay units.Duration `json:"delay,omitempty"`
}

var _ Fault = (*ReplayDelayed)(nil)

// Kind is "replay_delayed".
func (*ReplayDelayed) Kind() string { return "replay_delayed" }

func (f *ReplayDelayed) String() string {
	if f.Delay > 0 {
		return fmt.Sprintf("replay delayed by %s on %s", f.Delay, f.Engine)
	}
	return "replay paused on " + f.Engine
}

// Validate wants an engine, and a delay from 10 ms to a day.
func (f *ReplayDelayed) Validate() error {
	if err := checkEngineName(f.Engine); err != nil {
		return err
	}
	if f.Delay != 0 && (f.Delay < 10*units.Millisecond || f.Delay > 24*3600*units.Second) {
		return fmt.Errorf("delay is %v; it must be from 10ms to 24h, or left out to pause the replay", f.Delay)
	}
	return nil
}

// Available wants a replica of a PostgreSQL of the run.
func (f *ReplayDelayed) Available(s Surface) error {
	return availableReplica(s, f, f.Engine, PostgreSQL)
}

// Inject proves itself by a commit of its own that the standby has received and does not replay.
func (f *ReplayDelayed) Inject(ctx context.Context, s Surface) (Injection, error) {
	return injectEngines(ctx, s, engineFault{fault: f, engine: f.Engine, pull: func(ctx context.Context, e Engine) (lever, Evidence, error) {
		return f.pull(ctx, s, e)
	}})
}

func (f *ReplayDelayed) pull(ctx context.Context, s Surface, e Engine) (lever, Evidence, error) {
	l := &lateReplay{name: e.Name(), delay: f.Delay, look: observer{engine: e}}
	err := l.slow(ctx)
	var proof Evidence
	if err == nil {
		proof, err = l.prove(ctx, s, e)
	}
	if err != nil {
		return nil, proof, errors.Join(err, l.release(ctx))
	}
	l.watch = watching(lookEvery, l.lookAtLag)
	return l, proof, nil
}

// lateReplay is a standby that replays late.
type lateReplay struct {
	name   string
	delay  units.Duration
	look   observer
	watch  *watch
	former *string // the setting in postgresql.auto.conf, when there was one
	slowed bool
	marker int64 // the byte of the log behind the commit of the proof
	most   int64 // bytes received and not replayed
	passed bool  // something beside the marker was received
}

const (
	pgReceived = `SELECT (coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) - '0/0'::pg_lsn)::bigint`
	pgReplayed = `SELECT (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint`
	pgAutoConf = `SELECT max(setting) FROM pg_file_settings WHERE name = 'recovery_min_apply_delay' AND sourcefile LIKE '%postgresql.auto.conf'`
)

// slow pauses the replay, or sets the delay.
func (l *lateReplay) slow(ctx context.Context) error {
	standby, err := l.look.yes(ctx, "SELECT pg_is_in_recovery()")
	if err != nil {
		return err
	}
	if !standby {
		return errors.New("it is the primary now, and replays nothing")
	}
	if l.delay == 0 {
		l.slowed = true
		return l.do(ctx, "SELECT pg_wal_replay_pause()")
	}
	if err := l.look.row(ctx, pgAutoConf, nil, &l.former); err != nil {
		return err
	}
	l.slowed = true
	if err := l.do(ctx, fmt.Sprintf("ALTER SYSTEM SET recovery_min_apply_delay = '%dus'", l.delay.D().Microseconds())); err != nil {
		return err
	}
	return l.do(ctx, "SELECT pg_reload_conf()")
}

// do executes one statement in a session of its own.
func (l *lateReplay) do(ctx context.Context, sql string) error {
	s, err := sessionOf(ctx, l.look.engine)
	if err != nil {
		return err
	}
	_, err = s.Exec(ctx, sql)
	return errors.Join(err, s.Close(ctx))
}

// prove commits on the primary, waits until the standby has that, and looks that it keeps it back.
func (l *lateReplay) prove(ctx context.Context, s Surface, standby Engine) (Evidence, error) {
	proof := Evidence{What: "a commit of the primary that " + l.name + " has received and not replayed", Unit: "B", Want: 1}
	var err error
	if l.marker, err = commitOnPrimary(ctx, s, standby); err != nil {
		return proof, err
	}
	received, err := within(ctx, leverTime, func(ctx context.Context) (bool, error) {
		at, err := l.look.count(ctx, pgReceived)
		return at >= l.marker, err
	})
	if err != nil || !received {
		return proof, err
	}
	wait := 100 * time.Millisecond // far more than a replay takes
	if l.delay > 0 {
		wait = min(wait, l.delay.D()/2)
	}
	select {
	case <-time.After(wait):
	case <-ctx.Done():
		return proof, context.Cause(ctx)
	}
	at, err := l.look.count(ctx, pgReplayed)
	proof.Got, proof.Seen = float64(l.marker-at), err == nil && at < l.marker
	return proof, err
}

// commitOnPrimary commits a message that nobody reads, and says behind which byte of the log.
func commitOnPrimary(ctx context.Context, s Surface, standby Engine) (at int64, err error) {
	m, ok := standby.(Member)
	if !ok || m.Group() == nil {
		return 0, fmt.Errorf("%s follows nobody", standby.Name())
	}
	name, _ := m.Group().Members()
	primaries, err := enginesOf(s, name)
	if err != nil {
		return 0, err
	}
	session, err := sessionOf(ctx, primaries[0])
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, session.Close(ctx)) }()
	for _, sql := range []string{
		"SET synchronous_commit = local", "SELECT pg_logical_emit_message(true, 'shakedown', 'a commit to be replayed')",
	} {
		if _, err := session.Exec(ctx, sql); err != nil {
			return 0, err
		}
	}
	return at, session.Row(ctx, "SELECT (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint", nil, &at)
}

func (l *lateReplay) lookAtLag(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	received, err := l.look.count(ctx, pgReceived)
	if err != nil {
		return
	}
	if replayed, err := l.look.count(ctx, pgReplayed); err == nil {
		l.most = max(l.most, received-replayed)
		l.passed = l.passed || received > l.marker
	}
}

func (l *lateReplay) met(ctx context.Context) Evidence {
	l.watch.stop()
	l.lookAtLag(ctx)
	return Evidence{
		What: "most bytes that " + l.name + " had received and not replayed",
		Got:  float64(l.most), Want: 1, Unit: "B", Seen: l.passed && l.most > 0,
	}
}

func (l *lateReplay) release(ctx context.Context) error {
	if l.watch != nil {
		l.watch.stop()
	}
	if l.slowed {
		if err := l.restore(ctx); err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
		l.slowed = false
	}
	return l.look.close(ctx)
}

// restore gives the standby its former pace, and waits until it has replayed what it had received by then.
func (l *lateReplay) restore(ctx context.Context) error {
	if l.delay > 0 {
		sql := "ALTER SYSTEM RESET recovery_min_apply_delay"
		if l.former != nil {
			sql = "ALTER SYSTEM SET recovery_min_apply_delay = '" + *l.former + "'"
		}
		if err := errors.Join(l.do(ctx, sql), l.do(ctx, "SELECT pg_reload_conf()")); err != nil {
			return err
		}
	}
	// A server that was promoted or started again has forgotten the pause.
	paused, err := l.look.yes(ctx, "SELECT CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE false END")
	if err == nil && l.delay == 0 && paused {
		err = l.do(ctx, "SELECT pg_wal_replay_resume()")
	}
	if err != nil {
		return err
	}
	received, err := l.look.count(ctx, pgReceived)
	if err != nil {
		return err
	}
	done, err := within(ctx, leverTime, func(ctx context.Context) (bool, error) {
		at, err := l.look.count(ctx, pgReplayed)
		return at >= received, err
	})
	if err == nil && !done && l.former == nil {
		err = errors.New("it does not replay what it has received")
	}
	return err
}
