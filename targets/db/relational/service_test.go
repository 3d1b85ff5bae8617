package relational

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"

	"shakedown/bench"
	"shakedown/targets/internal/direct"
	"shakedown/targets/targettest"
)

var engines targettest.Shared

func TestMain(m *testing.M) { os.Exit(engines.Main(m)) }

func TestPattern(t *testing.T) { targettest.Run(t, Pattern, &engines) }

// TestTheAuditFindsWhatWasTakenAway commits through the service, and then does to the table what a crash does, and what must never be.
func TestTheAuditFindsWhatWasTakenAway(t *testing.T) {
	ctx := t.Context()
	env := bench.Env{Role: bench.ServiceRole, URLs: map[string]string{"postgres": engines.URL(t, "postgres")}}
	raw, err := json.Marshal(Config{Pool: 2})
	if err != nil {
		t.Fatal(err)
	}
	if err := seed(ctx, env, raw); err != nil {
		t.Fatal(err)
	}
	svc, err := open(ctx, env, raw)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = svc.server.Close() }()
	var samples []bench.Sample
	for key := range int64(20) {
		r := httptest.NewRequest(http.MethodPut, "/", nil)
		r.SetPathValue("key", strconv.FormatInt(key, 10))
		a, err := svc.write(ctx, r)
		if err != nil || a.Value == 0 {
			t.Fatalf("writing %d: %+v, %v", key, a, err)
		}
		samples = append(samples, bench.Sample{Seq: uint64(key), Key: key, Value: a.Value, Outcome: bench.OK})
	}
	want(t, env, samples, 0, 0)
	change(t, env, "delete from shakedown_writes where key in (3, 4)")
	change(t, env, "insert into shakedown_writes select * from shakedown_writes where key = 7")
	want(t, env, samples, 2, 1)
	change(t, env, "drop table shakedown_writes")
	a := want(t, env, samples, 20, 0)
	if a.Examples[0] != "the table itself is gone" {
		t.Errorf("%q", a.Examples)
	}
}

func change(t *testing.T, env bench.Env, sql string) {
	t.Helper()
	if err := direct.Postgres(t.Context(), env, func(c *pgx.Conn) error {
		_, err := c.Exec(t.Context(), sql)
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, env bench.Env, samples []bench.Sample, lost, doubled float64) bench.Audit {
	t.Helper()
	a, err := audit(t.Context(), env, nil, samples)
	if err != nil || a.Numbers[bench.AuditLost] != lost || a.Numbers[bench.AuditDoubled] != doubled || a.Of != len(samples) {
		t.Errorf("audit: %+v, %v; want %v lost and %v doubled", a, err, lost, doubled)
	}
	return a
}
