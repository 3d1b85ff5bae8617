package stack

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"shakedown/chaos"
)

// grouped is a primary and two replicas, whose links are plain forwarders.
type grouped struct {
	*Group
	t       *testing.T
	members map[string]Instance
	links   map[string]string
}

func group(t *testing.T, k Kind, settings map[string]string) grouped {
	t.Helper()
	o := options(t)
	o.Settings = settings
	primary := mustStart(t, k, o)
	g := grouped{t: t, members: map[string]Instance{primary.Name(): primary}, links: map[string]string{}}
	var replicas []Instance
	for n := range 2 {
		o.Name = ReplicaName(k.Name(), n)
		via := forward(t, primary)
		r, err := k.(Replicator).StartReplica(t.Context(), primary, via, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := r.Stop(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
		})
		g.links[o.Name+"→"+primary.Name()] = via
		g.members[o.Name], replicas = r, append(replicas, r)
	}
	for _, to := range replicas {
		for from := range g.members {
			if from != to.Name() {
				g.links[from+"→"+to.Name()] = forward(t, to)
			}
		}
	}
	var err error
	if g.Group, err = NewGroup(primary, replicas, func(from, to string) string { return g.links[from+"→"+to] }); err != nil {
		t.Fatal(err)
	}
	return g
}

// holds wants the fact on a member.
func (g grouped) holds(name, want string) {
	g.t.Helper()
	in := g.members[name]
	if v, err := get[in.Kind()](g.t.Context(), in.URL()); v != want || err != nil {
		g.t.Errorf("%s holds %q, %v; want %q", name, v, err, want)
	}
}

func (g grouped) must(what string, err error) {
	g.t.Helper()
	if err != nil {
		g.t.Fatalf("%s: %v", what, err)
	}
}

func eachReplicator(t *testing.T, test func(*testing.T, Kind)) {
	eachKind(t, func(t *testing.T, k Kind) {
		if _, ok := k.(Replicator); !ok {
			if k.Name() == "postgres" || k.Name() == "redis" {
				t.Fatalf("%s has no replicas", k.Name())
			}
			return
		}
		test(t, k)
	})
}

func TestReplicasHoldWhatThePrimaryWrites(t *testing.T) {
	eachReplicator(t, func(t *testing.T, k Kind) {
		g, ctx := group(t, k, nil), t.Context()
		head, first, second := k.Name(), ReplicaName(k.Name(), 0), ReplicaName(k.Name(), 1)
		if primary, replicas := g.Members(); primary != head || !slices.Equal(replicas, []string{first, second}) {
			t.Errorf("the primary is %s, the replicas are %q", primary, replicas)
		}
		g.must("put", put[k.Name()](ctx, g.members[head].URL(), "written"))
		g.must("catch up", g.CatchUp(ctx))
		g.holds(first, "written")
		g.holds(second, "written")
		if err := put[k.Name()](ctx, g.members[first].URL(), "elsewhere"); err == nil {
			t.Error("a replica takes writes")
		}
		if err := g.Write(ctx, first); err == nil || !strings.Contains(err.Error(), "takes no writes") {
			t.Errorf("writing to a replica: %v", err)
		}
		g.must("write", g.Write(ctx, head))
		g.must("reset of a replica", g.members[first].Reset(ctx))
		g.holds(first, "written")
		for name, in := range g.members {
			if _, err := in.Stats(ctx); err != nil || in.Name() != name || in.Healthy(ctx) != nil {
				t.Errorf("%s calls itself %s; statistics: %v; healthy: %v", name, in.Name(), err, in.Healthy(ctx))
			}
		}
	})
}

func TestADetachedReplicaFallsBehindAndCatchesUp(t *testing.T) {
	eachReplicator(t, func(t *testing.T, k Kind) {
		g, ctx := group(t, k, nil), t.Context()
		first := ReplicaName(k.Name(), 0)
		primary := g.members[k.Name()]
		g.must("put", put[k.Name()](ctx, primary.URL(), "old"))
		g.must("catch up", g.CatchUp(ctx))
		g.must("detach", g.Detach(ctx, first))
		if follows, err := g.Follows(ctx, first); follows || err != nil {
			t.Errorf("a detached replica follows: %t, %v", follows, err)
		}
		lag := map[string]string{"replica": first}
		before, err := g.Stats(ctx)
		g.must("stats", err)
		if n := value(t, before, "shakedown_replication_lag_seconds", lag); n != 0 {
			t.Errorf("%v s behind before anything was written", n)
		}
		if k.Name() == "redis" { // put replaces there, and adds here
			g.must("put", put[k.Name()](ctx, primary.URL(), "new"))
		} else {
			g.must("write", onPostgres(ctx, primary.URL(), func(c *pgx.Conn) error {
				_, err := c.Exec(ctx, "UPDATE fact SET v = 'new'")
				return err
			}))
		}
		g.holds(first, "old")
		if n, err := g.Behind(ctx, first); n <= 0 || err != nil {
			t.Errorf("%d bytes behind, %v", n, err)
		}
		_, err = g.Stats(ctx)
		g.must("stats", err)
		time.Sleep(2 * time.Millisecond) // what is measured is time
		during, err := g.Stats(ctx)
		g.must("stats", err)
		if b, s := value(t, during, "shakedown_replication_lag_bytes", lag), value(t, during, "shakedown_replication_lag_seconds", lag); b <= 0 || s < 0.002 {
			t.Errorf("the detached replica is %v bytes and %v s behind", b, s)
		}
		g.must("attach", g.Attach(ctx, first))
		g.holds(first, "new")
		after, err := g.Stats(ctx)
		g.must("stats", err)
		if s := value(t, after, "shakedown_replication_lag_seconds", lag); s != 0 {
			t.Errorf("%v s behind after catching up", s)
		}
		if err := g.Detach(ctx, k.Name()); err == nil {
			t.Error("a primary was detached")
		}
	})
}

// TestTheGroupSurvivesItsPrimary fails over to each other member in turn, until every one has been the primary.
func TestTheGroupSurvivesItsPrimary(t *testing.T) {
	eachReplicator(t, func(t *testing.T, k Kind) {
		g, ctx := group(t, k, nil), t.Context()
		g.must("put", put[k.Name()](ctx, g.members[k.Name()].URL(), "kept"))
		g.must("catch up", g.CatchUp(ctx))
		if err := g.Promote(ctx, ReplicaName(k.Name(), 0)); err == nil || !strings.Contains(err.Error(), "beside it") {
			t.Errorf("promoting beside a primary that runs: %v", err)
		}
		for _, next := range []string{ReplicaName(k.Name(), 0), ReplicaName(k.Name(), 1), k.Name()} {
			former, replicas := g.Members()
			g.must("kill", g.members[former].Process().Kill(ctx))
			g.must("promote", g.Promote(ctx, next))
			g.must("write", g.Write(ctx, next))
			if primary, _ := g.Members(); primary != next {
				t.Errorf("the primary is %s, not %s", primary, next)
			}
			for _, name := range replicas {
				if name == next {
					continue
				}
				follows, err := g.Follows(ctx, name)
				for ; !follows && err == nil && ctx.Err() == nil; follows, err = g.Follows(ctx, name) {
					time.Sleep(10 * time.Millisecond) // it connects again when it sees fit
				}
				if !follows {
					t.Errorf("%s does not follow the new primary: %v", name, err)
				}
			}
			g.must("rejoin", g.Rejoin(ctx, former))
			g.must("catch up", g.CatchUp(ctx))
			if err := g.Write(ctx, former); err == nil {
				t.Errorf("%s takes writes after it came back", former)
			}
			for name := range g.members {
				g.holds(name, "kept")
			}
			// What is killed and started again keeps the role that it has now.
			p := g.members[former].Process()
			g.must("kill and start", errors.Join(p.Kill(ctx), p.Start(ctx)))
			g.must("catch up", g.CatchUp(ctx))
		}
		if primary, _ := g.Members(); primary != k.Name() {
			t.Errorf("after a round the primary is %s", primary)
		}
	})
}

func TestClientsFindThePrimaryThroughTheirLinks(t *testing.T) {
	g, ctx := group(t, postgres{}, nil), t.Context()
	links := map[string]string{}
	for name, in := range g.members {
		links[name] = forward(t, in)
	}
	url := g.URLOfPrimary(links, "service-0")
	writes := func() (port, client string) {
		g.must("write", onPostgres(ctx, url, func(c *pgx.Conn) error {
			if _, err := c.Exec(ctx, "CREATE TABLE IF NOT EXISTS reached (v text)"); err != nil {
				return err
			}
			return c.QueryRow(ctx, "SELECT current_setting('unix_socket_directories'), current_setting('application_name')").Scan(&port, &client)
		}))
		return port, client
	}
	if where, client := writes(); client != "service-0" || !strings.HasSuffix(where, "/postgres") {
		t.Errorf("%s reached %s", client, where)
	}
	g.must("kill", g.members["postgres"].Process().Kill(ctx))
	g.must("promote", g.Promote(ctx, "postgres-replica-1"))
	if where, _ := writes(); !strings.HasSuffix(where, "/postgres-replica-1") {
		t.Errorf("after the failover reached %s", where)
	}
	if got := group(t, redisKind{}, nil).URLOfPrimary(nil, ""); got != "" {
		t.Errorf("clients of redis know no such URL as %s", got)
	}
}

func TestASynchronousStandbyHoldsCommitsBack(t *testing.T) {
	g := group(t, postgres{}, map[string]string{"synchronous_standby_names": `FIRST 1 ("postgres-replica-0")`})
	ctx := t.Context()
	g.must("put", put["postgres"](ctx, g.members["postgres"].URL(), "kept"))
	g.must("pause", g.members["postgres-replica-0"].Process().Pause(ctx))
	brief, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	if err := put["postgres"](brief, g.members["postgres"].URL(), "late"); err == nil {
		t.Error("a commit did not wait for its standby")
	}
	cancel()
	g.must("a write of the harness waits for no standby", g.Write(ctx, "postgres"))
	g.must("resume", g.members["postgres-replica-0"].Process().Resume(ctx))
	g.must("put", put["postgres"](ctx, g.members["postgres"].URL(), "again"))
}

func TestAForeignServerGetsNoReplicas(t *testing.T) {
	eachReplicator(t, func(t *testing.T, k Kind) {
		o := options(t)
		own := mustStart(t, k, o)
		addr := forward(t, own)
		given, err := k.Attach(t.Context(), own.URLVia(addr, ""))
		if err != nil {
			t.Fatal(err)
		}
		o.Name = ReplicaName(k.Name(), 0)
		if _, err := k.(Replicator).StartReplica(t.Context(), given, addr, o); !errors.Is(err, ErrNotOurs) {
			t.Errorf("got %v", err)
		}
		if err := given.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		wantState(t, own.Process(), chaos.Running)
	})
}

func TestLagInTimeIsThatOfWhatWasFirstMissed(t *testing.T) {
	g := &Group{members: []replicated{&redisServer{}}}
	for i := range 5 {
		g.note(g.members[0], progress{at: time.Duration(i) * time.Second, position: int64(10 * i)}, 5)
	}
	for replayed, want := range map[int64]time.Duration{5: 9 * time.Second, 10: 8 * time.Second, 35: 6 * time.Second, 40: 0} {
		if got := g.since(replayed, 10*time.Second); got != want {
			t.Errorf("at %d of 40 bytes: %v behind, want %v", replayed, got, want)
		}
	}
	if n := len(g.written); n != 4 {
		t.Errorf("%d moments are kept; that at which every replica was is of no use", n)
	}
}
