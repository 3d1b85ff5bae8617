package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"shakedown/bench"
	process "shakedown/bench/arrival"
	"shakedown/bench/load/wire"
)

// encode is an encoder of GETs of the key that is the arrival's number.
type encode struct{ host string }

func (e encode) AppendHTTP(dst []byte, seq uint64) ([]byte, bench.OpID, int64) {
	dst = append(dst, "GET / HTTP/1.1\r\nHost: "...)
	dst = append(dst, e.host...)
	return append(dst, "\r\n\r\n"...), bench.OpID(seq % 2), int64(seq)
}

// backends runs a test on every back end that this machine has.
func backends(t *testing.T, test func(t *testing.T, b wire.Backend)) {
	for _, b := range []wire.Backend{wire.Epoll, wire.IOUring} {
		t.Run(string(b), func(t *testing.T) {
			if b == wire.IOUring {
				switch err := wire.Available(b); {
				case errors.Is(err, syscall.ENOSYS), errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
					t.Skip(err) // too old, or denied, as containers do to root
				case err != nil:
					t.Fatal(err)
				}
			}
			test(t, b)
		})
	}
}

func wirePlan(t testing.TB, o WireOptions, phases ...Phase) (Plan, *memory) {
	t.Helper()
	w, err := NewWire(encode{o.Targets[0].Addr}, o)
	if err != nil {
		t.Fatal(err)
	}
	m := &memory{}
	return Plan{Phases: phases, Timeout: time.Minute, Wire: w, Sink: m, Seed: 1, Measure: true, Ops: 2}, m
}

func at0(addr string, b wire.Backend) WireOptions {
	return WireOptions{Targets: []wire.Target{{Addr: addr}}, Backend: b}
}

// audit fails unless the books balance, every scheduled arrival left one sample that agrees with the encoder, and the
// distributions agree with the samples.
func audit(t *testing.T, p Plan, m *memory, s Stats) {
	t.Helper()
	if !s.Ledger.Balances() {
		t.Fatalf("the ledger does not balance: %+v", s.Ledger)
	}
	if int64(len(m.samples)) != s.Ledger.Scheduled {
		t.Fatalf("%d samples of %d scheduled arrivals", len(m.samples), s.Ledger.Scheduled)
	}
	var counted bench.Ledger
	seen := map[uint64]bool{}
	for _, sample := range m.samples {
		counted.Add(sample.Outcome)
		_, op, key := p.Wire.enc.AppendHTTP(nil, sample.Seq)
		switch {
		case seen[sample.Seq]:
			t.Fatalf("two samples have sequence number %d", sample.Seq)
		case sample.Op != op || sample.Key != key:
			t.Fatalf("sample %d: op %d and key %d; the encoder says %d and %d", sample.Seq, sample.Op, sample.Key, op, key)
		case sample.Outcome == bench.Unsent && sample.Sent != 0:
			t.Fatalf("sample %d is unsent and was sent at %v", sample.Seq, sample.Sent)
		case sample.Outcome != bench.Unsent && sample.Sent < sample.Due:
			t.Fatalf("sample %d left at %v, before it was due at %v", sample.Seq, sample.Sent, sample.Due)
		case sample.Done < max(sample.Sent, sample.Due):
			t.Fatalf("sample %d was done at %v, before %v", sample.Seq, sample.Done, max(sample.Sent, sample.Due))
		}
		seen[sample.Seq] = true
	}
	counted.Scheduled = int64(len(m.samples))
	if counted != s.Ledger || counted != s.Dist.Ledger {
		t.Fatalf("the samples come to %+v, the ledger to %+v, the distributions to %+v", counted, s.Ledger, s.Dist.Ledger)
	}
	if n := s.Dist.Response.TotalCount(); n != counted.OK+counted.Degraded+counted.Unsure || s.Dist.Censored != counted.Unsure {
		t.Fatalf("%d response times, %d censored, of %+v", n, s.Dist.Censored, counted)
	}
	var ops bench.Ledger
	for _, op := range s.Dist.Ops {
		ops = plus(ops, op.Ledger)
	}
	if ops.Scheduled = counted.Scheduled; ops != counted {
		t.Fatalf("the operations come to %+v, all to %+v", ops, counted)
	}
}

// hostile is a server of connections that do as they like with every request: mood says what to do with the nth, and returns false to hang up.
func hostile(t *testing.T, mood func(c net.Conn, n int64) bool) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	var n atomic.Int64
	serving.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			serving.Go(func() {
				defer func() { _ = c.Close() }()
				r := bufio.NewReader(c)
				for {
					for {
						line, err := r.ReadString('\n')
						if err != nil {
							return
						}
						if line == "\r\n" {
							break
						}
					}
					if !mood(c, n.Add(1)) {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		mu.Lock()
		for _, c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		serving.Wait()
	})
	return ln.Addr().String()
}

const fineAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func write(c net.Conn, s string) bool {
	_, err := io.WriteString(c, s)
	return err == nil
}

// moods are what servers do that do not do as they should.
var moods = []func(c net.Conn) bool{
	func(c net.Conn) bool { return write(c, fineAnswer) },
	func(c net.Conn) bool { return write(c, "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n") },
	func(c net.Conn) bool {
		return write(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok") && false
	},
	func(c net.Conn) bool { return write(c, "HTTP/1.1 200 OK\r\n\r\nuntil the end") && false },
	func(net.Conn) bool { return false },
	func(net.Conn) bool { return true }, // silence
	func(c net.Conn) bool { _ = c.(*net.TCPConn).SetLinger(0); return false },
	func(c net.Conn) bool { return write(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf") && false },
	func(c net.Conn) bool { return write(c, "\x00\xffnonsense\r\n\r\n") },
	func(c net.Conn) bool { return write(c, fineAnswer+"HTTP/1.1 200 what nobody asked for\r\n\r\n") },
	func(c net.Conn) bool { return write(c, strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 200)) },
	func(c net.Conn) bool {
		return write(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nrubbish\r\n")
	},
	func(c net.Conn) bool { _ = c.(*net.TCPConn).CloseWrite(); return true }, // half-closed
	func(c net.Conn) bool {
		for _, b := range []byte(fineAnswer) {
			if !write(c, string(b)) {
				return false
			}
		}
		return true
	},
	func(c net.Conn) bool { // larger than any buffer
		return write(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"+strings.Repeat("x", 1_000_000))
	},
}

func TestTheBooksOfTheLoopsBalanceWhateverTheServerDoes(t *testing.T) {
	backends(t, func(t *testing.T, b wire.Backend) {
		for seed := range uint64(8) {
			t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
				t.Parallel()
				rng := rand.New(rand.NewPCG(seed, 7))
				addr := hostile(t, func(c net.Conn, n int64) bool {
					return moods[rand.New(rand.NewPCG(seed, uint64(n))).IntN(len(moods))](c)
				})
				o := at0(addr, b)
				if seed%2 == 1 {
					o.Connections = 1 + rng.IntN(20)
				}
				p, m := wirePlan(t, o,
					open(1+rng.IntN(3000), 0, 100*time.Millisecond),
					Phase{Start: 100 * time.Millisecond, End: 150 * time.Millisecond, Closed: &bench.Closed{Users: 1 + rng.IntN(20)}},
					Phase{Start: 150 * time.Millisecond, End: 200 * time.Millisecond, Closed: &bench.Closed{Users: 30, Think: 1e6}},
					Phase{Start: 200 * time.Millisecond, End: 210 * time.Millisecond},
					open(1+rng.IntN(3000), 220*time.Millisecond, 50*time.Millisecond),
				)
				p.Timeout = time.Duration(1 + rng.IntN(int(100*time.Millisecond)))
				p.Drain = time.Duration(rng.IntN(int(100 * time.Millisecond)))
				p.MaxInFlight = 1 + rng.IntN(200)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if aborted := seed%3 == 0; aborted {
					time.AfterFunc(time.Duration(rng.IntN(int(200*time.Millisecond))), cancel)
				}
				s, err := Run(ctx, p)
				if err != nil && !errors.Is(err, context.Canceled) {
					t.Fatal(err)
				}
				audit(t, p, m, s)
			})
		}
	})
}

func TestEveryMoodHasItsOutcomeAndItsCause(t *testing.T) {
	backends(t, func(t *testing.T, b wire.Backend) {
		for i, want := range []struct {
			outcome bench.Outcome
			cause   string
		}{
			{bench.OK, ""},
			{bench.Refused, "status 503"},
			{bench.OK, ""},
			{bench.OK, ""},
			{bench.Unsure, "closed without an answer"},
			{bench.Unsure, "timeout"},
			{bench.Unsure, "read: connection reset by peer"},
			{bench.Unsure, "the answer broke off"},
			{bench.Unsure, "the answer is not HTTP/1"},
			{bench.OK, ""},
			{bench.Unsure, "too many interim responses"},
			{bench.Unsure, "malformed chunk"},
			{bench.Unsure, "closed without an answer"},
			{bench.OK, ""},
			{bench.OK, ""},
		} {
			addr := hostile(t, func(c net.Conn, _ int64) bool { return moods[i](c) })
			p, m := wirePlan(t, at0(addr, b), open(100, 0, 30*time.Millisecond))
			p.Timeout, p.Drain = time.Second, time.Minute // however late they leave, nothing is cut off
			s, err := Run(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			audit(t, p, m, s)
			for _, sample := range m.samples {
				if sample.Outcome != want.outcome {
					t.Errorf("mood %d: %v, want %v", i, sample.Outcome, want.outcome)
				}
			}
			if want.cause != "" && s.Dist.Causes[want.cause] != 3 || want.cause == "" && len(s.Dist.Causes) > 0 {
				t.Errorf("mood %d: causes %v, want %q", i, s.Dist.Causes, want.cause)
			}
		}
	})
}

func TestNobodyListens(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	backends(t, func(t *testing.T, b wire.Backend) {
		o := at0(ln.Addr().String(), b)
		o.Connections = 3
		p, m := wirePlan(t, o, open(10_000, 0, 100*time.Millisecond), Phase{Start: 100 * time.Millisecond, End: 120 * time.Millisecond, Closed: &bench.Closed{Users: 5}})
		s, err := Run(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		audit(t, p, m, s)
		if s.Ledger.Failed != s.Ledger.Scheduled || s.Dist.Causes["connect: connection refused"] != s.Ledger.Failed {
			t.Errorf("%+v, %v; want all failed", s.Ledger, s.Dist.Causes)
		}
	})
}

func TestALoopDoesNotWaitForAnswers(t *testing.T) {
	backends(t, func(t *testing.T, b wire.Backend) {
		var arrived atomic.Int64
		all := make(chan struct{})
		addr := hostile(t, func(c net.Conn, _ int64) bool {
			if arrived.Add(1) == 200 {
				close(all)
			}
			select {
			case <-all: // no one is answered before everyone has arrived
				return write(c, fineAnswer)
			case <-t.Context().Done():
				return false
			}
		})
		p, m := wirePlan(t, at0(addr, b), open(1000, 0, 200*time.Millisecond))
		s, err := Run(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		audit(t, p, m, s)
		if s.Ledger.OK != 200 || s.InFlightMax == 0 {
			t.Errorf("%+v, at most %d in flight; want 200 ok", s.Ledger, s.InFlightMax)
		}
		slices.SortFunc(m.samples, func(a, b bench.Sample) int { return int(a.Seq) - int(b.Seq) })
		for i, sample := range m.samples {
			if want := time.Duration(i) * time.Millisecond; sample.Due != want || sample.Seq != uint64(i) {
				t.Fatalf("arrival %d has number %d and is due at %v, want the computed %v", i, sample.Seq, sample.Due, want)
			}
		}
	})
}

func TestBeyondTheConnectionsArrivalsWaitAndAreNotLate(t *testing.T) {
	backends(t, func(t *testing.T, b wire.Backend) {
		const connections = 3
		var conns, in, most atomic.Int64
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if n := in.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer in.Add(-1)
			select {
			case <-time.After(5 * time.Millisecond):
			case <-r.Context().Done():
			}
			_, _ = io.WriteString(w, "ok")
		}))
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				conns.Add(1)
			}
		}
		s.Start()
		defer s.Close()
		o := at0(s.Listener.Addr().String(), b)
		o.Connections = connections
		p, m := wirePlan(t, o, open(1200, 0, 100*time.Millisecond)) // twice what three connections can do
		stats, err := Run(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		audit(t, p, m, stats)
		if most.Load() != connections || conns.Load() != connections {
			t.Errorf("%d at once on %d connections, want %d", most.Load(), conns.Load(), connections)
		}
		wait, lag := time.Duration(stats.Dist.Wait.ValueAtPercentile(50)), time.Duration(stats.Dist.Lag.ValueAtPercentile(50))
		if stats.Ledger.OK != stats.Ledger.Scheduled || wait < 10*time.Millisecond || lag > wait/2 {
			t.Errorf("%+v; half wait %v for a connection or more, and half are late by %v or more", stats.Ledger, wait, lag)
		}
	})
}

func TestWhoWaitsInVainForAConnectionHasNotSent(t *testing.T) {
	backends(t, func(t *testing.T, b wire.Backend) {
		addr := hostile(t, func(net.Conn, int64) bool { return true })
		o := at0(addr, b)
		o.Connections = 1
		p, m := wirePlan(t, o, open(1000, 0, 10*time.Millisecond), Phase{Start: 10 * time.Millisecond, End: 100 * time.Millisecond})
		p.Timeout = 30 * time.Millisecond
		s, err := Run(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		audit(t, p, m, s)
		waited, dialled := s.Dist.Causes["no connection was free in time"], s.Dist.Causes["timeout while connecting"]
		if s.Ledger.Unsure == 0 || s.Ledger.Failed == 0 || waited+dialled != s.Ledger.Failed {
			t.Errorf("%+v, %v", s.Ledger, s.Dist.Causes)
		}
	})
}

func TestManyLargeAnswersAtOnce(t *testing.T) {
	backends(t, func(t *testing.T, b wire.Backend) {
		var arrived atomic.Int64
		all := make(chan struct{})
		big := "HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + strings.Repeat("x", 200_000)
		addr := hostile(t, func(c net.Conn, _ int64) bool {
			if arrived.Add(1) == 400 {
				close(all)
			}
			select {
			case <-all:
				return write(c, big)
			case <-t.Context().Done():
				return false
			}
		})
		p, m := wirePlan(t, at0(addr, b), open(4000, 0, 100*time.Millisecond))
		s, err := Run(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		audit(t, p, m, s)
		if s.Ledger.OK != 400 {
			t.Errorf("%+v, %v; want 400 ok", s.Ledger, s.Dist.Causes)
		}
	})
}

func TestPastTheGuardALoopsArrivalIsUnsentAndCounted(t *testing.T) {
	backends(t, func(t *testing.T, b wire.Backend) {
		addr := hostile(t, func(net.Conn, int64) bool { return true })
		p, m := wirePlan(t, at0(addr, b), open(1000, 0, 100*time.Millisecond))
		p.MaxInFlight = 10
		p.Drain = time.Millisecond
		s, err := Run(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		audit(t, p, m, s)
		if l := s.Ledger; l.Scheduled != 100 || l.Unsent != 90 || l.Unsure != 10 {
			t.Errorf("%+v; want 10 in flight and unsure, and 90 unsent", l)
		}
	})
}

func TestSeveralLoopsShareOneProcess(t *testing.T) {
	backends(t, func(t *testing.T, b wire.Backend) {
		addr := hostile(t, func(c net.Conn, _ int64) bool { return write(c, fineAnswer) })
		whole, err := process.New(bench.Poisson, 5000, 0, 200*time.Millisecond, 3)
		if err != nil {
			t.Fatal(err)
		}
		want := map[uint64]time.Duration{}
		for n := uint64(0); ; n++ {
			due, ok := whole.Next()
			if !ok {
				break
			}
			want[n] = due
		}
		again, err := process.New(bench.Poisson, 5000, 0, 200*time.Millisecond, 3)
		if err != nil {
			t.Fatal(err)
		}
		o := at0(addr, b)
		o.Loops = 3
		p, m := wirePlan(t, o, Phase{End: 200 * time.Millisecond, Arrivals: again})
		s, err := Run(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		audit(t, p, m, s)
		if len(m.samples) != len(want) {
			t.Fatalf("%d arrivals, the process has %d", len(m.samples), len(want))
		}
		for _, sample := range m.samples {
			if due, ok := want[sample.Seq]; !ok || due != sample.Due {
				t.Fatalf("arrival %d is due at %v, in the process at %v", sample.Seq, sample.Due, due)
			}
		}
	})
}

func TestUsersOfALoopAskOneThingAtATime(t *testing.T) {
	backends(t, func(t *testing.T, b wire.Backend) {
		var in, most atomic.Int64
		addr := hostile(t, func(c net.Conn, _ int64) bool {
			if n := in.Add(1); n > most.Load() {
				most.Store(n)
			}
			runtime.Gosched()
			in.Add(-1)
			return write(c, fineAnswer)
		})
		for _, loops := range []int{1, 2} {
			o := at0(addr, b)
			o.Loops = loops
			p, m := wirePlan(t, o, Phase{End: 100 * time.Millisecond, Closed: &bench.Closed{Users: 5}})
			s, err := Run(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			audit(t, p, m, s)
			if most.Load() > 5 || s.Ledger.OK < 5 || s.InFlightMax > 5 {
				t.Errorf("%d loops: %d at once, %+v, %d in flight", loops, most.Load(), s.Ledger, s.InFlightMax)
			}
		}
	})
}

// A server that closes idle connections must not cost a request: nothing of it has left when the connection turns out to be closed.
func TestAConnectionThatWasClosedWhileIdleIsReplaced(t *testing.T) {
	backends(t, func(t *testing.T, b wire.Backend) {
		addr := hostile(t, func(c net.Conn, _ int64) bool { return write(c, fineAnswer) && false }) // closes after each, without saying so
		p, m := wirePlan(t, at0(addr, b), open(50, 0, 200*time.Millisecond))
		s, err := Run(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		audit(t, p, m, s)
		if s.Ledger.OK != 10 {
			t.Errorf("%+v, %v; want all ok", s.Ledger, s.Dist.Causes)
		}
	})
}

// nullServer answers every read with a canned response, and allocates nothing per request.
func nullServer(t testing.TB) (addr string) {
	t.Helper()
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
				buf, answer := make([]byte, 4096), []byte(fineAnswer)
				for {
					if _, err := c.Read(buf); err != nil {
						return
					}
					if _, err := c.Write(answer); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() { _ = ln.Close(); serving.Wait() })
	return ln.Addr().String()
}

// BenchmarkWire is one request of the event loops, everything on, against a server in this process. What a load allocates before its
// first request does not count: it is the same in a load of a second and in one of two.
func BenchmarkWire(b *testing.B) {
	for _, backend := range []wire.Backend{wire.Epoll, wire.IOUring} {
		b.Run(string(backend), func(b *testing.B) {
			if err := wire.Available(backend); err != nil {
				b.Skip(err)
			}
			server := nullServer(b)
			var mallocs, requests, cpu float64
			for b.Loop() {
				for _, sign := range []float64{-1, 1} {
					length := time.Second
					if sign > 0 {
						length *= 2
					}
					p, _ := wirePlan(b, at0(server, backend), Phase{End: length, Closed: &bench.Closed{Users: 64}})
					p.Sink = nil
					var before, after runtime.MemStats
					runtime.ReadMemStats(&before)
					s, err := Run(b.Context(), p)
					if err != nil {
						b.Fatal(err)
					}
					runtime.ReadMemStats(&after)
					mallocs += sign * float64(after.Mallocs-before.Mallocs)
					requests += sign * float64(s.Ledger.OK)
					cpu += sign * s.CPUS
				}
			}
			b.ReportMetric(max(mallocs, 0)/requests, "allocs/request")
			b.ReportMetric(cpu/requests*1e9, "cpu-ns/request")
			b.ReportMetric(0, "ns/op")
		})
	}
}
