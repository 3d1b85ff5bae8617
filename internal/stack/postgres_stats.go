package stack

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/jackc/pgx/v5"

	"shakedown/internal/proc/procfs"
)

// The label values of the backend gauges, in the words of the manual's "pg_stat_activity" (monitoring-stats). All are
// always reported, so that a series that falls to zero is seen to do so.
var (
	pgStates = map[string]string{
		"active": "active", "idle": "idle", "idle in transaction": "idle_in_transaction",
		"idle in transaction (aborted)": "idle_in_transaction_aborted", "fastpath function call": "fastpath",
		"disabled": "disabled", "": "starting",
	}
	pgWaits = []string{"Activity", "BufferPin", "Client", "Extension", "InjectionPoint", "IO", "IPC", "Lock", "LWLock", "Timeout"}
)

const (
	pgBackendsSQL = `SELECT coalesce(state, ''), coalesce(wait_event_type, ''), count(*)::float8
		FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() GROUP BY 1, 2`
	pgDatabaseSQL = `SELECT xact_commit::float8, xact_rollback::float8, blks_read::float8, blks_hit::float8, deadlocks::float8,
		current_setting('max_connections')::float8 FROM pg_stat_database WHERE datname = current_database()`
)

// Stats reads pg_stat_activity and pg_stat_database of the harness's database. The harness's own connection is not counted
// among the backends; its transactions are among the commits. PostgreSQL publishes the counters of a busy
// backend with a delay of up to a second.
func (s *pgServer) Stats(ctx context.Context) ([]Stat, error) {
	var stats []Stat
	err := s.ask(ctx, func(c *pgx.Conn) error {
		backends, err := backendStats(ctx, c)
		if err != nil {
			return err
		}
		database, err := databaseStats(ctx, c)
		stats = slices.Concat(backends, database)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("statistics of postgres: %w", s.plain(err))
	}
	return stats, nil
}

func backendStats(ctx context.Context, c *pgx.Conn) ([]Stat, error) {
	states, waits := map[string]float64{}, map[string]float64{}
	for _, label := range pgStates {
		states[label] = 0
	}
	for _, label := range pgWaits {
		waits[label] = 0
	}
	rows, err := c.Query(ctx, pgBackendsSQL)
	if err != nil {
		return nil, err
	}
	var state, wait string
	var n float64
	if _, err := pgx.ForEachRow(rows, []any{&state, &wait, &n}, func() error {
		if label, ok := pgStates[state]; ok { // labels stay bounded whatever a later version invents
			states[label] += n
		}
		if _, ok := waits[wait]; ok {
			waits[wait] += n
		}
		return nil
	}); err != nil {
		return nil, err
	}
	return append(gauges("shakedown_postgres_backends", "state", states),
		gauges("shakedown_postgres_backends_waiting", "wait_event_type", waits)...), nil
}

func databaseStats(ctx context.Context, c *pgx.Conn) ([]Stat, error) {
	names := []string{
		"shakedown_postgres_commits_total", "shakedown_postgres_rollbacks_total", "shakedown_postgres_blocks_read_total",
		"shakedown_postgres_blocks_hit_total", "shakedown_postgres_deadlocks_total", "shakedown_postgres_max_connections",
	}
	values := make([]float64, len(names))
	into := make([]any, len(names))
	for i := range values {
		into[i] = &values[i]
	}
	if err := c.QueryRow(ctx, pgDatabaseSQL).Scan(into...); err != nil {
		return nil, err
	}
	stats := make([]Stat, len(names))
	for i, name := range names {
		stats[i] = Stat{Name: name, Type: "counter", Value: values[i]}
	}
	stats[len(stats)-1].Type = "gauge"
	return stats, nil
}

// gauges makes one gauge for each value of a label, in the order of the values.
func gauges(name, label string, values map[string]float64) []Stat {
	stats := make([]Stat, 0, len(values))
	for value, v := range values {
		stats = append(stats, Stat{Name: name, Labels: map[string]string{label: value}, Type: "gauge", Value: v})
	}
	slices.SortFunc(stats, func(a, b Stat) int {
		if a.Labels[label] < b.Labels[label] {
			return -1
		}
		return 1
	})
	return stats
}

// clientBackend matches the title of a backend that serves a client: "postgres: user database [local] idle". Background
// workers have no address in theirs.
var clientBackend = regexp.MustCompile(`^postgres: (?:[^ ]+: )?[^ ]+ [^ ]+ (?:\[local\]|[^ ]+\([0-9]+\))`)

// Memory reads what each client's backend holds, from /proc/<pid>/smaps_rollup: the proportional set size, in which shared
// buffers count in equal shares, and what is private to the backend. The harness's own backend is left out.
func (s *pgServer) Memory(ctx context.Context) ([]Stat, error) {
	if s.own == nil {
		return nil, fmt.Errorf("memory of postgres: %w", ErrNotOurs)
	}
	var mine uint32
	if err := s.ask(ctx, func(c *pgx.Conn) error {
		mine = c.PgConn().PID()
		return c.Ping(ctx)
	}); err != nil {
		return nil, fmt.Errorf("memory of postgres: %w", s.plain(err))
	}
	backends, err := s.backendMemory(mine)
	if err != nil {
		return nil, fmt.Errorf("memory of postgres: %w", err)
	}
	return memoryStats(backends), nil
}

func (s *pgServer) backendMemory(mine uint32) ([]procfs.Memory, error) {
	tree, err := procfs.Tree(s.own.Process().Pid())
	if err != nil {
		return nil, err
	}
	var backends []procfs.Memory
	for _, st := range tree {
		title, err := procfs.Command(st.PID)
		if err != nil || !clientBackend.MatchString(title) {
			continue // it has ended since, or serves no client
		}
		if inner, err := procfs.InnerPID(st.PID); err != nil || inner == int(mine) {
			continue
		}
		switch m, err := procfs.ReadMemory(st.PID); {
		case err == nil:
			backends = append(backends, m)
		case !errors.Is(err, procfs.ErrGone):
			return nil, err
		}
	}
	return backends, nil
}

// memoryStats are the mean and the maximum over backends, and their number; without any there is only the number.
func memoryStats(backends []procfs.Memory) []Stat {
	stats := []Stat{{Name: "shakedown_postgres_backends_measured", Type: "gauge", Value: float64(len(backends))}}
	if len(backends) == 0 {
		return stats
	}
	for _, of := range []struct {
		name string
		get  func(procfs.Memory) int64
	}{
		{"shakedown_postgres_backend_pss_bytes", func(m procfs.Memory) int64 { return m.PSS }},
		{"shakedown_postgres_backend_private_bytes", func(m procfs.Memory) int64 { return m.Private }},
	} {
		var sum, most int64
		for _, m := range backends {
			sum, most = sum+of.get(m), max(most, of.get(m))
		}
		stats = append(stats, gauges(of.name, "stat", map[string]float64{
			"mean": float64(sum) / float64(len(backends)), "max": float64(most),
		})...)
	}
	return stats
}
