package isolation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"shakedown/bench"
	"shakedown/bench/check/invariants"
	"shakedown/internal/clock"
	"shakedown/internal/units"
	"shakedown/targets/serve"
)

// standbyServer is the replica of the experiment, as a URL of its trials.
const standbyServer = "postgres-replica-0"

// StandbyConfig is what one trial of the standby's experiment asks.
type StandbyConfig struct {
	FirstReader string `json:"first_reader"` // the server that the first reader asks: "postgres" or "postgres-replica-0"; the second asks the primary
	Second      string `json:"second"`       // synchronous_commit of the second writer: "on" or "local"; the first has "on"
	Pairs       int    `json:"pairs"`        // how often it is tried
}

// Validate says what is wrong with the configuration.
func (c StandbyConfig) Validate() error {
	switch {
	case c.FirstReader != onPostgres && c.FirstReader != standbyServer:
		return fmt.Errorf("first_reader: %q is neither %s nor %s", c.FirstReader, onPostgres, standbyServer)
	case c.Second != "on" && c.Second != "local":
		return fmt.Errorf("second: %q is neither on nor local", c.Second)
	case c.Pairs < 1 || c.Pairs > 50:
		return fmt.Errorf("pairs: must be 1 to 50, got %d", c.Pairs)
	}
	return nil
}

var standbyExperiment = bench.Experiment{
	Name:     "db/isolation/standby",
	Question: "Does a reader of a standby see what a reader of the primary would?",
	Note: "Two writers write one row each, one after the other; each reader reads both, at repeatable read. The synchronous standby is away, so " +
		"that a commit is on its way to the other standby, which is asynchronous, before it can be seen on the primary. Whether the writes were seen " +
		"in two orders is then a matter of who waits. Nothing is left to chance: that a commit waits is asked of the server. A race that is " +
		"too short to be hit like this is not looked for.",
	Probe:   "standby",
	Engines: []bench.EngineSpec{{Name: onPostgres, Replicas: 1}},
	Variants: []bench.Variant{
		{Name: "primary", About: "both readers ask the primary", Config: StandbyConfig{FirstReader: onPostgres, Second: "on", Pairs: 10}},
		{Name: "standby", About: "one of them asks the standby", Config: StandbyConfig{FirstReader: standbyServer, Second: "on", Pairs: 10}},
	},
	Factor: "writers",
	Levels: []bench.Level{
		{Name: "alike", About: "both wait for the synchronous standby"},
		{Name: "one-local", About: "the second does not: synchronous_commit = local", Config: map[string]any{"second": "local"}},
	},
	Columns: []bench.Column{
		{Title: "pairs of writes", Unit: "pairs", Of: audited("pairs")},
		{Title: "seen in two orders", Unit: "pairs", Of: audited(bench.AuditViolations)},
		{Title: "seen by the first reader", Unit: "writes", Of: audited("first_saw")},
		{Title: "seen by the second reader", Unit: "writes", Of: audited("second_saw")},
	},
	Checks: []bench.Check{
		oneOrder("all writers wait for the same standbys", "alike"),
		oneOrder("one of the writers does not wait", "one-local"),
	},
}

func oneOrder(when, level string) bench.Check {
	return bench.Check{
		Claim: "db/isolation#13", When: when, Text: "readers of the standby and of the primary see one order of the writes", Rel: bench.AtMost, Bound: 0,
		Of: audited(bench.AuditViolations).In("standby", level), Unit: "pairs", Never: true,
	}
}

// A standbyScene is one trial of the experiment: connections to both servers, and the writers whose commits wait.
type standbyScene struct {
	StandbyConfig
	urls    map[string]string
	admin   *pgx.Conn // of the primary; its own commits wait for nobody
	readers [2]*pgx.Conn
	waiting []writer
	history []invariants.Txn
}

// A writer is a connection whose commit is under way.
type writer struct {
	conn *pgx.Conn
	done chan error
}

// probeStandby leads writers and readers through the scene, as often as the configuration says.
func probeStandby(ctx context.Context, env bench.Env, raw json.RawMessage) (found bench.Audit, err error) {
	config, err := serve.Decode[StandbyConfig](raw)
	if err != nil {
		return found, err
	}
	s := &standbyScene{StandbyConfig: config, urls: map[string]string{}}
	for _, name := range []string{onPostgres, standbyServer} {
		if s.urls[name], err = env.URL(name); err != nil {
			return found, err
		}
	}
	err = s.play(ctx)
	if err = errors.Join(err, s.close(context.WithoutCancel(ctx))); err != nil {
		return found, err
	}
	j := invariants.LongFork(s.history)
	found = bench.Audit{
		Of: j.Judged / 2, What: "pairs of writes", Examples: j.Examples,
		Numbers: map[string]float64{bench.AuditViolations: float64(j.Violations), "pairs": float64(config.Pairs), "first_saw": 0, "second_saw": 0},
	}
	var b strings.Builder
	for _, t := range s.history {
		if len(t.Reads) == 0 {
			continue
		}
		who := map[bool]string{true: "first_saw", false: "second_saw"}[strings.HasPrefix(t.Name, "first")]
		for _, c := range t.Reads {
			found.Numbers[who] += float64(c.Value)
		}
		fmt.Fprintf(&b, "%s: %v\n", t.Name, t.Reads)
	}
	if env.History == "" {
		return found, nil
	}
	return found, os.WriteFile(filepath.Join(env.History, transcripts), []byte(b.String()), 0o644)
}

// play opens the scene, and plays every pair.
func (s *standbyScene) play(ctx context.Context) (err error) {
	if s.admin, err = s.connect(ctx, onPostgres, "local"); err != nil {
		return err
	}
	for i, name := range []string{s.FirstReader, onPostgres} {
		if s.readers[i], err = s.connect(ctx, name, "local"); err != nil {
			return err
		}
	}
	for _, statement := range []string{
		"drop table if exists " + table, "create table " + table + " (id int primary key, v int not null)",
		fmt.Sprintf("insert into %s select i, 0 from generate_series(0, %d) i", table, 2*s.Pairs+1),
		// A synchronous standby of this name never comes: it is away.
		"alter system set synchronous_standby_names = 'away'", "select pg_reload_conf()",
	} {
		if _, err := s.admin.Exec(ctx, statement); err != nil {
			return fmt.Errorf("setting the scene: %w", err)
		}
	}
	if err := s.untilCommitsWait(ctx); err != nil {
		return err
	}
	for pair := range s.Pairs {
		if err := s.pair(ctx, int64(2*pair)); err != nil {
			return fmt.Errorf("pair %d: %w", pair, err)
		}
	}
	return nil
}

// untilCommitsWait waits until the server has read what was set. The last two rows are for this.
func (s *standbyScene) untilCommitsWait(ctx context.Context) error {
	return poll(ctx, "commits wait for the synchronous standby", func() (bool, error) {
		return s.write(ctx, int64(2*s.Pairs), "on")
	})
}

// pair lets two writers write a row each, and two readers read both.
func (s *standbyScene) pair(ctx context.Context, key int64) error {
	waits, err := s.write(ctx, key, "on")
	if err != nil {
		return err
	}
	if !waits {
		return errors.New("the first writer did not wait for the synchronous standby")
	}
	// The other standby gets the write all the same.
	standby, err := s.connect(ctx, standbyServer, "local")
	if err != nil {
		return err
	}
	defer func() { _ = standby.Close(context.WithoutCancel(ctx)) }()
	if err := poll(ctx, "the standby has the first write", func() (there bool, err error) {
		err = standby.QueryRow(ctx, "select v = 1 from "+table+" where id = $1", key).Scan(&there)
		return there, err
	}); err != nil {
		return err
	}
	if err := s.read(ctx, 0, "first", key); err != nil {
		return err
	}
	if _, err := s.write(ctx, key+1, s.Second); err != nil {
		return err
	}
	return s.read(ctx, 1, "second", key)
}

// write sets a row to 1 on a connection of its own, and says whether the commit waits for a standby.
func (s *standbyScene) write(ctx context.Context, key int64, synchronous string) (waits bool, err error) {
	conn, err := s.connect(ctx, onPostgres, synchronous)
	if err != nil {
		return false, err
	}
	w := writer{conn, make(chan error, 1)}
	pid := conn.PgConn().PID()
	s.waiting = append(s.waiting, w)
	s.history = append(s.history, invariants.Txn{
		Name: fmt.Sprintf("writer of %d", key), Writes: []invariants.Cell{{Key: key, Value: 1}}, Outcome: bench.OK, // close asks for its answer
	})
	go func() {
		_, err := conn.Exec(ctx, "update "+table+" set v = 1 where id = $1", key)
		w.done <- err
	}()
	err = poll(ctx, "a commit ends, or waits for a standby", func() (bool, error) {
		select {
		case err := <-w.done:
			w.done <- err
			return true, err
		default:
		}
		err := s.admin.QueryRow(ctx, "select coalesce(wait_event = 'SyncRep', false) from pg_stat_activity where pid = $1", pid).Scan(&waits)
		return waits, err
	})
	return waits, err
}

// read reads both rows of a pair in one transaction.
func (s *standbyScene) read(ctx context.Context, reader int, name string, key int64) error {
	of := invariants.Txn{Name: fmt.Sprintf("%s reader, of the %s, of %d and %d", name, s.serverOf(reader), key, key+1), Outcome: bench.OK}
	err := pgx.BeginTxFunc(ctx, s.readers[reader], pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(t pgx.Tx) error {
		for _, k := range []int64{key, key + 1} {
			c := invariants.Cell{Key: k}
			if err := t.QueryRow(ctx, "select v from "+table+" where id = $1", k).Scan(&c.Value); err != nil {
				return err
			}
			of.Reads = append(of.Reads, c)
		}
		return nil
	})
	s.history = append(s.history, of)
	return err
}

func (s *standbyScene) serverOf(reader int) string {
	if reader == 0 && s.FirstReader == standbyServer {
		return "standby"
	}
	return "primary"
}

// connect leads to one of the servers.
func (s *standbyScene) connect(ctx context.Context, name, synchronous string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(s.urls[name])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	config.RuntimeParams["synchronous_commit"] = synchronous
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return conn, nil
}

// close undoes the setting, waits until every writer was told that it had committed, and ends all connections.
func (s *standbyScene) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, waitBound)
	defer cancel()
	var errs []error
	if s.admin != nil {
		for _, statement := range []string{"alter system reset synchronous_standby_names", "select pg_reload_conf()"} {
			_, err := s.admin.Exec(ctx, statement)
			errs = append(errs, err)
		}
	}
	for _, w := range s.waiting {
		errs = append(errs, <-w.done, w.conn.Close(ctx))
	}
	for _, c := range append(s.readers[:], s.admin) {
		if c != nil {
			errs = append(errs, c.Close(ctx))
		}
	}
	return errors.Join(errs...)
}

// poll asks until the answer is yes, for as long as a step may take.
func poll(ctx context.Context, what string, ask func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, waitBound, fmt.Errorf("%s: not within %v", what, waitBound))
	defer cancel()
	for {
		if yes, err := ask(); yes || err != nil {
			return err
		}
		if err := clock.Sleep(ctx, pollEvery); err != nil {
			return context.Cause(ctx)
		}
	}
}

// pollEvery is the time between two questions of poll.
const pollEvery = time.Duration(2 * units.Millisecond)
