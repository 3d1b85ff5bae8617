package stack

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"shakedown/internal/proc/procfs"
)

func value(t *testing.T, stats []Stat, name string, labels map[string]string) float64 {
	t.Helper()
	i := slices.IndexFunc(stats, func(s Stat) bool { return s.Name == name && maps.Equal(s.Labels, labels) })
	if i < 0 {
		t.Fatalf("no %s%v in %+v", name, labels, stats)
	}
	return stats[i].Value
}

func TestPostgresCountsWhatItsClientsDo(t *testing.T) {
	ctx := t.Context()
	in := mustStart(t, postgres{}, options(t))
	stats, err := in.Stats(ctx)
	if err != nil {
		t.Fatal(err)
	}
	idle := map[string]string{"state": "idle"}
	if n := value(t, stats, "shakedown_postgres_backends", idle); n != 0 {
		t.Errorf("%v idle backends before anybody connected", n)
	}
	if n := value(t, stats, "shakedown_postgres_max_connections", nil); n != 100 {
		t.Errorf("max_connections %v, want 100", n)
	}
	conn, err := pgx.Connect(ctx, in.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, "BEGIN; SELECT 1"); err != nil {
		t.Fatal(err)
	}
	after, err := in.Stats(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if n := value(t, after, "shakedown_postgres_backends", map[string]string{"state": "idle_in_transaction"}); n != 1 {
		t.Errorf("%v backends idle in a transaction, want 1", n)
	}
	// The backend answers before it begins to wait for its client again.
	for value(t, after, "shakedown_postgres_backends_waiting", map[string]string{"wait_event_type": "Client"}) != 1 {
		if after, err = in.Stats(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if len(after) != len(stats) {
		t.Errorf("%d series, then %d: a series that comes and goes", len(stats), len(after))
	}
	memory, err := in.(MemoryReader).Memory(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if n := value(t, memory, "shakedown_postgres_backends_measured", nil); n != 1 {
		t.Errorf("%v backends measured, want 1", n)
	}
	most := map[string]string{"stat": "max"}
	pss := value(t, memory, "shakedown_postgres_backend_pss_bytes", most)
	private := value(t, memory, "shakedown_postgres_backend_private_bytes", most)
	if private <= 0 || pss < private {
		t.Errorf("private %v bytes, proportional %v bytes; want 0 < private ≤ proportional", private, pss)
	}
}

func TestRedisCountsWhatItsClientsDo(t *testing.T) {
	ctx := t.Context()
	in := mustStart(t, redisKind{}, options(t))
	before, err := in.Stats(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := put["redis"](ctx, in.URL(), "x"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := get["redis"](ctx, in.URL()); err != nil {
			t.Fatal(err)
		}
	}
	after, err := in.Stats(ctx)
	if err != nil {
		t.Fatal(err)
	}
	const hits = "shakedown_redis_keyspace_hits_total"
	if n := value(t, after, hits, nil) - value(t, before, hits, nil); n != 3 {
		t.Errorf("%v hits, want 3", n)
	}
	const commands = "shakedown_redis_commands_total"
	if n := value(t, after, commands, nil) - value(t, before, commands, nil); n < 5 {
		t.Errorf("%v commands, want at least SET, 3 GET and INFO", n)
	}
	for _, s := range after {
		if (s.Type == "counter") != strings.HasSuffix(s.Name, "_total") {
			t.Errorf("%s is a %s", s.Name, s.Type)
		}
	}
	if _, ok := in.(MemoryReader); ok {
		t.Error("redis has no backends whose memory could be read")
	}
}

func TestMemoryOfAForeignServerCannotBeRead(t *testing.T) {
	if _, err := (&pgServer{}).Memory(t.Context()); !errors.Is(err, ErrNotOurs) {
		t.Errorf("got %v", err)
	}
}

func TestMemoryStats(t *testing.T) {
	stats := memoryStats([]procfs.Memory{{PSS: 10, Private: 2}, {PSS: 30, Private: 4}})
	for _, tc := range []struct {
		name, stat string
		want       float64
	}{
		{"pss", "mean", 20},
		{"pss", "max", 30},
		{"private", "mean", 3},
		{"private", "max", 4},
	} {
		if got := value(t, stats, "shakedown_postgres_backend_"+tc.name+"_bytes", map[string]string{"stat": tc.stat}); got != tc.want {
			t.Errorf("%s %s = %v, want %v", tc.stat, tc.name, got, tc.want)
		}
	}
	if got := memoryStats(nil); len(got) != 1 || got[0].Value != 0 {
		t.Errorf("without backends: %+v; a mean of nothing is no number", got)
	}
}

func TestOnlyClientBackendsAreRecognised(t *testing.T) {
	for title, want := range map[string]bool{
		"postgres: shakedown shakedown [local] idle":           true,
		"postgres: shakedown shakedown 127.0.0.1(4711) SELECT": true,
		"postgres: main: shakedown shakedown [local] idle":     true,
		"postgres: checkpointer":                               false,
		"postgres: autovacuum worker shakedown":                false,
		"postgres: logical replication launcher":               false,
		"postgres -D /data":                                    false,
		"psql shakedown shakedown [local]":                     false,
	} {
		if got := clientBackend.MatchString(title); got != want {
			t.Errorf("%q: client backend = %v, want %v", title, got, want)
		}
	}
}
