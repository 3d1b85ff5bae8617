package pgclient

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"shakedown/bench"
	"shakedown/bench/load"
	"shakedown/targets/targettest"
)

var engines targettest.Shared

func TestMain(m *testing.M) { os.Exit(engines.Main(m)) }

// one is a single statement.
type one struct {
	sql  string
	args []any
}

func (o one) Ops() int                             { return 1 }
func (o one) SQL(bench.OpID) string                { return o.sql }
func (o one) AppendArgs(dst []any, _ uint64) []any { return append(dst, o.args...) }

func client(t testing.TB, o Options, s Statements) *Client {
	t.Helper()
	c, err := New(t.Context(), engines.URL(t, "postgres"), o, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestEveryErrorOfTheServerHasItsOutcome(t *testing.T) {
	raise := func(code string) string {
		return fmt.Sprintf("do $$ begin raise exception 'x' using errcode = '%s'; end $$", code)
	}
	for sql, want := range map[string]load.Answer{
		"select generate_series(1, 1000)":               {Outcome: bench.OK},
		"select 1 where false":                          {Outcome: bench.OK},
		"select 1 / (random() * 0)::int":                {Outcome: bench.Failed, Cause: "SQLSTATE 22012"},
		raise("40001"):                                  {Outcome: bench.Failed, Cause: "SQLSTATE 40001"},
		raise("40P01"):                                  {Outcome: bench.Failed, Cause: "SQLSTATE 40P01"},
		raise("53300"):                                  {Outcome: bench.Refused, Cause: "SQLSTATE 53300"},
		raise("40003"):                                  {Outcome: bench.Unsure, Cause: "SQLSTATE 40003"},
		"select pg_sleep(60)":                           {Outcome: bench.Unsure, Cause: "timeout"},
		"select pg_terminate_backend(pg_backend_pid())": {Outcome: bench.Unsure, Cause: "SQLSTATE 57P01"},
	} {
		c := client(t, Options{MaxConns: 2}, one{sql: sql})
		for range 2 { // also when the connection was used before, or is gone
			got := c.Do(t.Context(), 0, bench.Request{}, patience(want))
			got.Wait = 0
			if got != want {
				t.Errorf("%s: %+v, want %+v", sql, got, want)
			}
		}
	}
}

// patience is short only where the time is to be up.
func patience(want load.Answer) time.Duration {
	if want.Cause == "timeout" {
		return 200 * time.Millisecond
	}
	return 10 * time.Second
}

func TestArgumentsFitWhatTheStatementWants(t *testing.T) {
	for _, s := range []one{
		{"select $1::int + 1", []any{int64(4)}},
		{"select $1::text", []any{int64(4)}},
		{"select $1::int", []any{"4"}},
		{"select $1::timestamptz", []any{"2026-11-23"}},
		{"select $1::uuid", []any{"7b357c68-c7db-48bf-ac32-e5cbbd18503d"}},
		{"select length($1)", []any{int64(12)}},
	} {
		if a := client(t, Options{}, s).Do(t.Context(), 0, bench.Request{}, 10*time.Second); a.Outcome != bench.OK {
			t.Errorf("%+v: %+v", s, a)
		}
	}
	if a := client(t, Options{}, one{"select $1::int", []any{"four"}}).Do(t.Context(), 0, bench.Request{}, 10*time.Second); a.Outcome != bench.Failed {
		t.Errorf("a word for a number: %+v", a)
	}
}

func TestWhatCannotBeAskedIsSaidAtOnce(t *testing.T) {
	url := engines.URL(t, "postgres")
	for name, c := range map[string]struct {
		url, want string
		ask       one
	}{
		"bad SQL":            {url, "syntax error", one{sql: "selekt 1"}},
		"no such table":      {url, "does not exist", one{sql: "select * from nowhere"}},
		"too few arguments":  {url, "has 1 parameters, and 0 arguments are given", one{sql: "select $1::int"}},
		"too many arguments": {url, "has 0 parameters, and 1 arguments are given", one{sql: "select 1", args: []any{int64(1)}}},
		"no URL":             {"postgres://%zz", "URL", one{sql: "select 1"}},
		"nobody listens":     {"postgres://127.0.0.1:1/x?sslmode=disable", "refused", one{sql: "select 1"}},
	} {
		cl, err := New(t.Context(), c.url, Options{}, c.ask)
		if err == nil {
			cl.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v; want one line with %q", name, err, c.want)
		}
	}
}

func TestTheWaitForAConnectionIsApart(t *testing.T) {
	c := client(t, Options{MaxConns: 1}, one{sql: "select pg_sleep(0.1)"})
	var all sync.WaitGroup
	answers := make([]load.Answer, 3)
	for i := range answers {
		all.Go(func() { answers[i] = c.Do(context.Background(), uint64(i), bench.Request{}, 150*time.Millisecond) })
	}
	all.Wait()
	outcomes := map[bench.Outcome]int{}
	var longest time.Duration
	for _, a := range answers {
		outcomes[a.Outcome]++
		longest = max(longest, a.Wait)
		if a.Outcome == bench.Failed && a.Cause != "no connection was free in time" {
			t.Errorf("%+v", a)
		}
	}
	// The first is served, the second begins and runs out of time, and the third never gets a connection.
	if outcomes[bench.OK] != 1 || outcomes[bench.Unsure] != 1 || outcomes[bench.Failed] != 1 || longest < 50*time.Millisecond {
		t.Errorf("%+v, longest wait %v", answers, longest)
	}
}

// A server that goes away under a connection that is kept: nothing of the request can have happened before it is sent.
func TestAServerThatIsGone(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	o, cause := notConnected(t.Context(), &pgconn.ConnectError{})
	if o != bench.Failed || cause != "connect failed" {
		t.Errorf("%v, %s", o, cause)
	}
}

func BenchmarkDo(b *testing.B) {
	c := client(b, Options{}, one{"select $1::int", []any{int64(4)}})
	b.ReportAllocs()
	for b.Loop() {
		if a := c.Do(b.Context(), 0, bench.Request{}, 10*time.Second); a.Outcome != bench.OK {
			b.Fatal(a)
		}
	}
}
