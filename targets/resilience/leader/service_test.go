package leader

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"shakedown/bench"
	"shakedown/bench/check/leadership"
	"shakedown/targets/serve"
	"shakedown/targets/targettest"
)

var servers targettest.Shared

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }

func TestPattern(t *testing.T) { targettest.Run(t, Pattern, &servers) }

func testEnv(t *testing.T, instance int) bench.Env {
	t.Helper()
	env := bench.Env{Role: bench.ServiceRole, Instance: instance, Instances: instances, URLs: map[string]string{}, History: t.TempDir()}
	for _, name := range []string{"postgres", storeRedis, storeEtcd} {
		env.URLs[name] = servers.URL(t, name)
	}
	return env
}

// instance is one that does not serve, so that the test alone asks for the role.
func instance(t *testing.T, env bench.Env, c Config) *service {
	t.Helper()
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	svc, err := open(t.Context(), env, raw)
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

func acquire(t *testing.T, s *service, token string) *grant {
	t.Helper()
	g, err := s.lock.acquire(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// empty removes what an earlier test has left of the role.
func empty(t *testing.T) {
	t.Helper()
	for _, name := range []string{storeRedis, storeEtcd} {
		if err := servers.Engine(t, name).Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := seed(t.Context(), testEnv(t, 0), nil); err != nil {
		t.Fatal(err)
	}
}

func TestEveryStoreGivesTheRoleToOneAndALargerTokenToTheNext(t *testing.T) {
	for _, store := range []string{storeRedis, storeEtcd, storeAdvisory} {
		t.Run(store, func(t *testing.T) {
			empty(t)
			ctx := t.Context()
			first, second := instance(t, testEnv(t, 0), config(store, checkStep, true)), instance(t, testEnv(t, 1), config(store, checkStep, true))
			one := acquire(t, first, "one")
			if one == nil || one.term <= 0 {
				t.Fatalf("the first got %+v", one)
			}
			if g := acquire(t, second, "two"); g != nil {
				t.Fatalf("two have the role: %+v", g)
			}
			if err := first.lock.renew(ctx, one); err != nil {
				t.Error(err)
			}
			if err := first.lock.release(ctx, one); err != nil {
				t.Error(err)
			}
			if err := second.lock.await(ctx); err != nil {
				t.Error(err)
			}
			two := acquire(t, second, "two")
			for two == nil { // PostgreSQL frees a lock when it notices that the session has ended
				two = acquire(t, second, "two")
			}
			if two.term <= one.term {
				t.Errorf("the next token is %d, after %d", two.term, one.term)
			}
			if err := second.lock.release(ctx, two); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestALeaseThatIsNotRenewedIsAnothers(t *testing.T) {
	for _, store := range []string{storeRedis, storeEtcd, storeAdvisory} {
		t.Run(store, func(t *testing.T) {
			empty(t)
			ctx := t.Context()
			c := config(store, checkStep, true)
			first, second := instance(t, testEnv(t, 0), c), instance(t, testEnv(t, 1), c)
			one := acquire(t, first, "one")
			if err := second.lock.await(ctx); err != nil { // until it has expired
				t.Fatal(err)
			}
			two := acquire(t, second, "two")
			for two == nil {
				two = acquire(t, second, "two")
			}
			if err := first.lock.renew(ctx, one); !errors.Is(err, errLost) {
				t.Errorf("the first renews: %v", err)
			}
			if err := first.lock.release(ctx, one); err != nil && !errors.Is(err, errLost) {
				t.Error(err)
			}
			if err := second.lock.renew(ctx, two); err != nil {
				t.Errorf("the second lost the role to the release of the first: %v", err)
			}
			if err := second.lock.release(ctx, two); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAGrantThatNoReplicaHasDoesNotCount(t *testing.T) {
	empty(t)
	c := waiting()
	c.TTL = 200 * ms
	s := instance(t, testEnv(t, 0), c) // there is no replica
	if g, err := s.lock.acquire(t.Context(), "one"); g != nil || err == nil {
		t.Errorf("got %+v, %v", g, err)
	}
}

func TestTheResourceTurnsAwayOlderTokensWhereItLooks(t *testing.T) {
	for _, fenced := range []bool{false, true} {
		empty(t)
		s := instance(t, testEnv(t, 0), config(storeRedis, checkStep, fenced))
		var got []string
		for step, term := range []int64{1, 2, 2, 1, 3} {
			err := s.resource.act(t.Context(), term, "lease", int64(step))
			got = append(got, said(err))
		}
		want := []string{saidTaken, saidTaken, saidTaken, saidTaken, saidTaken}
		if fenced {
			want[3] = saidRejected
		}
		if !slices.Equal(got, want) {
			t.Errorf("fenced %v: %q, want %q", fenced, got, want)
		}
	}
}

// TestALeaderWorksUntilItIsStopped lets one instance lead for real, and audits what it did.
func TestALeaderWorksUntilItIsStopped(t *testing.T) {
	empty(t)
	env := testEnv(t, 0)
	raw, err := json.Marshal(config(storeRedis, checkStep, true))
	if err != nil {
		t.Fatal(err)
	}
	t.Run("lead", func(t *testing.T) { // what serves ends with the subtest
		svc, err := open(t.Context(), env, raw)
		if err != nil {
			t.Fatal(err)
		}
		url := targettest.Serve(t, svc.server)
		for {
			r := targettest.Get(t, url+"/latest")
			if r.Status == 200 && !strings.HasPrefix(r.Body, "0 ") && r.Header.Get(serve.HeaderValue) != "" {
				break
			}
		}
	})
	a, err := audit(t.Context(), env, raw, nil)
	if err != nil || a.Of == 0 || a.Numbers[auditTerms] != 1 || a.Numbers[bench.AuditViolations] != 0 || a.Numbers[auditOverlaps] != 0 {
		t.Errorf("audit: %+v, %v", a, err)
	}
	held := true
	if err := func() error {
		o, err := redis.ParseURL(env.URLs[storeRedis])
		if err != nil {
			return err
		}
		c := redis.NewClient(o)
		defer func() { _ = c.Close() }()
		n, err := c.Exists(t.Context(), redisKey).Result()
		held = n > 0
		return err
	}(); err != nil || held {
		t.Errorf("after its end the role is held: %v, %v", held, err)
	}
}

// TestTheAuditFindsAStaleAct puts into history and resource what a leader leaves that was frozen before its write.
func TestTheAuditFindsAStaleAct(t *testing.T) {
	empty(t)
	env := testEnv(t, 0)
	s := instance(t, env, config(storeRedis, checkStep, false))
	const second = time.Second
	for _, l := range []line{
		{Kind: kindLease, Lease: "A", Term: 1, Call: 1 * second, Return: 2 * second},
		{Kind: kindLease, Lease: "B", Term: 2, Call: 10 * second, Return: 11 * second},
		{Kind: kindAct, Lease: "B", Step: 1, Start: 11 * second, Call: 12 * second, Return: 13 * second, Said: saidTaken},
		{Kind: kindAct, Lease: "A", Step: 1, Start: 3 * second, Call: 14 * second, Return: 15 * second, Said: saidTaken},
	} {
		s.record(l)
	}
	if err := errors.Join(s.resource.act(t.Context(), 2, "B", 1), s.resource.act(t.Context(), 1, "A", 1)); err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(s.config)
	if err != nil {
		t.Fatal(err)
	}
	a, err := audit(t.Context(), env, raw, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{
		auditStale: 1, auditLate: 1, auditLateS: 3, auditOverlaps: 1, auditTerms: 2, auditReused: 0, bench.AuditViolations: 1, auditOpen: 0,
	} {
		if a.Numbers[name] != want {
			t.Errorf("%s is %v, want %v", name, a.Numbers[name], want)
		}
	}
	if len(a.Examples) == 0 || !strings.Contains(a.Examples[0], "stale: the resource took act 2") {
		t.Errorf("examples: %q", a.Examples)
	}
}

func TestGrantsThatEtcdDoesNotKnowAreCounted(t *testing.T) {
	empty(t)
	env := testEnv(t, 0)
	s := instance(t, env, config(storeEtcd, checkStep, false))
	g := acquire(t, s, "one")
	for want, l := range []line{{Kind: kindLease, Lease: "one", Term: g.term}, {Kind: kindLease, Lease: "another", Term: g.term}} {
		if n, err := unrecorded(t.Context(), env, []line{l, {Kind: kindAct}}); n != float64(want) || err != nil {
			t.Errorf("%+v: %v, %v", l, n, err)
		}
	}
	if err := s.lock.release(t.Context(), g); err != nil {
		t.Error(err)
	}
}

func TestAContestThatIsCalledOffHasNoResult(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := contend(ctx, testEnv(t, 0), []byte(`{"way": "queue", "waiters": 3, "poll": "1s"}`)); err == nil {
		t.Error("it has one")
	}
}

func TestContestsThatMakeNoSense(t *testing.T) {
	for want, c := range map[string]WaitConfig{
		"way": {Waiters: 2, Poll: ms}, "waiters": {Way: waitPoll, Waiters: 1, Poll: ms}, "poll": {Way: waitPoll, Waiters: 2},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestWhatAKilledInstanceCouldNotRecordIsOpen(t *testing.T) {
	h := told([]line{
		{Kind: kindLease, Lease: "A", Holder: "service-0", Term: 1, Call: 1, Return: 2},
		{Kind: kindAct, Lease: "A", Step: 1, Start: 3, Call: 4, Return: 5, Said: saidTaken},
		{Kind: kindAct, Lease: "A", Step: 2, Start: 6, Call: 7, Return: 9, Said: saidUnknown},
		{Kind: kindRelease, Lease: "A", Call: 20},
	}, []taken{{1, "A", 1}, {2, "A", 2}, {3, "A", 3}})
	want := []leadership.Act{{Lease: "A", Seq: 1, Call: 4, Return: 5}, {Lease: "A", Seq: 2, Call: 7, Return: leadership.Never}, {Lease: "A", Seq: 3, Call: 2, Return: leadership.Never}}
	if !slices.Equal(h.Acts, want) || len(h.Leases) != 1 || h.Leases[0].Released != 20 || len(h.Sections) != 2 {
		t.Errorf("got %+v", h)
	}
}

func TestALeaderThatNeverLooksBelievesUntilItIsTold(t *testing.T) {
	for check, want := range map[string]bool{checkNever: true, checkStep: false, checkWrite: false} {
		l := &lease{check: check} // it ended when the machine was started
		if _, ok := l.left(); ok != want {
			t.Errorf("%s: believes %v", check, ok)
		}
		l.lose()
		if _, ok := l.left(); ok {
			t.Errorf("%s: believes in what the store has taken", check)
		}
	}
}

func TestConfigurationsThatMakeNoSense(t *testing.T) {
	good := config(storeEtcd, checkStep, true)
	for want, change := range map[string]func(*Config){
		"store": func(c *Config) { c.Store = "zookeeper" }, "check": func(c *Config) { c.Check = "often" },
		"at least 50ms": func(c *Config) { c.TTL = ms }, "seconds": func(c *Config) { c.TTL = 1500 * ms },
		"retry and work": func(c *Config) { c.Work = 0 }, "wait": func(c *Config) { c.Wait = 1 },
	} {
		c := good
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
}

func TestWaitingEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, store := range []string{storeRedis, storeEtcd, storeAdvisory} {
		s := instance(t, testEnv(t, 0), config(store, checkStep, false))
		if err := s.lock.await(ctx); err == nil {
			t.Errorf("%s: waited for nothing", store)
		}
	}
}
