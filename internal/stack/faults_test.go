package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"shakedown/chaos"
	"shakedown/internal/cgroup"
	"shakedown/internal/faketime"
	"shakedown/internal/proc/procfs"
	"shakedown/internal/roottest"
	"shakedown/internal/units"
)

// alone is a surface with one process.
type alone struct{ chaos.Process }

func (alone) Links(string) []chaos.Link { return nil }

func (a alone) Processes(name string) []chaos.Process {
	if name == a.Name() {
		return []chaos.Process{a.Process}
	}
	return nil
}

// injected puts a fault in force, which must be seen to land; heal heals it, and says what it did.
func injected(t *testing.T, f chaos.Fault, in Instance) (heal func() chaos.Evidence) {
	t.Helper()
	i, err := f.Inject(t.Context(), alone{in.Process()})
	if err != nil {
		t.Fatal(err)
	}
	if !i.Landed().Seen {
		t.Errorf("landed: %s", i.Landed())
	}
	return func() chaos.Evidence {
		t.Helper()
		did, err := i.Heal(context.WithoutCancel(t.Context()))
		if err != nil {
			t.Error(err)
		}
		return did
	}
}

func TestTheClockOfAServerIsWrongForItAlone(t *testing.T) {
	_, err := faketime.Find()
	roottest.Needs(t, err)
	for _, k := range kinds {
		if ClockFault(k.Name()) != nil {
			continue
		}
		t.Run(k.Name(), func(t *testing.T) {
			o := options(t)
			o.Arrangement.Clock = true
			in := mustStart(t, k, o)
			server := in.Process().(chaos.Skewable)
			ahead := func() time.Duration {
				t.Helper()
				says, err := server.Time(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				return time.Until(says)
			}
			heal := injected(t, &chaos.ClockSkew{Process: k.Name(), Offset: -3600 * units.Second, Rate: 1.01}, in)
			// A server that is started again has the same wrong clock, also when it was killed while it held the clock's semaphore.
			if err := errors.Join(server.Kill(t.Context()), server.Start(t.Context())); err != nil {
				t.Fatal(err)
			}
			if off := ahead(); off < -time.Hour-time.Second || off > -time.Hour+time.Minute {
				t.Errorf("started again, its clock is ahead by %v", off)
			}
			if did := heal(); !did.Seen {
				t.Errorf("it did: %s", did)
			}
			if off := ahead(); off > time.Millisecond { // it said so before it was looked at
				t.Errorf("healed, its clock is ahead by %v", off)
			}
		})
	}
}

// inGroups starts a server in control groups.
func inGroups(t *testing.T, k Kind) Instance {
	t.Helper()
	for _, c := range []cgroup.Controller{cgroup.CPU, cgroup.Memory} {
		_, err := cgroup.Find(c)
		roottest.Needs(t, err)
	}
	o := options(t)
	o.Arrangement = chaos.Arrangement{CPUGroup: true, MemoryGroup: true}
	return mustStart(t, k, o)
}

func TestAllThatAServerStartsIsInItsControlGroup(t *testing.T) {
	in := inGroups(t, postgres{})
	for life := range 2 {
		if life > 0 {
			if err := errors.Join(in.Process().Kill(t.Context()), in.Process().Start(t.Context())); err != nil {
				t.Fatal(err)
			}
		}
		tree, err := procfs.Tree(in.(*pgServer).own.Process().Pid())
		if err != nil || len(tree) < 5 {
			t.Fatalf("PostgreSQL has %d processes, %v", len(tree), err)
		}
		for _, st := range tree {
			raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", st.PID))
			if errors.Is(err, os.ErrNotExist) {
				continue // a backend that has ended
			}
			if err != nil || !strings.Contains(string(raw), "/shakedown-") {
				t.Errorf("%s (pid %d) is outside: %s, %v", st.Command, st.PID, raw, err)
			}
		}
	}
}

func TestABackendThatTakesTooMuchMemoryIsKilledAndPostgresComesBack(t *testing.T) {
	in := inGroups(t, postgres{})
	use, err := in.Process().(chaos.MemoryLimiter).Memory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	heal := injected(t, &chaos.MemoryLimit{Process: "postgres", Bytes: use.Bytes + 64<<20}, in)
	conn, err := pgx.Connect(t.Context(), in.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	var n int
	if err := conn.QueryRow(t.Context(), "SELECT length(repeat('x', 500000000))").Scan(&n); err == nil {
		t.Errorf("it took %d bytes, 64 MiB were left", n)
	}
	if did := heal(); !did.Seen || did.Got < 1 || did.Unit != "OOM kills" {
		t.Errorf("it did: %s", did)
	}
	if err := in.Healthy(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAServerWithoutDescriptorsTakesNoConnections(t *testing.T) {
	in := mustStart(t, redisKind{}, options(t))
	_, socket := in.Dial()
	dial := func(wait time.Duration) error {
		c := redis.NewClient(&redis.Options{Network: "unix", Addr: socket, MaxRetries: -1, ReadTimeout: wait})
		defer func() { _ = c.Close() }()
		return c.Ping(t.Context()).Err()
	}
	heal := injected(t, &chaos.FDLimit{Process: "redis"}, in)
	if err := dial(200 * time.Millisecond); err == nil {
		t.Error("it took a connection without a descriptor for it")
	}
	if did := heal(); !did.Seen {
		t.Errorf("it did: %s", did)
	}
	if err := dial(time.Minute); err != nil {
		t.Errorf("healed, it takes no connection: %v", err)
	}
}

func TestAnAttachedServerCannotBeLimited(t *testing.T) {
	for _, f := range []chaos.Fault{
		&chaos.CPUQuota{Process: "redis", Cores: 1}, &chaos.Terminate{Process: "redis"}, &chaos.ClockSkew{Process: "redis", Offset: units.Second},
	} {
		if err := f.Available(alone{foreign("redis")}); err == nil || !strings.HasPrefix(err.Error(), "redis cannot ") {
			t.Errorf("%s: %v", f, err)
		}
	}
}
