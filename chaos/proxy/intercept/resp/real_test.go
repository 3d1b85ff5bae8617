package resp_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"shakedown/chaos"
	"shakedown/chaos/proxy/intercept/intercepttest"
	"shakedown/chaos/proxy/intercept/resp"
	"shakedown/internal/units"
	"shakedown/targets/targettest"
)

var engines targettest.Shared

func TestMain(m *testing.M) { os.Exit(engines.Main(m)) }

// A rig is a link to a real server.
type rig struct {
	*resp.Inspector
	addr   string
	direct *redis.Client
}

func newRig(t *testing.T) rig {
	t.Helper()
	e := engines.Engine(t, "redis")
	network, address := e.Dial()
	r := rig{Inspector: resp.New("service-0→redis")}
	r.addr = intercepttest.Relay(t, r, network, address)
	r.direct = redis.NewClient(&redis.Options{Network: network, Addr: address})
	t.Cleanup(func() { _ = r.direct.Close() })
	must(t, r.direct.FlushAll(t.Context()).Err())
	return r
}

func (r rig) client(t *testing.T, protocol int) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: r.addr, Protocol: protocol, MaxRetries: -1})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func (r rig) set(t *testing.T, id string, pick chaos.Pick, rule chaos.RedisRule) {
	t.Helper()
	must(t, r.SetRule(id, chaos.Rule{Pick: pick, Redis: &rule}))
	for until := time.Now().Add(30 * time.Second); !r.Acknowledged(); time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("never: every connection knows the rules")
		}
	}
}

func (r rig) acted(t *testing.T, id string) int64 {
	t.Helper()
	c, ok := r.Counters(id)
	if !ok {
		t.Fatalf("no rule %s", id)
	}
	return c.Acted
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil || err.Error() != text {
		t.Errorf("the error is %v, want %s", err, text)
	}
}

func eachProtocol(t *testing.T, claim func(*testing.T, int)) {
	t.Helper()
	for _, protocol := range []int{2, 3} {
		t.Run(fmt.Sprintf("RESP%d", protocol), func(t *testing.T) { claim(t, protocol) })
	}
}

func TestACommandThatFailsDoesNotReachTheServer(t *testing.T) {
	eachProtocol(t, func(t *testing.T, protocol int) {
		r := newRig(t)
		c, ctx := r.client(t, protocol), t.Context()
		must(t, c.Set(ctx, "a", 1, 0).Err())
		r.set(t, "e", chaos.Pick{}, chaos.RedisRule{Command: "@write", Key: "user:*", Error: "READONLY You can't write against a read only replica."})
		wantError(t, c.Set(ctx, "user:1", 1, 0).Err(), "READONLY You can't write against a read only replica.")
		must(t, c.Set(ctx, "b", 1, 0).Err())
		if v, err := c.Get(ctx, "user:1").Result(); !errors.Is(err, redis.Nil) {
			t.Errorf("the key is %q, %v", v, err)
		}
		if n := r.acted(t, "e"); n != 1 {
			t.Errorf("the rule acted %d times", n)
		}
	})
}

func TestAnErrorTakesItsPlaceInAPipeline(t *testing.T) {
	eachProtocol(t, func(t *testing.T, protocol int) {
		r := newRig(t)
		c, ctx := r.client(t, protocol), t.Context()
		r.set(t, "e", chaos.Pick{Every: 3}, chaos.RedisRule{Command: "INCR", Error: "OOM command not allowed when used memory > 'maxmemory'."})
		const n = 3000
		pipe := c.Pipeline()
		var replies []*redis.IntCmd
		for range n {
			replies = append(replies, pipe.Incr(ctx, "n"))
			pipe.LRange(ctx, "list", 0, -1) // an aggregate between
		}
		_, _ = pipe.Exec(ctx)
		counted := int64(0)
		for i, reply := range replies {
			if (i+1)%3 == 0 {
				wantError(t, reply.Err(), "OOM command not allowed when used memory > 'maxmemory'.")
				continue
			}
			counted++
			if v, err := reply.Result(); v != counted || err != nil {
				t.Fatalf("reply %d is %d, %v; want %d", i, v, err, counted)
			}
		}
	})
}

func TestAFailedCommandWithinMULTIFailsEXEC(t *testing.T) {
	eachProtocol(t, func(t *testing.T, protocol int) {
		r := newRig(t)
		c, ctx := r.client(t, protocol), t.Context()
		for name, tc := range map[string]struct {
			rule chaos.RedisRule
			want string
		}{
			"queued": {chaos.RedisRule{Command: "SET", Error: "OOM no"}, "EXECABORT Transaction discarded because of previous errors."},
			"exec":   {chaos.RedisRule{Command: "EXEC", Error: "LOADING no"}, "EXECABORT Transaction discarded because of: LOADING no"},
		} {
			r.set(t, "e", chaos.Pick{Nth: 1}, tc.rule)
			conn := c.Conn()
			_, err := conn.TxPipelined(ctx, func(p redis.Pipeliner) error {
				p.Incr(ctx, "n")
				p.Set(ctx, "a", 1, 0)
				return nil
			})
			if err == nil {
				t.Errorf("%s: the transaction succeeded", name)
			}
			must(t, r.direct.Del(ctx, "n").Err())
			for i := range 3 { // the connection is in step, and in no transaction
				if v, err := conn.Incr(ctx, "n").Result(); v != int64(i+1) || err != nil {
					t.Errorf("%s: then INCR says %d, %v", name, v, err)
				}
			}
			_, err = conn.TxPipelined(ctx, func(p redis.Pipeliner) error { p.Set(ctx, "a", 2, 0); return nil })
			if err != nil {
				t.Errorf("%s: the next transaction: %v", name, err)
			}
			must(t, conn.Close())
			must(t, r.direct.Del(ctx, "a", "n").Err())
			if n := r.acted(t, "e"); n != 1 {
				t.Errorf("%s: the rule acted %d times", name, n)
			}
		}
	})
}

// raw speaks the protocol by hand.
func raw(t *testing.T, addr, say, want string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	must(t, err)
	defer func() { _ = c.Close() }()
	_, err = c.Write([]byte(say))
	must(t, err)
	got := make([]byte, len(want))
	must(t, c.SetReadDeadline(time.Now().Add(30*time.Second)))
	n := 0
	for n < len(got) && err == nil {
		var m int
		m, err = c.Read(got[n:])
		n += m
	}
	if string(got[:n]) != want {
		t.Errorf("%q is answered by\n%q, want\n%q", say, got[:n], want)
	}
}

func TestEXECSaysWhatRedisWouldSay(t *testing.T) {
	r := newRig(t)
	r.set(t, "e", chaos.Pick{}, chaos.RedisRule{Command: "SET,EXEC", Key: "", Error: "OOM no"})
	raw(t, r.addr, "MULTI\r\nINCR n\r\nSET a 1\r\nEXEC\r\nPING\r\nMULTI\r\nINCR n\r\nEXEC\r\nGET n\r\n",
		"+OK\r\n+QUEUED\r\n-OOM no\r\n-EXECABORT Transaction discarded because of: OOM no\r\n+PONG\r\n"+
			"+OK\r\n+QUEUED\r\n-EXECABORT Transaction discarded because of: OOM no\r\n$-1\r\n")
	r.set(t, "e", chaos.Pick{}, chaos.RedisRule{Command: "SET", Error: "OOM no"})
	raw(t, r.addr, "MULTI\r\nSET a 1\r\nINCR n\r\nEXEC\r\nGET n\r\nSET b 1\r\n",
		"+OK\r\n-OOM no\r\n+QUEUED\r\n-EXECABORT Transaction discarded because of previous errors.\r\n$-1\r\n-OOM no\r\n")
}

func TestMOVEDNamesTheSlotOfTheKey(t *testing.T) {
	r := newRig(t)
	r.set(t, "e", chaos.Pick{}, chaos.RedisRule{Command: "@keyed", Error: "MOVED {slot} 127.0.0.1:7001"})
	// The slots are those that CLUSTER KEYSLOT gives.
	raw(t, r.addr, "GET foo\r\nPING\r\nMGET {user1000}.following b\r\nEVAL x 1 foo\r\n",
		"-MOVED 12182 127.0.0.1:7001\r\n+PONG\r\n-MOVED 3443 127.0.0.1:7001\r\n-MOVED 12182 127.0.0.1:7001\r\n")
}

func TestOnlyMatchingCommandsAreDelayed(t *testing.T) {
	r := newRig(t)
	c, ctx := r.client(t, 3), t.Context()
	must(t, c.Ping(ctx).Err())
	const delay = 50 * time.Millisecond
	r.set(t, "d", chaos.Pick{}, chaos.RedisRule{Command: "get", Key: "slow*", Delay: units.Duration(delay)})
	start := time.Now()
	for _, key := range []string{"fast", "slow", "fast"} {
		if err := c.Get(ctx, key).Err(); !errors.Is(err, redis.Nil) {
			t.Error(err)
		}
	}
	if took := time.Since(start); took < delay || r.acted(t, "d") != 1 {
		t.Errorf("it took %s, and %d were delayed", took, r.acted(t, "d"))
	}
}

func TestPushesAndSubscriptionsPass(t *testing.T) {
	eachProtocol(t, func(t *testing.T, protocol int) {
		r := newRig(t)
		c, ctx := r.client(t, protocol), t.Context()
		r.set(t, "e", chaos.Pick{}, chaos.RedisRule{Command: "SET", Error: "BUSY no"})
		sub := c.Subscribe(ctx, "news")
		defer func() { _ = sub.Close() }()
		_, err := sub.Receive(ctx)
		must(t, err)
		must(t, r.direct.Publish(ctx, "news", "hello").Err())
		if m, err := sub.ReceiveMessage(ctx); err != nil || m.Payload != "hello" {
			t.Errorf("message %v, %v", m, err)
		}
		wantError(t, c.Set(ctx, "a", 1, 0).Err(), "BUSY no")
	})
	// Keys that a client has read are invalidated by pushes, between replies.
	r := newRig(t)
	r.set(t, "e", chaos.Pick{}, chaos.RedisRule{Command: "INCR", Error: "BUSY no"})
	conn, err := net.Dial("tcp", r.addr)
	must(t, err)
	defer func() { _ = conn.Close() }()
	var got strings.Builder
	ask := func(say, until string) {
		t.Helper()
		_, err := conn.Write([]byte(say))
		must(t, err)
		must(t, conn.SetReadDeadline(time.Now().Add(30*time.Second)))
		buf := make([]byte, 4096)
		for !strings.Contains(got.String(), until) {
			n, err := conn.Read(buf)
			must(t, err)
			got.Write(buf[:n])
		}
	}
	ask("HELLO 3\r\nCLIENT TRACKING ON\r\nGET k\r\n", "_\r\n")
	must(t, r.direct.Set(t.Context(), "k", 1, 0).Err())
	ask("INCR x\r\n", "-BUSY no\r\n")
	ask("PING\r\n", "+PONG\r\n")
	if !strings.Contains(got.String(), ">2\r\n$10\r\ninvalidate\r\n") {
		t.Errorf("no invalidation in %q", got.String())
	}
}

func TestALargeValuePasses(t *testing.T) {
	r := newRig(t)
	c, ctx := r.client(t, 3), t.Context()
	r.set(t, "e", chaos.Pick{}, chaos.RedisRule{Command: "SET", Key: "other", Error: "BUSY no"})
	big := strings.Repeat("x", 8<<20)
	must(t, c.Set(ctx, "big", big, 0).Err())
	if got, err := c.Get(ctx, "big").Result(); got != big || err != nil {
		t.Errorf("%d bytes came back as %d, %v", len(big), len(got), err)
	}
	wantError(t, c.Set(ctx, "other", big, 0).Err(), "BUSY no")
	if n, err := r.direct.Exists(ctx, "other").Result(); n != 0 || err != nil {
		t.Errorf("the key exists: %d, %v", n, err)
	}
}

func TestTheTableOfCommandsIsTheServers(t *testing.T) {
	r := newRig(t)
	infos, err := r.direct.Command(t.Context()).Result()
	must(t, err)
	table, err := os.ReadFile("commands.txt")
	must(t, err)
	for _, info := range infos {
		line := ""
		for l := range strings.Lines(string(table)) {
			if strings.HasPrefix(l, info.Name+" ") {
				line = l
			}
		}
		f := strings.Fields(line)
		if len(f) != 3 {
			t.Errorf("%s is not in the table", info.Name)
			continue
		}
		for _, flag := range info.Flags {
			letter, ours := map[string]string{"write": "w", "denyoom": "m", "loading": "l", "allow_busy": "b"}[flag]
			if ours && !strings.Contains(f[1], letter) {
				t.Errorf("%s has the flag %s: %s", info.Name, flag, line)
			}
		}
		if at := fmt.Sprint(info.FirstKeyPos); info.FirstKeyPos > 0 && f[2] != at {
			t.Errorf("%s has its key at %s: %s", info.Name, at, line)
		}
	}
}

var update = flag.Bool("update", false, "keep what a real server and its clients say, as seeds of the fuzz tests")

func TestRecordScripts(t *testing.T) {
	e := engines.Engine(t, "redis")
	network, address := e.Dial()
	recorder := &intercepttest.Recorder{}
	addr := intercepttest.Relay(t, recorder, network, address)
	for _, protocol := range []int{2, 3} {
		c := redis.NewClient(&redis.Options{Addr: addr, Protocol: protocol, PoolSize: 1})
		talk(t.Context(), c)
		must(t, c.Close())
	}
	raw(t, addr, "PING\r\n*1\r\n$4\r\nPING\r\nMULTI\r\nINCR n\r\nEXEC\r\n", "+PONG\r\n+PONG\r\n+OK\r\n+QUEUED\r\n")
	recorder.Store(t, "goredis", *update)
}

// talk says a little of everything; what comes of it is not the question.
func talk(ctx context.Context, c *redis.Client) {
	_, _ = c.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.Set(ctx, "a", 1, 0)
		p.HSet(ctx, "h", "f", 1.5)
		p.HGetAll(ctx, "h")
		p.LPush(ctx, "l", 1, 2, 3)
		p.LRange(ctx, "l", 0, -1)
		p.Get(ctx, "nothing")
		p.Incr(ctx, "h") // an error
		return nil
	})
	_, _ = c.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Incr(ctx, "n")
		p.XAdd(ctx, &redis.XAddArgs{Stream: "s", Values: []any{"k", "v"}})
		return nil
	})
	_, _ = c.XRead(ctx, &redis.XReadArgs{Streams: []string{"s", "0"}, Block: -1}).Result()
	_, _ = c.Eval(ctx, "return {1,{2,'x'}}", []string{"a"}).Result()
}
