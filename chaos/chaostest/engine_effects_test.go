package chaostest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shakedown/chaos"
	"shakedown/internal/stack"
	"shakedown/internal/units"
)

// bench is a set without clients, on which a test does one thing after the other.
type bench struct {
	*set
	t *testing.T
}

func benchOf(t *testing.T, kind string) bench {
	t.Helper()
	return bench{servers.lend(t, kind, kind+" without clients"), t}
}

// inject injects a fault that must be seen to land; the test ends without it.
func (b bench) inject(f chaos.Fault) chaos.Injection {
	b.t.Helper()
	for range 5 { // what a busy machine hides once shows later
		in, err := f.Inject(b.t.Context(), b.set)
		if err != nil {
			b.t.Fatal(err)
		}
		if in.Landed().Seen {
			b.t.Cleanup(func() { heal(b.t, in) })
			return in
		}
		b.t.Logf("landed: %s", in.Landed())
		heal(b.t, in)
	}
	b.t.Fatalf("%s never showed", f)
	return nil
}

func (b bench) named(name string) stack.Instance {
	i := slices.IndexFunc(b.members, func(m stack.Instance) bool { return m.Name() == name })
	return b.members[i]
}

// client is a connection as a service has it.
func (b bench) client(name, application string) *pgx.Conn {
	b.t.Helper()
	config, err := pgx.ParseConfig(b.named(name).URL())
	if err != nil {
		b.t.Fatal(err)
	}
	config.RuntimeParams["application_name"] = application
	conn, err := pgx.ConnectConfig(b.t.Context(), config)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(b.t.Context())) })
	return conn
}

func (b bench) exec(c *pgx.Conn, sql string) {
	b.t.Helper()
	if _, err := c.Exec(b.t.Context(), sql); err != nil {
		b.t.Fatalf("%s: %v", sql, err)
	}
}

func (b bench) redis() chaos.RedisConn {
	b.t.Helper()
	c, err := b.named("redis").(chaos.RedisEngine).Connect(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = c.Close() })
	return c
}

func (b bench) do(c chaos.RedisConn, args ...string) any {
	b.t.Helper()
	reply, err := c.Do(b.t.Context(), args...)
	if err != nil {
		b.t.Fatalf("%q: %v", args, err)
	}
	return reply
}

// waits runs a step that must not end before the fault is healed, and then must.
func (b bench) waits(in chaos.Injection, step func() error) {
	b.t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- step() }()
	select {
	case err := <-ended:
		b.t.Errorf("it did not wait (%v)", err)
	case <-time.After(100 * time.Millisecond):
	}
	if e := heal(b.t, in); !e.Seen {
		b.t.Errorf("somebody waited, and %s", e)
	}
	if err := <-ended; err != nil {
		b.t.Errorf("after the fault: %v", err)
	}
}

func TestALockThatIsHeldMakesOthersWait(t *testing.T) {
	b := benchOf(t, "postgres")
	c := b.client("postgres", "service-0")
	b.exec(c, "DROP TABLE IF EXISTS item; CREATE TABLE item AS SELECT id, 0 AS n FROM generate_series(0, 9) AS id")
	for _, tc := range []struct {
		fault       chaos.LockHeld
		waits, goes string
	}{
		{chaos.LockHeld{Table: "item"}, "SELECT FROM item", "SELECT 1"},
		{chaos.LockHeld{Table: "public.item", Mode: "share row exclusive"}, "UPDATE item SET n = 1", "SELECT FROM item"},
		{chaos.LockHeld{Table: "item", Where: "id < 2"}, "UPDATE item SET n = 1 WHERE id = 1", "UPDATE item SET n = 1 WHERE id = 2"},
		{chaos.LockHeld{Advisory: -7}, "SELECT pg_advisory_lock(-7), pg_advisory_unlock(-7)", "SELECT pg_advisory_lock(7), pg_advisory_unlock(7)"},
	} {
		tc.fault.Engine = "postgres"
		in := b.inject(&tc.fault)
		b.exec(c, tc.goes)
		b.waits(in, func() error { _, err := c.Exec(t.Context(), tc.waits); return err })
	}
	nobody := &chaos.LockHeld{Engine: "postgres", Table: "item", Where: "id = 99"}
	if in, err := nobody.Inject(t.Context(), b); err == nil || in != nil || !strings.Contains(err.Error(), "no row where") {
		t.Errorf("locking no row: %v", err)
	}
	in := b.inject(&chaos.LockHeld{Engine: "postgres", Advisory: 1})
	if e := heal(t, in); e.Seen {
		t.Errorf("nobody waited, and %s", e)
	}
}

func TestOnlyTheConnectionsThatAreMeantAreTerminated(t *testing.T) {
	b := benchOf(t, "postgres")
	alive := map[string]*pgx.Conn{}
	for _, name := range []string{"service-0", "service-1", "servicer", "backend-0"} {
		alive[name] = b.client("postgres", name)
	}
	lives := func(name string) bool { return alive[name].Ping(t.Context()) == nil }
	in := b.inject(&chaos.BackendTerminated{Engine: "postgres", Application: "service"})
	if e := in.Landed(); e.Want != 2 || e.Got != 2 {
		t.Errorf("landed: %s", e)
	}
	if lives("service-0") || lives("service-1") || !lives("servicer") || !lives("backend-0") {
		t.Error("those that live are not those that were not meant")
	}
	if e := heal(t, in); e.Got != 2 {
		t.Errorf("what traffic met: %s", e)
	}
	in, err := (&chaos.BackendTerminated{Engine: "postgres", Application: "service"}).Inject(t.Context(), b)
	if err != nil || in.Landed().Seen {
		t.Errorf("there was nobody to terminate, and it was seen: %v", err)
	}
}

func TestHoggedConnectionsAreRefusedToOthers(t *testing.T) {
	b := benchOf(t, "postgres")
	in := b.inject(&chaos.ConnectionsHogged{Engine: "postgres"})
	// A backend of a test before may end only now: its slot is free until the fault takes it too.
	if err := poll(t.Context(), func() (bool, error) {
		c, err := pgx.Connect(t.Context(), b.named("postgres").URL())
		if err == nil {
			return false, c.Close(t.Context())
		}
		pgErr, ok := errors.AsType[*pgconn.PgError](err)
		if !ok || pgErr.Code != "53300" {
			return false, err
		}
		return true, nil
	}); err != nil {
		t.Errorf("connecting to a server without a slot: %v", err)
	}
	if err := b.named("postgres").Healthy(t.Context()); err != nil {
		t.Errorf("the harness lost its own connection: %v", err)
	}
	if e := heal(t, in); !e.Seen {
		t.Errorf("it was full to the end, and %s", e)
	}
	b.client("postgres", "service-0")
	in = b.inject(&chaos.ConnectionsHogged{Engine: "postgres", Connections: 5})
	if e := in.Landed(); e.Got != 5 {
		t.Errorf("landed: %s", e)
	}
	b.client("postgres", "service-1")
}

func TestAStandbyShowsLateWhatItHas(t *testing.T) {
	b := benchOf(t, "postgres")
	c, replica := b.client("postgres", "service-0"), b.client("postgres-replica-0", "service-0")
	b.exec(c, "DROP TABLE IF EXISTS late; CREATE TABLE late (n int)")
	shown := func() (n int64) {
		if err := replica.QueryRow(t.Context(), "SELECT count(*) FROM late").Scan(&n); err != nil {
			return -1 // the table is not there yet
		}
		return n
	}
	eventually := func(want int64) {
		t.Helper()
		if err := poll(t.Context(), func() (bool, error) { return shown() == want, nil }); err != nil {
			t.Fatalf("%d rows, want %d: %v", shown(), want, err)
		}
	}
	received := func() { // what was committed has arrived, shown or not
		t.Helper()
		var want, have int64
		if err := c.QueryRow(t.Context(), "SELECT (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint").Scan(&want); err != nil {
			t.Fatal(err)
		}
		if err := poll(t.Context(), func() (bool, error) {
			err := replica.QueryRow(t.Context(), "SELECT (pg_last_wal_receive_lsn() - '0/0'::pg_lsn)::bigint").Scan(&have)
			return have >= want, err
		}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(0)
	b.exec(b.client("postgres-replica-0", "admin"), "ALTER SYSTEM SET recovery_min_apply_delay = '1ms'")
	for i, f := range []*chaos.ReplayDelayed{{Delay: 300 * units.Millisecond}, {}} {
		f.Engine = "postgres-replica-0"
		in := b.inject(f)
		began := time.Now()
		b.exec(c, "INSERT INTO late VALUES (1)")
		if f.Delay > 0 {
			eventually(int64(i + 1))
			if took := time.Since(began); took < f.Delay.D() {
				t.Errorf("it was shown after %v, before the delay of %v", took, f.Delay)
			}
		} else if n := shown(); n != int64(i) {
			t.Errorf("a standby that is paused shows %d rows, want %d", n, i)
		}
		received()
		if e := heal(t, in); !e.Seen {
			t.Errorf("what traffic met: %s", e)
		}
		eventually(int64(i + 1))
	}
	var left string
	if err := replica.QueryRow(t.Context(), `SELECT setting FROM pg_file_settings WHERE name = 'recovery_min_apply_delay'`).Scan(&left); err != nil || left != "1ms" {
		t.Errorf("the former setting is %q, %v; want 1ms as it was", left, err)
	}
	b.exec(b.client("postgres-replica-0", "admin"), "ALTER SYSTEM RESET recovery_min_apply_delay")
	if err := (&chaos.ReplayDelayed{Engine: "postgres"}).Available(b); err == nil || !strings.Contains(err.Error(), "is a primary") {
		t.Errorf("delaying the replay of a primary: %v", err)
	}
}

func TestWritersPauseAndReadersGoOn(t *testing.T) {
	b := benchOf(t, "redis")
	c, writer := b.redis(), b.redis()
	b.do(c, "SET", "k", "old")
	in := b.inject(&chaos.ClientPause{Engine: "redis", Mode: "write"})
	if got := b.do(c, "GET", "k"); got != "old" {
		t.Errorf("reading gives %v", got)
	}
	b.waits(in, func() error { _, err := writer.Do(t.Context(), "SET", "k", "new"); return err })
	if got := b.do(c, "GET", "k"); got != "new" {
		t.Errorf("what waited was not executed: %v", got)
	}
	in = b.inject(&chaos.ClientPause{Engine: "redis"})
	b.waits(in, func() error { _, err := writer.Do(t.Context(), "GET", "k"); return err })
}

func TestMemoryIsShortAndThenAsItWas(t *testing.T) {
	b := benchOf(t, "redis")
	c := b.redis()
	b.do(c, "FLUSHALL")
	b.do(c, "CONFIG", "SET", "maxmemory", "999mb")
	b.do(c, "CONFIG", "SET", "maxmemory-policy", "volatile-ttl")
	for i := range 300 {
		b.do(c, "SET", fmt.Sprintf("item:%d", i), strings.Repeat("x", 10_000))
	}
	in := b.inject(&chaos.MaxMemory{Engine: "redis", OfUsed: 0.7, Policy: "noeviction"})
	_, err := c.Do(t.Context(), "SET", "item:new", "x")
	if said, ok := errors.AsType[chaos.ReplyError](err); !ok || !strings.HasPrefix(string(said), "OOM") {
		t.Errorf("writing without memory: %v", err)
	}
	if e := heal(t, in); e.Got != 1 {
		t.Errorf("one write was refused, and %s", e)
	}
	b.do(c, "SET", "item:new", "x")
	in = b.inject(&chaos.MaxMemory{Engine: "redis", OfUsed: 0.7, Policy: "allkeys-random"})
	b.do(c, "SET", "item:newer", "x")
	if e := heal(t, in); !e.Seen {
		t.Errorf("keys were evicted, and %s", e)
	}
	if n, ok := b.do(c, "DBSIZE").(int64); !ok || n >= 302 {
		t.Errorf("there are %d keys; nothing was evicted", n)
	}
	for name, want := range map[string]string{"maxmemory": "1047527424", "maxmemory-policy": "volatile-ttl"} {
		if got := fmt.Sprint(b.do(c, "CONFIG", "GET", name)); got != fmt.Sprint([]any{name, want}) {
			t.Errorf("after healing %s, want %s", got, want)
		}
	}
	b.do(c, "CONFIG", "SET", "maxmemory", "0")
	b.do(c, "CONFIG", "SET", "maxmemory-policy", "noeviction")
	bad := &chaos.MaxMemory{Engine: "redis", Bytes: 1 << 30, Policy: "no-such-policy"}
	if in, err := bad.Inject(t.Context(), b); err == nil || in != nil {
		t.Errorf("a policy that the server does not know: %v", err)
	}
	if err := b.clean(t.Context()); err != nil {
		t.Errorf("a failed injection left something: %v", err)
	}
}

func TestASeedDecidesWhichKeysGo(t *testing.T) {
	b := benchOf(t, "redis")
	c := b.redis()
	left := func(f chaos.KeyEviction) string {
		b.do(c, "FLUSHALL")
		for i := range 200 {
			b.do(c, "SET", fmt.Sprintf("item:%d", i), "x")
		}
		b.do(c, "SET", "other", "x")
		f.Engine, f.Match = "redis", "item:*"
		in := b.inject(&f)
		if e := in.Landed(); e.Want != e.Got {
			t.Errorf("landed: %s", e)
		}
		if e := heal(t, in); e.Seen {
			t.Errorf("nobody missed a key, and %s", e)
		}
		if err := poll(t.Context(), func() (bool, error) { // what expires takes a millisecond
			n, ok := b.do(c, "DBSIZE").(int64)
			return ok && float64(n) == 201-in.Landed().Got, nil
		}); err != nil {
			t.Fatal(err)
		}
		keys, _ := b.do(c, "KEYS", "*").([]any)
		var names []string
		for _, k := range keys {
			names = append(names, fmt.Sprint(k))
		}
		slices.Sort(names)
		return strings.Join(names, " ")
	}
	first := left(chaos.KeyEviction{Share: 0.3, Seed: 1})
	if n := strings.Count(first, "item:"); n < 110 || n > 170 { // 5 standard deviations
		t.Errorf("%d of 200 keys are left of which 30 %% should go", n)
	}
	if again := left(chaos.KeyEviction{Share: 0.3, Seed: 1, Expire: true}); again != first {
		t.Error("the same seed took other keys")
	}
	if other := left(chaos.KeyEviction{Share: 0.3, Seed: 2}); other == first {
		t.Error("another seed took the same keys")
	}
	if all := left(chaos.KeyEviction{}); all != "other" {
		t.Errorf("without a share %q is left", all)
	}
	info, _ := b.do(c, "INFO", "stats").(string)
	if strings.Contains(info, "expired_keys:0\r\n") {
		t.Error("keys that were to expire did not count as expired")
	}
}

func TestAFailoverGoesWhereItIsTold(t *testing.T) {
	for _, kind := range []string{"postgres", "redis"} {
		t.Run(kind, func(t *testing.T) {
			b := bench{servers.lend(t, kind, kind+" whose roles change"), t}
			g := b.members[0].(chaos.Member).Group()
			former, replicas := g.Members()
			in := b.inject(&chaos.Failover{Engine: kind, To: replicas[1], Primary: "pause"})
			if primary, _ := g.Members(); primary != replicas[1] {
				t.Errorf("the primary is %s, want %s", primary, replicas[1])
			}
			if err := poll(t.Context(), func() (bool, error) { return g.Follows(t.Context(), replicas[0]) }); err != nil {
				t.Errorf("%s does not follow the new primary: %v", replicas[0], err)
			}
			again := &chaos.Failover{Engine: kind, To: replicas[1]}
			if in, err := again.Inject(t.Context(), b); err == nil || in != nil || !strings.Contains(err.Error(), "is the primary already") {
				t.Errorf("failing over to the primary: %v", err)
			}
			heal(t, in)
			if err := g.Write(t.Context(), former); err == nil {
				t.Errorf("%s takes writes beside the new primary", former)
			}
			if follows, err := g.Follows(t.Context(), former); !follows || err != nil {
				t.Errorf("%s does not follow: %v", former, err)
			}
			alone := onlyPrimary{b.set}
			if err := (&chaos.Failover{Engine: kind}).Available(alone); err == nil || !strings.Contains(err.Error(), "give it replicas") {
				t.Errorf("without replicas: %v", err)
			}
		})
	}
}

// onlyPrimary is a set whose replicas nobody sees.
type onlyPrimary struct{ *set }

func (s onlyPrimary) Engines(name string) []chaos.Engine {
	if name != s.kind {
		return nil
	}
	return s.set.Engines(name)
}

// given is a surface of one server that the user gave.
type given struct{ stack.Instance }

func (given) Links(string) []chaos.Link        { return nil }
func (given) Processes(string) []chaos.Process { return nil }
func (g given) EngineNames() []string          { return []string{g.Name()} }
func (g given) Engines(name string) []chaos.Engine {
	if name == g.Name() {
		return []chaos.Engine{g.Instance}
	}
	return nil
}

func attach(t *testing.T, kind, url string) given {
	t.Helper()
	k, err := stack.Lookup(kind)
	if err != nil {
		t.Fatal(err)
	}
	in, err := k.Attach(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := in.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return given{in}
}

func TestAGivenServerIsNotActedOn(t *testing.T) {
	pg, rd := benchOf(t, "postgres"), benchOf(t, "redis")
	for _, tc := range []struct {
		on      given
		faults  chaos.Faults
		refused bool
	}{
		{attach(t, "postgres", pg.named("postgres").URL()), chaos.Faults{
			&chaos.BackendTerminated{Engine: "postgres"}, &chaos.ConnectionsHogged{Engine: "postgres"}, &chaos.IdleInTransaction{Engine: "postgres"},
			&chaos.Failover{Engine: "postgres"}, &chaos.LockHeld{Engine: "postgres", Table: "precious"},
			&chaos.LockHeld{Engine: "postgres", Table: "shakedown_item", Where: "(SELECT true)"},
		}, true},
		{attach(t, "redis", rd.named("redis").URL()), chaos.Faults{
			&chaos.ClientPause{Engine: "redis"}, &chaos.MaxMemory{Engine: "redis", Bytes: 1}, &chaos.KeyEviction{Engine: "redis", Match: "*"},
			&chaos.SlowCommand{Engine: "redis", For: units.Second}, &chaos.Failover{Engine: "redis"},
		}, true},
		{attach(t, "postgres", pg.named("postgres").URL()), chaos.Faults{
			&chaos.LockHeld{Engine: "postgres", Table: "shakedown_item"}, &chaos.LockHeld{Engine: "postgres", Advisory: 3},
		}, false},
	} {
		for _, f := range tc.faults {
			err := f.Available(tc.on)
			if errors.Is(err, stack.ErrNotOurs) != tc.refused || !tc.refused && err != nil {
				t.Errorf("%s: %v; refused: %t", f, err, tc.refused)
			}
			if in, err := f.Inject(t.Context(), tc.on); tc.refused && (err == nil || in != nil) {
				t.Errorf("%s was injected into a server that is not ours", f)
			} else if in != nil {
				heal(t, in)
			}
		}
	}
	wrong := &chaos.LockHeld{Engine: "redis", Advisory: 3}
	if err := wrong.Available(rd); err == nil || !strings.Contains(err.Error(), "acts on postgres") {
		t.Errorf("a lock of PostgreSQL on Redis: %v", err)
	}
}

// lockEnv makes this binary a harness that holds a lock on a server that it was given, until it is killed.
const lockEnv = "SHAKEDOWN_CHAOSTEST_LOCK"

func beLocker(url string) {
	err := func() error {
		k, err := stack.Lookup("postgres")
		if err != nil {
			return err
		}
		in, err := k.Attach(context.Background(), url)
		if err != nil {
			return err
		}
		_, err = (&chaos.LockHeld{Engine: "postgres", Advisory: 4711}).Inject(context.Background(), given{in})
		return err
	}()
	fmt.Println("held", err)
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
}

func TestAKilledHarnessHoldsNoLockOnAGivenServer(t *testing.T) {
	b := benchOf(t, "postgres")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), lockEnv+"="+b.named("postgres").URL())
	if _, err := cmd.StdinPipe(); err != nil { // it ends with this process at the latest
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said, err := bufio.NewReader(out).ReadString('\n')
	if said != "held <nil>\n" || err != nil {
		t.Errorf("the harness says %q, %v", said, err)
	}
	c := b.client("postgres", "service-0")
	free := func() (yes bool, err error) {
		err = c.QueryRow(t.Context(), "SELECT pg_try_advisory_xact_lock(4711)").Scan(&yes)
		return yes, err
	}
	if yes, err := free(); yes || err != nil {
		t.Errorf("the lock is free while it is held: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // "signal: killed", as asked
	if err := poll(t.Context(), free); err != nil {
		t.Errorf("the lock of a harness that was killed: %v", err)
	}
}
