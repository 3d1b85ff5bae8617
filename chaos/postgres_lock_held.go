package chaos

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// LockHeld is a session of ours that holds a lock in PostgreSQL, in a transaction that stays open, as a migration or a forgotten
// transaction does. Healing rolls it back. On a server that the user gave it acts on advisory locks, and on tables that experiments
// seed there (shakedown_…), only; there too the lock ends with its connection.
type LockHeld struct {
	Engine string `json:"engine"`
	// Table is locked as a whole in Mode or, with Where, its rows for which that condition holds: SELECT … FOR UPDATE.
	Table string `json:"table,omitempty"`
	Where string `json:"where,omitempty"`
	// Mode is one of LOCK TABLE's, as "SHARE ROW EXCLUSIVE"; empty means ACCESS EXCLUSIVE, for which reads wait too.
	Mode string `json:"mode,omitempty"`
	// Advisory is the key of an advisory lock, in place of a table.
	Advisory int64 `json:"advisory,omitempty"`
}

var _ Fault = (*LockHeld)(nil)

// tableModes are the modes of LOCK TABLE (PostgreSQL manual, explicit locking).
var tableModes = []string{
	"ACCESS SHARE", "ROW SHARE", "ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE", "SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE",
}

var tableName = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_]*\.)?[A-Za-z_][A-Za-z0-9_]*$`)

// Kind is "lock_held".
func (*LockHeld) Kind() string { return "lock_held" }

func (f *LockHeld) String() string {
	switch {
	case f.Advisory != 0:
		return fmt.Sprintf("advisory lock %d held on %s", f.Advisory, f.Engine)
	case f.Where != "":
		return fmt.Sprintf("rows of %s held on %s where %s", f.Table, f.Engine, f.Where)
	}
	return fmt.Sprintf("%s lock on %s held on %s", strings.ToLower(f.mode()), f.Table, f.Engine)
}

func (f *LockHeld) mode() string {
	if f.Mode == "" {
		return "ACCESS EXCLUSIVE"
	}
	return strings.ToUpper(f.Mode)
}

// Validate wants an engine, and either a table or the key of an advisory lock.
func (f *LockHeld) Validate() error {
	if err := checkEngineName(f.Engine); err != nil {
		return err
	}
	switch {
	case (f.Table == "") == (f.Advisory == 0):
		return errors.New("a lock needs a table, or the key of an advisory lock other than 0, and not both")
	case f.Advisory != 0 && (f.Mode != "" || f.Where != ""):
		return errors.New("an advisory lock has neither mode nor where; leave them out")
	case f.Advisory == 0 && !tableName.MatchString(f.Table):
		return fmt.Errorf("table %q is no name of a table; write it as item or public.item", f.Table)
	case f.Where != "" && f.Mode != "":
		return errors.New("rows are locked FOR UPDATE, and a mode is of a whole table; leave out mode or where")
	case !slices.Contains(tableModes, f.mode()):
		return fmt.Errorf("mode %q is unknown; the modes are %s", f.Mode, strings.Join(tableModes, ", "))
	}
	return nil
}

// Available wants a PostgreSQL, of the run or, for what experiments seed there, of the user.
func (f *LockHeld) Available(s Surface) error {
	err := availableEngine(s, f, f.Engine, PostgreSQL)
	harmless := f.Advisory != 0 || strings.HasPrefix(f.Table, "shakedown_") && f.Where == "" // a condition may do anything
	if err == nil || !harmless {
		return err
	}
	engines, none := enginesOf(s, f.Engine)
	if none != nil || slices.ContainsFunc(engines, func(e Engine) bool { return e.Kind() != string(PostgreSQL) }) {
		return err
	}
	return nil
}

// Inject proves itself by pg_locks or, for rows, which are not there, by another session that finds all of them locked.
func (f *LockHeld) Inject(ctx context.Context, s Surface) (Injection, error) {
	return injectEngines(ctx, s, engineFault{fault: f, engine: f.Engine, pull: f.pull})
}

// lockWait is how long to wait for traffic to let go of what is to be locked.
const lockWait = "10s"

func (f *LockHeld) pull(ctx context.Context, e Engine) (lever, Evidence, error) {
	s, err := sessionOf(ctx, e)
	if err != nil {
		return nil, Evidence{}, err
	}
	l := &heldSession{name: e.Name(), session: s, pid: s.PID(), look: observer{engine: e}, waited: map[int32]bool{}}
	rows, err := f.lock(ctx, s)
	var proof Evidence
	if err == nil {
		proof, err = f.held(ctx, l, rows)
	}
	if err != nil {
		return nil, proof, errors.Join(err, l.release(ctx))
	}
	l.watch = watching(lookEvery, l.lookForWaiters)
	return l, proof, nil
}

// lock takes the lock in a transaction that stays open, and says how many rows it locked.
func (f *LockHeld) lock(ctx context.Context, s SQLSession) (rows int64, err error) {
	sql, args := "LOCK TABLE "+f.Table+" IN "+f.mode()+" MODE", []any(nil)
	switch {
	case f.Advisory != 0:
		sql, args = "SELECT pg_advisory_xact_lock($1)", []any{f.Advisory}
	case f.Where != "":
		sql = "SELECT FROM " + f.Table + " WHERE " + f.Where + " FOR UPDATE"
	}
	for _, first := range []string{"BEGIN", "SET LOCAL lock_timeout = '" + lockWait + "'"} {
		if _, err := s.Exec(ctx, first); err != nil {
			return 0, err
		}
	}
	if rows, err = s.Exec(ctx, sql, args...); err == nil && f.Where != "" && rows == 0 {
		return 0, fmt.Errorf("%s has no row where %s", f.Table, f.Where)
	}
	return rows, err
}

// held looks at the lock from outside.
func (f *LockHeld) held(ctx context.Context, l *heldSession, rows int64) (Evidence, error) {
	proof := Evidence{What: fmt.Sprintf("%s, in pg_locks", f)}
	var n int64
	var err error
	switch {
	case f.Advisory != 0:
		n, err = l.look.count(ctx, `SELECT count(*) FROM pg_locks WHERE pid = $1 AND granted AND locktype = 'advisory'
			AND objsubid = 1 AND (classid::bigint << 32 | objid::bigint) = $2`, l.pid, f.Advisory)
		proof.Seen = n == 1
	case f.Where != "":
		proof.What, proof.Unit, proof.Want, proof.Got = f.String()+", found locked by another session", "rows", float64(rows), float64(rows)
		n, err = l.look.count(ctx, "SELECT count(*) FROM (SELECT FROM "+f.Table+" WHERE "+f.Where+" FOR UPDATE SKIP LOCKED) AS free")
		proof.Seen = n == 0
	default:
		n, err = l.look.count(ctx, `SELECT count(*) FROM pg_locks WHERE pid = $1 AND granted AND locktype = 'relation'
			AND relation = $2::text::regclass AND mode = $3`, l.pid, f.Table, lockMode(f.mode()))
		proof.Seen = n == 1
	}
	return proof, err
}

// lockMode is what pg_locks calls a mode: "ACCESS EXCLUSIVE" is AccessExclusiveLock.
func lockMode(mode string) string {
	var b strings.Builder
	for word := range strings.FieldsSeq(mode) {
		b.WriteString(word[:1] + strings.ToLower(word[1:]))
	}
	return b.String() + "Lock"
}

// heldSession is a session that holds others up by what it holds.
type heldSession struct {
	name    string
	session SQLSession // nil once it is closed
	pid     int
	look    observer
	watch   *watch

	mu     sync.Mutex
	waited map[int32]bool // the pids of those that were seen waiting
}

// lookForWaiters notes who waits for the session now. What cannot be looked at now can be later.
func (l *heldSession) lookForWaiters(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	var pids []int32
	if err := l.look.row(ctx, `SELECT coalesce(array_agg(pid), '{}') FROM pg_stat_activity
		WHERE wait_event_type = 'Lock' AND $1 = ANY (pg_blocking_pids(pid))`, []any{l.pid}, &pids); err != nil {
		return
	}
	for _, pid := range pids {
		l.waited[pid] = true
	}
}

func (l *heldSession) met(ctx context.Context) Evidence {
	l.watch.stop()
	l.lookForWaiters(ctx)
	// A session that the server has lost holds nothing any more, since when is not known.
	_, err := l.session.Exec(ctx, "SELECT 1")
	return Evidence{
		What: "connections seen waiting for what is held on " + l.name,
		Got:  float64(len(l.waited)), Want: 1, Unit: "connections", Seen: len(l.waited) > 0 && err == nil,
	}
}

func (l *heldSession) release(ctx context.Context) error {
	if l.watch != nil {
		l.watch.stop()
	}
	if l.session != nil {
		_ = l.session.Close(ctx) // a server that is gone cannot be told, and holds nothing
		l.session = nil
	}
	gone, err := within(ctx, leverTime, func(ctx context.Context) (bool, error) {
		n, err := l.look.count(ctx, "SELECT count(*) FROM pg_locks WHERE pid = $1", l.pid)
		return n == 0, err
	})
	if err == nil && !gone {
		err = errors.New("its session still holds locks")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", l.name, err)
	}
	return l.look.close(ctx)
}
