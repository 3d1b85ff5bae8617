package stack

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"shakedown/chaos"
	"shakedown/chaos/disk"
	"shakedown/internal/roottest"
)

// serveDisk makes this test binary the program of a disk, when it is called as one.
func serveDisk() bool {
	if len(os.Args) != 4 || strings.Join(os.Args[1:3], " ") != "chaos disk" {
		return false
	}
	conn, err := disk.Inherited(os.NewFile(3, "control"))
	if err == nil {
		err = disk.Serve(context.Background(), os.Args[3], conn)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}

// withDisk asks for a disk; for root it must be possible.
func withDisk(t *testing.T) StartOptions {
	t.Helper()
	err := disk.Available()
	roottest.Needs(t, err)
	o := options(t)
	if o.Disk, err = os.Executable(); err != nil {
		t.Fatal(err)
	}
	return o
}

// losePower does what chaos.PowerLoss does.
func losePower(t *testing.T, in Instance) chaos.DiskLost {
	t.Helper()
	ctx := t.Context()
	if err := in.Process().Kill(ctx); err != nil {
		t.Fatal(err)
	}
	lost, err := in.(Disked).Disk().Lose(ctx, chaos.DiskLoss{})
	if err != nil {
		t.Fatal(err)
	}
	if !lost.CanaryGone || !lost.CanaryKept {
		t.Errorf("lost %+v", lost)
	}
	if err := in.Process().Start(ctx); err != nil {
		t.Fatal(err)
	}
	return lost
}

func TestRedisLosesWhatItsPolicyAllowsAndNoMore(t *testing.T) {
	for policy, want := range map[string]bool{"always": true, "no": false} {
		o := withDisk(t)
		o.Settings = map[string]string{"appendonly": "yes", "appendfsync": policy}
		in := mustStart(t, redisKind{}, o)
		if err := put["redis"](t.Context(), in.URL(), "kept"); err != nil {
			t.Fatal(err)
		}
		lost := losePower(t, in)
		v, err := get["redis"](t.Context(), in.URL())
		if (v == "kept") != want {
			t.Errorf("appendfsync %s: after a power loss the fact is %q, %v; lost %+v", policy, v, err, lost)
		}
		if (lost.Bytes == 0) != want {
			t.Errorf("appendfsync %s: lost %+v", policy, lost)
		}
	}
}

func TestRedisRewritesItsLogOnADisk(t *testing.T) {
	o := withDisk(t)
	o.Settings = map[string]string{"appendonly": "yes", "appendfsync": "always"}
	in := mustStart(t, redisKind{}, o)
	ctx := t.Context()
	err := onRedis(in.URL(), func(c *redis.Client) error {
		for i := range 2000 {
			if err := c.Set(ctx, fmt.Sprint("key-", i%50), strings.Repeat("v", i%300), 0).Err(); err != nil {
				return err
			}
		}
		if err := c.BgRewriteAOF(ctx).Err(); err != nil {
			return err
		}
		for {
			info, err := c.InfoMap(ctx, "persistence").Result()
			p := info["Persistence"]
			if err != nil || p["aof_rewrite_in_progress"] == "0" && p["aof_rewrite_scheduled"] == "0" {
				if err == nil && p["aof_last_bgrewrite_status"] != "ok" {
					return fmt.Errorf("the rewrite ended %q", p["aof_last_bgrewrite_status"])
				}
				return err
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	losePower(t, in)
	if err := onRedis(in.URL(), func(c *redis.Client) error {
		n, err := c.DBSize(ctx).Result()
		if v, _ := c.Get(ctx, "key-49").Result(); n != 50 || len(v) != 1999%300 {
			t.Errorf("%d keys, key-49 has %d bytes; want 50 and %d", n, len(v), 1999%300)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

func TestPostgresRecoversFromAPowerLoss(t *testing.T) {
	in := mustStart(t, postgres{}, withDisk(t))
	ctx := t.Context()
	if err := put["postgres"](ctx, in.URL(), "kept"); err != nil {
		t.Fatal(err)
	}
	pgbench(t, in, "--initialize", "--scale=2", "--quiet")
	pgbench(t, in, "--client=4", "--transactions=100")
	total := func() (n, sum int64) {
		if err := onPostgres(ctx, in.URL(), func(c *pgx.Conn) error {
			return c.QueryRow(ctx, "SELECT (SELECT count(*) FROM pgbench_history), (SELECT sum(abalance) FROM pgbench_accounts)").Scan(&n, &sum)
		}); err != nil {
			t.Fatal(err)
		}
		return n, sum
	}
	n, sum := total()
	lost := losePower(t, in)
	if lost.Writes == 0 {
		t.Error("nothing was unsynced: a server in use has dirty pages")
	}
	if again, sumAgain := total(); again != n || sumAgain != sum || n != 400 {
		t.Errorf("%d transactions and a sum of %d after it, %d and %d before it; want 400", again, sumAgain, n, sum)
	}
	if v, err := get["postgres"](ctx, in.URL()); v != "kept" || err != nil {
		t.Errorf("the fact is %q, %v", v, err)
	}
	if err := onPostgres(ctx, in.URL(), func(c *pgx.Conn) error {
		_, err := c.Exec(ctx, "CREATE EXTENSION amcheck; SELECT bt_index_check(oid) FROM pg_class WHERE relkind = 'i' AND relam = 403")
		return err
	}); err != nil {
		t.Errorf("an index is damaged: %v", err)
	}
}

func TestPostgresPanicsWhenAnFsyncFails(t *testing.T) {
	in := mustStart(t, postgres{}, withDisk(t))
	ctx := t.Context()
	d := in.(Disked).Disk()
	if err := d.Shape(ctx, "failing", chaos.DiskEffect{FailSync: 1, Files: "pg_wal/*"}); err != nil {
		t.Fatal(err)
	}
	if err := put["postgres"](ctx, in.URL(), "doubtful"); err == nil {
		t.Error("a commit whose fsync failed was acknowledged")
	}
	if c, err := d.Counters(ctx); err != nil || c.FailedSyncs != 1 {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestADiskIsTakenAwayWithItsServer(t *testing.T) {
	o := withDisk(t)
	in := mustStart(t, redisKind{}, o)
	if err := in.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || strings.Contains(string(mounts), o.Run.Dir()) {
		t.Errorf("a mount is left, %v", err)
	}
}

// pgbench runs PostgreSQL's own load on a server, which root must have installed.
func pgbench(t *testing.T, in Instance, args ...string) {
	t.Helper()
	path, err := exec.LookPath("pgbench")
	roottest.Needs(t, err)
	out, err := exec.CommandContext(t.Context(), path, append(args, in.URL())...).CombinedOutput()
	if err != nil {
		t.Fatalf("pgbench: %v\n%s", err, out)
	}
}
