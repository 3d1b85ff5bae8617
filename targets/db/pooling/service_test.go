package pooling

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"shakedown/bench"
	"shakedown/targets/serve"
	"shakedown/targets/targettest"
)

var engines targettest.Shared

func TestMain(m *testing.M) { os.Exit(engines.Main(m)) }

func TestPattern(t *testing.T) {
	p := Pattern
	p.Experiments = slices.Clone(p.Experiments)
	for i := range p.Experiments {
		e := &p.Experiments[i]
		e.Levels = slices.Clone(e.Levels)
		for j, l := range e.Levels {
			if _, ok := l.Config["relations"]; ok { // thousands of them say nothing here that a few do not
				e.Levels[j].Config = map[string]any{"relations": 5}
			}
		}
	}
	targettest.Run(t, p, &engines)
}

func TestConfigurationsThatMakeNoSenseAreRefused(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config Config
		want   string
	}{
		{"no pool", Config{}, ""},
		{"a pool", Config{Pool: 7, Relations: 3}, ""},
		{"the formula", Config{Formula: true}, ""},
		{"a negative pool", Config{Pool: -1}, "pool"},
		{"both sizes", Config{Pool: 1, Formula: true}, "formula"},
		{"negative relations", Config{Relations: -1}, "relations"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.config.Validate()
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Validate says %v, want one that names %q", err, tt.want)
			}
		})
	}
}

func TestAPoolHasTheSizeOfItsSettingOrOfTheFormula(t *testing.T) {
	for _, tt := range []struct {
		config Config
		cores  int
		want   int
	}{
		{Config{}, 2, 0},
		{Config{Pool: 20}, 2, 20},
		{Config{Formula: true}, 1, 3},
		{Config{Formula: true}, 2, 5},
		{Config{Formula: true}, 64, 129},
	} {
		if got := tt.config.size(tt.cores); got != tt.want {
			t.Errorf("%+v on %d cores is a pool of %d, want %d", tt.config, tt.cores, got, tt.want)
		}
	}
}

// build is a service on the seeded PostgreSQL at the address.
func build(t *testing.T, c Config, address string) *service {
	t.Helper()
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	env := func(address string) bench.Env {
		return bench.Env{Role: bench.ServiceRole, URLs: map[string]string{"postgres": address}}
	}
	if err := seed(t.Context(), env(engines.URL(t, "postgres")), raw); err != nil {
		t.Fatal(err)
	}
	svc, err := open(t.Context(), env(address), raw)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := svc.server.Close(); err != nil {
			t.Error(err)
		}
	})
	return svc
}

func TestEveryRequestConnectsAnewWithoutAPoolAndNoneDoesWithOne(t *testing.T) {
	for _, tt := range []struct {
		name     string
		config   Config
		backends int
	}{
		{"no pool", Config{}, 5},
		{"a pool of one", Config{Pool: 1}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			svc := build(t, tt.config, engines.URL(t, "postgres"))
			seen := map[uint32]bool{}
			for range 5 {
				if err := svc.use(t.Context(), func(_ context.Context, conn *pgx.Conn) error {
					seen[conn.PgConn().PID()] = true
					return nil
				}); err != nil {
					t.Fatal(err)
				}
			}
			if len(seen) != tt.backends {
				t.Errorf("5 requests used %d connections, want %d", len(seen), tt.backends)
			}
		})
	}
}

func TestATransferIsWholeOrNotThere(t *testing.T) {
	svc := build(t, Config{Pool: 1}, engines.URL(t, "postgres"))
	if err := svc.transact(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	if err := svc.transact(t.Context(), accounts); !errors.Is(err, pgx.ErrNoRows) {
		t.Errorf("a transfer to nobody says %v", err)
	}
	var sum int
	if err := svc.use(t.Context(), func(ctx context.Context, conn *pgx.Conn) error { // on the connection that failed
		return conn.QueryRow(ctx, `select sum(balance) from shakedown_accounts`).Scan(&sum)
	}); err != nil || sum != 1 {
		t.Errorf("the balances sum to %d, %v; want 1", sum, err)
	}
}

func TestAFullServerIsARefusalAndAnotherErrorIsNot(t *testing.T) {
	for _, tt := range []struct {
		name, role string
		config     Config
		status     int
		outcome    string
	}{
		{"full, without a pool", "login connection limit 0", Config{}, http.StatusServiceUnavailable, "refused"},
		{"full, with a pool", "login connection limit 0", Config{Pool: 1}, http.StatusServiceUnavailable, "refused"},
		{"may not log in", "nologin", Config{}, http.StatusInternalServerError, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			svc := build(t, tt.config, asGuest(t, tt.role))
			res := targettest.Get(t, targettest.Serve(t, svc.server)+"/transfer/1")
			if res.Status != tt.status || res.Header.Get(serve.HeaderOutcome) != tt.outcome {
				t.Errorf("answered %d, outcome %q (%s); want %d, %q",
					res.Status, res.Header.Get(serve.HeaderOutcome), strings.TrimSpace(res.Body), tt.status, tt.outcome)
			}
		})
	}
}

// asGuest makes an ordinary role with the given options, and is the address by which it connects. PostgreSQL answers a role
// past its own limit with the same code as a client past max_connections, 53300, but never refuses a superuser.
func asGuest(t *testing.T, options string) string {
	t.Helper()
	admin, err := pgx.Connect(t.Context(), engines.URL(t, "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = admin.Close(context.WithoutCancel(t.Context())) }()
	if _, err := admin.Exec(t.Context(), `drop role if exists guest; create role guest password 'guest' `+options); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(engines.URL(t, "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("guest", "guest")
	return u.String()
}

func TestATouchedConnectionHasReadItsRelations(t *testing.T) {
	svc := build(t, Config{Pool: 1, Relations: 3}, engines.URL(t, "postgres"))
	var scanned int
	if err := svc.use(t.Context(), func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `select count(*) from pg_class where relname like 'shakedown\_relation\_%' and relkind = 'r'`).Scan(&scanned)
	}); err != nil || scanned < 3 {
		t.Errorf("%d relations, %v; want at least 3", scanned, err)
	}
	if err := touch(relations)(t.Context(), mustConnect(t)); err == nil || !strings.Contains(err.Error(), "shakedown_relation_") {
		t.Errorf("touching more relations than there are says %v", err)
	}
	if touch(0) != nil {
		t.Error("a pool that touches nothing has something to do for each connection")
	}
}

func mustConnect(t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), engines.URL(t, "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}
