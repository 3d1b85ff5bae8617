package netns

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"shakedown/chaos"
	"shakedown/internal/roottest"
)

func TestMain(m *testing.M) {
	if isHarness() {
		beHarness()
		return
	}
	goleak.VerifyTestMain(m)
}

func network(t *testing.T, names ...string) *Network {
	t.Helper()
	roottest.Needs(t, Supported())
	n, err := NewNetwork(t.Context(), names)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

const (
	patience = 30 * time.Second       // for what must come; only reached when something hangs
	blink    = 150 * time.Millisecond // for what must not
)

func TestAHostReachesItsPeersAndNothingElse(t *testing.T) {
	n := network(t, "a", "b", "c")
	for _, from := range n.Hosts() {
		for _, to := range n.Hosts() {
			if from != to {
				mustReach(t, from, to)
			}
		}
	}
	for _, address := range []string{"192.0.2.1:7", "10.1.0.1:7", "127.0.0.1:1", "[::1]:7"} { // TEST-NET-1 (RFC 5737), and what is of the machine's own
		c, err := n.Host("a").Namespace().DialContext(t.Context(), "tcp", address)
		if err == nil {
			_ = c.Close()
			t.Errorf("a reaches %s", address)
		}
	}
}

func TestTheMachineIsNoHost(t *testing.T) {
	n := network(t, "a")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	if c, err := n.Host("a").Namespace().DialContext(t.Context(), "tcp", ln.Addr().String()); err == nil {
		_ = c.Close()
		t.Error("a host reaches the machine's loopback")
	}
}

func TestAListenerStaysInItsNamespace(t *testing.T) {
	n := network(t, "a", "b")
	a := n.Host("a")
	address := fmt.Sprintf("%s:4711", a.Addr())
	ln, err := a.Namespace().Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	for _, h := range n.Hosts() {
		c, err := h.Namespace().DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatalf("from %s: %v", h.Name(), err)
		}
		_ = c.Close()
	}
}

func TestNoThreadStaysAway(t *testing.T) {
	n := network(t, "a")
	home, err := os.Readlink(own)
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if err := n.Host("a").Namespace().Do(func() error {
			there, err := os.Readlink(own)
			if there == home {
				t.Error("Do ran in the machine's namespace")
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		if at, err := os.Readlink("/proc/self/task/" + task.Name() + "/ns/net"); err == nil && at != home {
			t.Errorf("thread %s is still in %s", task.Name(), at)
		}
	}
}

func TestARuleWorksInOneDirection(t *testing.T) {
	for _, tc := range []struct {
		answer chaos.Answer
		want   chaos.Handshake
	}{{chaos.Silence, chaos.TimedOut}, {chaos.Reject, chaos.Unreachable}, {chaos.RST, chaos.Refused}} {
		t.Run("answer "+string(tc.answer), func(t *testing.T) {
			n := network(t, "a", "b", "c")
			a, b, c := n.Host("a"), n.Host("b"), n.Host("c")
			if err := b.Filter(t.Context(), "x", []chaos.PacketRule{{From: "a", Answer: tc.answer}}); err != nil {
				t.Fatal(err)
			}
			mustNotReach(t, a, b)
			if got := ping(t, b, a, patience); got != 3 {
				t.Errorf("%d of 3 datagrams went the other way", got)
			}
			wait := patience
			if tc.answer == chaos.Silence {
				wait = blink
			}
			if got, err := a.Connect(t.Context(), b, wait); err != nil || got != tc.want {
				t.Errorf("connecting: %q, %v; want %q", got, err, tc.want)
			}
			mustReach(t, c, b)
			mustReach(t, a, c)
			if met := filtered(t, b, "x"); met.From != "a" || met.Probes < 4 || met.Traffic != 0 {
				t.Errorf("the kernel counted %+v; want three datagrams and a SYN from a at least, and no traffic", met)
			}
			for range 2 {
				if err := b.Unfilter(t.Context(), "x"); err != nil {
					t.Fatal(err)
				}
			}
			mustReach(t, a, b)
			if met, err := b.Filtered(t.Context(), "x"); err != nil || met != nil {
				t.Errorf("a filter that is gone counts %+v, %v", met, err)
			}
		})
	}
}

func TestFiltersDoNotKnowEachOther(t *testing.T) {
	n := network(t, "a", "b", "c")
	a, b, c := n.Host("a"), n.Host("b"), n.Host("c")
	for id, from := range map[string]string{"one": "a", "other": "c"} {
		if err := b.Filter(t.Context(), id, []chaos.PacketRule{{From: from}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Unfilter(t.Context(), "one"); err != nil {
		t.Fatal(err)
	}
	mustReach(t, a, b)
	mustNotReach(t, c, b)
	if err := b.Filter(t.Context(), "other", []chaos.PacketRule{{From: "a"}}); err != nil { // replaces
		t.Fatal(err)
	}
	mustReach(t, c, b)
	mustNotReach(t, a, b)
	if err := b.Filter(t.Context(), "x", []chaos.PacketRule{{From: "nobody"}}); err == nil {
		t.Error("a rule about a host that does not exist was accepted")
	}
}

func TestAShareOfPacketsIsDropped(t *testing.T) {
	n := network(t, "a", "b")
	a, b := n.Host("a"), n.Host("b")
	if err := b.Filter(t.Context(), "x", []chaos.PacketRule{{From: "a", Share: 0.25}}); err != nil {
		t.Fatal(err)
	}
	arrived := 0
	for range 20 {
		got, err := a.Ping(t.Context(), b, 100, blink)
		if err != nil {
			t.Fatal(err)
		}
		arrived += got
	}
	met := filtered(t, b, "x")
	// 2000 draws at 0.25 have a standard deviation of 19; six of them are hit once in 10⁹ runs.
	if met.Probes < 380 || met.Probes > 620 || arrived > 2000-int(met.Probes) {
		t.Errorf("%d of 2000 datagrams arrived, and the kernel dropped %d", arrived, met.Probes)
	}
}

func TestTheSmallestLimitWins(t *testing.T) {
	n := network(t, "a", "b")
	a, b := n.Host("a"), n.Host("b")
	const bytes, slow = 200_000, 400_000
	for id, rate := range map[string]int64{"slow": slow, "fast": 100 * slow} {
		if err := a.Limit(t.Context(), id, chaos.Upstream, rate); err != nil {
			t.Fatal(err)
		}
	}
	rate, err := a.Pour(t.Context(), b, bytes)
	if err != nil || rate > 1.1*slow { // what the bucket holds at the start is 2 % of the bytes
		t.Errorf("%.0f B/s, %v; want at most %d", rate, err, slow)
	}
	if now, err := a.Limited(t.Context(), chaos.Both); err != nil || now.BytesPerSecond != slow || now.Waited == 0 {
		t.Errorf("the kernel says %+v, %v", now, err)
	}
	for h, d := range map[*Host]chaos.Direction{a: chaos.Downstream, b: chaos.Both} {
		if now, err := h.Limited(t.Context(), d); err != nil || now != (chaos.Limited{}) {
			t.Errorf("what nobody limited is %+v on %s, %v", now, h.Name(), err)
		}
	}
	for _, id := range []string{"slow", "slow", "fast"} {
		if err := a.Unlimit(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := a.Limited(t.Context(), chaos.Both); err != nil || left != (chaos.Limited{}) {
		t.Errorf("there is still %+v, %v", left, err)
	}
}

func TestAStreamSurvivesAShortPartition(t *testing.T) {
	n := network(t, "a", "b")
	a, b := n.Host("a"), n.Host("b")
	ln, err := b.Namespace().Listen(t.Context(), "tcp", fmt.Sprintf("%s:4711", b.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	c, err := a.Namespace().DialContext(t.Context(), "tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	s, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if err := b.Filter(t.Context(), "x", []chaos.PacketRule{{From: "a"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("over")); err != nil {
		t.Fatal(err)
	}
	// TCP sends again after 200 ms and then twice as long (RFC 6298): the kernel's counter says when it has.
	met := await(t, func() bool { return filtered(t, b, "x").Traffic >= 3 })
	if !met {
		t.Fatal("TCP did not send again")
	}
	if err := b.Unfilter(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 4)
	_ = s.SetReadDeadline(time.Now().Add(patience))
	if _, err := s.Read(got); err != nil || string(got) != "over" {
		t.Errorf("after the partition: %q, %v", got, err)
	}
}

func TestOpenRefusesWhatIsNoNamespace(t *testing.T) {
	for _, path := range []string{"/dev/null", "/proc/self/ns/pid", "/nowhere"} {
		if n, err := Open(path); err == nil {
			_ = n.Close()
			t.Errorf("%s was opened as a network namespace", path)
		}
	}
}

func TestNamesAreUnique(t *testing.T) {
	roottest.Needs(t, Supported())
	_, err := NewNetwork(t.Context(), []string{"a", "a"})
	if err == nil || !strings.Contains(err.Error(), "two hosts are called a") {
		t.Errorf("got %v", err)
	}
	if _, err := NewNetwork(t.Context(), slices.Repeat([]string{"a"}, mostHosts+1)); err == nil {
		t.Error("more hosts than a network may have were made")
	}
}

// filtered is what the rules of the id have counted, of the one host that they are about.
func filtered(t *testing.T, h *Host, id string) chaos.Filtered {
	t.Helper()
	met, err := h.Filtered(t.Context(), id)
	if err != nil || len(met) != 1 {
		t.Fatalf("filtered: %+v, %v", met, err)
	}
	return met[0]
}

func ping(t *testing.T, from, to *Host, giveUp time.Duration) int {
	t.Helper()
	got, err := from.Ping(t.Context(), to, 3, giveUp)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func mustReach(t *testing.T, from, to *Host) {
	t.Helper()
	if got := ping(t, from, to, patience); got != 3 {
		t.Errorf("%d of 3 datagrams went from %s to %s", got, from.Name(), to.Name())
	}
	if got, err := from.Connect(t.Context(), to, patience); err != nil || got != chaos.Connected {
		t.Errorf("from %s to %s: %q, %v", from.Name(), to.Name(), got, err)
	}
}

func mustNotReach(t *testing.T, from, to *Host) {
	t.Helper()
	if got := ping(t, from, to, blink); got != 0 {
		t.Errorf("%d of 3 datagrams went from %s to %s", got, from.Name(), to.Name())
	}
}

func await(t *testing.T, ok func() bool) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}
