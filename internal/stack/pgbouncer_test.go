package stack

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"shakedown/chaos"
)

// TestAPoolerLendsSessionsOfItsServer: two clients in transaction mode find themselves in one session. The pooler outlives its server
// and a kill of its own.
func TestAPoolerLendsSessionsOfItsServer(t *testing.T) {
	ctx := t.Context()
	o := options(t)
	server := mustStart(t, postgres{}, o)
	via := forward(t, server)
	start := func(settings map[string]string) (Instance, error) {
		o.Name, o.Settings = PoolerName("postgres"), settings
		return postgres{}.StartPooler(ctx, server, via, o)
	}
	for setting, want := range map[string]string{"no_such_setting": "unknown parameter", "pool_mode": "invalid value", "listen_addr": "harness's own"} {
		var wrong *SettingError
		if in, err := start(map[string]string{setting: "at will"}); in != nil || !errors.As(err, &wrong) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", setting, err, want)
		}
	}
	in, err := start(map[string]string{"pool_mode": "transaction"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := in.Stop(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
	})
	sessions := func(url string) (pids [2]int) {
		t.Helper()
		for i := range pids {
			if err := onPostgres(ctx, url, func(c *pgx.Conn) error {
				return c.QueryRow(ctx, "SELECT pg_backend_pid()", pgx.QueryExecModeExec).Scan(&pids[i])
			}); err != nil {
				t.Fatal(err)
			}
		}
		return pids
	}
	through, straight := sessions(in.URLVia(forward(t, in), "service-0")), sessions(server.URL())
	if through[0] != through[1] || straight[0] == straight[1] {
		t.Errorf("two clients have the sessions %v through the pooler, %v straight", through, straight)
	}
	stats, err := in.Stats(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if n := value(t, stats, "shakedown_pgbouncer_servers_idle", nil); n < 1 {
		t.Errorf("%v connections to the server are idle", n)
	}
	if err := server.Process().Kill(ctx); err != nil {
		t.Fatal(err)
	}
	if err := in.Healthy(ctx); err != nil {
		t.Errorf("without its server: %v", err)
	}
	p := in.Process()
	for _, act := range []func(context.Context) error{server.Process().Start, p.Kill} {
		if err := act(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := in.Healthy(ctx); err == nil {
		t.Error("a killed pooler is healthy")
	}
	if err := p.Start(ctx); err != nil {
		t.Fatal(err)
	}
	sessions(in.URL())
	if err := p.(chaos.Skewable).CanSkew(); !errors.Is(err, errBouncerClock) {
		t.Errorf("its clock: %v", err)
	}
}
