package redisclient

import (
	"context"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"shakedown/bench"
	"shakedown/bench/load"
	"shakedown/targets/targettest"
)

var engines targettest.Shared

func TestMain(m *testing.M) { os.Exit(engines.Main(m)) }

type words []any

func (w words) AppendArgs(dst []any, _ uint64) []any { return append(dst, w...) }

func client(t testing.TB, url string, o Options, w words) *Client {
	t.Helper()
	c, err := New(t.Context(), url, o, w)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestEveryAnswerOfTheServerHasItsOutcome(t *testing.T) {
	url := engines.URL(t, "redis")
	for _, s := range []struct {
		words words
		want  load.Answer
	}{
		{words{"SET", "shakedown_test", "1"}, load.Answer{Outcome: bench.OK}},
		{words{"GET", "shakedown_test"}, load.Answer{Outcome: bench.OK}},
		{words{"GET", "shakedown_nothing"}, load.Answer{Outcome: bench.OK}},
		{words{"LPUSH", "shakedown_test", "1"}, load.Answer{Outcome: bench.Failed, Cause: "WRONGTYPE"}},
		{words{"NOSUCH"}, load.Answer{Outcome: bench.Failed, Cause: "ERR unknown command 'NOSUCH', with args beginning with:"}},
		{words{"EVAL", "return redis.error_reply('LOADING x')", "0"}, load.Answer{Outcome: bench.Refused, Cause: "LOADING"}},
		{words{"EVAL", "return redis.error_reply('OOM x')", "0"}, load.Answer{Outcome: bench.Failed, Cause: "OOM"}},
		{words{"BLPOP", "shakedown_empty", "60"}, load.Answer{Outcome: bench.Unsure, Cause: "timeout"}},
	} {
		c := client(t, url, Options{MaxConns: 2}, s.words)
		for range 3 {
			got := c.Do(t.Context(), 0, bench.Request{}, patience(s.want))
			got.Wait, got.Cause = 0, strings.TrimSpace(got.Cause)
			if got != s.want {
				t.Errorf("%v: %+v, want %+v", s.words, got, s.want)
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

func TestTheWaitForAConnectionIsApart(t *testing.T) {
	c := client(t, engines.URL(t, "redis"), Options{MaxConns: 1}, words{"BLPOP", "shakedown_empty", "0.1"})
	var all sync.WaitGroup
	answers := make([]load.Answer, 3)
	for i := range answers {
		all.Go(func() { answers[i] = c.Do(context.Background(), uint64(i), bench.Request{}, 250*time.Millisecond) })
	}
	all.Wait()
	outcomes := map[bench.Outcome]int{}
	var longest time.Duration
	for _, a := range answers {
		outcomes[a.Outcome]++
		longest = max(longest, a.Wait)
	}
	if outcomes[bench.OK]+outcomes[bench.Unsure]+outcomes[bench.Failed] != 3 || outcomes[bench.OK] == 0 || longest < 90*time.Millisecond {
		t.Errorf("%+v, longest wait %v", answers, longest)
	}
}

// A server that hangs up instead of answering, and one that is gone altogether.
func TestWhenTheConnectionBreaks(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer func() { _ = c.Close() }()
				buf := make([]byte, 4096)
				for {
					n, err := c.Read(buf)
					if err != nil || strings.Contains(strings.ToUpper(string(buf[:n])), "DIE") {
						return
					}
					answer := "+OK\r\n"
					if strings.Contains(strings.ToUpper(string(buf[:n])), "HELLO") {
						answer = "-ERR unknown command\r\n"
					}
					_, _ = io.WriteString(c, answer)
				}
			})
		}
	})
	c := client(t, "redis://"+ln.Addr().String()+"?protocol=2", Options{MaxConns: 1}, words{"DIE"})
	for range 2 {
		if a := c.Do(t.Context(), 0, bench.Request{}, time.Second); a.Outcome != bench.Unsure || a.Cause != "the connection broke" {
			t.Errorf("hung up: %+v", a)
		}
	}
	_ = ln.Close()
	serving.Wait()
	if a := c.Do(t.Context(), 0, bench.Request{}, time.Second); a.Outcome != bench.Failed || a.Cause != "connect failed" {
		t.Errorf("gone: %+v", a)
	}
}

func TestWhatCannotBeReachedIsSaidAtOnce(t *testing.T) {
	for url, want := range map[string]string{"redis://127.0.0.1:1": "refused", "http://x": "URL", "redis://%zz": "URL"} {
		if _, err := New(t.Context(), url, Options{}, words{"PING"}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
	}
}

func BenchmarkDo(b *testing.B) {
	c := client(b, engines.URL(b, "redis"), Options{}, words{"GET", "shakedown_nothing"})
	b.ReportAllocs()
	for b.Loop() {
		if a := c.Do(b.Context(), 0, bench.Request{}, time.Second); a.Outcome != bench.OK {
			b.Fatal(a)
		}
	}
}
