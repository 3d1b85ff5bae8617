package chaos_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"shakedown/chaos"
	"shakedown/internal/netns"
	"shakedown/internal/roottest"
)

// hostSurface has hosts and nothing else; "db" is the role of those whose names begin with it.
type hostSurface []chaos.Host

func (hostSurface) Links(string) []chaos.Link        { return nil }
func (hostSurface) Processes(string) []chaos.Process { return nil }

func (s hostSurface) Hosts(name string) (found []chaos.Host) {
	for _, h := range s {
		if name == chaos.EveryHost || name == h.Name() || name == "db" && strings.HasPrefix(h.Name(), "db-") {
			found = append(found, h)
		}
	}
	return found
}

// named is a host of which only the name matters.
type named struct {
	chaos.Host
	name string
}

func (n named) Name() string { return n.name }

func hostsNamed(names ...string) (s hostSurface) {
	for _, name := range names {
		s = append(s, named{name: name})
	}
	return s
}

func realHosts(t *testing.T, names ...string) (*netns.Network, hostSurface) {
	t.Helper()
	roottest.Needs(t, netns.Supported())
	n, err := netns.NewNetwork(t.Context(), names)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	var s hostSurface
	for _, h := range n.Hosts() {
		s = append(s, h)
	}
	return n, s
}

// matrix is what datagrams show: a row for each host that sends, a column for each that they should arrive at.
func matrix(t *testing.T, s hostSurface, wait time.Duration) string {
	t.Helper()
	rows := make([][]byte, len(s))
	g, ctx := errgroup.WithContext(t.Context())
	for i, from := range s {
		rows[i] = make([]byte, len(s))
		for j, to := range s {
			rows[i][j] = '-'
			if i == j {
				continue
			}
			g.Go(func() error {
				n, err := from.Ping(ctx, to, 3, wait)
				if n > 0 {
					rows[i][j] = '1'
				} else {
					rows[i][j] = '0'
				}
				return err
			})
		}
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	return string(slices.Concat(rows...))
}

// lines writes a matrix a row a line.
func lines(m string, n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("\n" + m[i*n:(i+1)*n])
	}
	return b.String()
}

func TestAPartitionCutsWhatItsShapeSays(t *testing.T) {
	const whole = "-1111" + "1-111" + "11-11" + "111-1" + "1111-"
	names := []string{"a", "b", "c", "d", "e"}
	_, s := realHosts(t, names...)
	for _, tc := range []struct {
		fault *chaos.Partition
		want  string
	}{
		{
			&chaos.Partition{Groups: [][]string{{"a", "b"}, {"c", "d", "e"}}},
			"-1000" + "1-000" + "00-11" + "001-1" + "0011-",
		},
		{
			&chaos.Partition{Groups: [][]string{{"a"}, {"b"}, {"c"}}}, // d and e are in no group
			"-0011" + "0-011" + "00-11" + "111-1" + "1111-",
		},
		{
			&chaos.Partition{Isolate: "c"},
			"-1011" + "1-011" + "00-00" + "110-1" + "1101-",
		},
		{
			&chaos.Partition{From: "a", To: "b"},
			"-0111" + "1-111" + "11-11" + "111-1" + "1111-",
		},
		{
			&chaos.Partition{Ring: []string{"*"}},
			"-1001" + "1-100" + "01-10" + "001-1" + "1001-",
		},
		{
			&chaos.Partition{Bridge: []string{"a", "b", "c", "d", "e"}},
			"-1100" + "1-100" + "11-11" + "001-1" + "0011-",
		},
		{
			&chaos.Partition{Isolate: "e", Answer: chaos.Reject},
			"-1110" + "1-110" + "11-10" + "111-0" + "0000-",
		},
		{
			&chaos.Partition{From: "d", To: "a", Answer: chaos.RST},
			"-1111" + "1-111" + "11-11" + "011-1" + "1111-",
		},
	} {
		t.Run(tc.fault.String(), func(t *testing.T) {
			if got := matrix(t, s, 20*time.Second); got != whole {
				t.Fatalf("before:%s", lines(got, len(s)))
			}
			in := inject(t, tc.fault, s)
			if got := matrix(t, s, 300*time.Millisecond); got != tc.want {
				t.Errorf("during:%s\nwant:%s", lines(got, len(s)), lines(tc.want, len(s)))
			}
			if cut := strings.Count(tc.want, "0"); in.Landed().Got != float64(cut) {
				t.Errorf("landed: %s; want %d", in.Landed(), cut)
			}
			if e, err := in.Heal(t.Context()); err != nil || e.Seen {
				t.Errorf("healing: %s, %v; there was no traffic to meet it", e, err)
			}
			if got := matrix(t, s, 20*time.Second); got != whole {
				t.Errorf("after:%s", lines(got, len(s)))
			}
		})
	}
}

// inject injects a fault, which a busy machine may hide from its probes a few times.
func inject(t *testing.T, f chaos.Fault, s chaos.Surface) chaos.Injection {
	t.Helper()
	for range 5 {
		in, err := f.Inject(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if in.Landed().Seen {
			return in
		}
		t.Logf("landed: %s", in.Landed())
		if _, err := in.Heal(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatalf("%s never showed", f)
	return nil
}

func TestOneWayIsOneWayForATCPStreamToo(t *testing.T) {
	n, s := realHosts(t, "a", "b")
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
	server, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	in := inject(t, &chaos.Partition{From: "a", To: "b"}, s)
	if _, err := server.Write([]byte("down")); err != nil { // arrives; that it was acknowledged does not
		t.Fatal(err)
	}
	got := make([]byte, 4)
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := c.Read(got); err != nil || string(got) != "down" {
		t.Errorf("against the partition: %q, %v", got, err)
	}
	if _, err := c.Write([]byte("up")); err != nil {
		t.Fatal(err)
	}
	_ = server.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	if n, err := server.Read(got); err == nil {
		t.Errorf("through the partition came %q", got[:n])
	}
	e, err := in.Heal(t.Context())
	if err != nil || !e.Seen {
		t.Errorf("healing: %s, %v; want the packets that were dropped", e, err)
	}
	_ = server.SetReadDeadline(time.Now().Add(time.Minute))
	if n, err := server.Read(got); err != nil || string(got[:n]) != "up" {
		t.Errorf("after the partition: %q, %v", got[:n], err)
	}
}

func TestPartitionsMayEndInAnyOrder(t *testing.T) {
	_, s := realHosts(t, "a", "b", "c")
	first := inject(t, &chaos.Partition{Isolate: "a"}, s)
	second, err := (&chaos.Partition{Isolate: "b"}).Inject(t.Context(), s)
	if err != nil || !second.Landed().Seen {
		t.Fatalf("beside another: %v, %v", second.Landed(), err)
	}
	for _, in := range []chaos.Injection{first, second} {
		if _, err := in.Heal(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}
	if got := matrix(t, s, 20*time.Second); strings.Contains(got, "0") {
		t.Errorf("after both:%s", lines(got, len(s)))
	}
}

func TestTheSeedChoosesTheMinority(t *testing.T) {
	_, s := realHosts(t, "a", "b", "c", "d", "e")
	small := func(seed uint64) string {
		in := inject(t, &chaos.Partition{Minority: 2, Seed: seed}, s)
		m := matrix(t, s, 300*time.Millisecond)
		if _, err := in.Heal(t.Context()); err != nil {
			t.Error(err)
		}
		var names string
		for i, h := range s {
			if strings.Count(m[i*len(s):(i+1)*len(s)], "1") == 1 { // reaches the other of two
				names += h.Name()
			}
		}
		if len(names) != 2 {
			t.Errorf("seed %d: the minority is %q in%s", seed, names, lines(m, len(s)))
		}
		return names
	}
	first := small(1)
	if again := small(1); again != first {
		t.Errorf("the same seed chose %s, and then %s", first, again)
	}
	for seed := uint64(2); small(seed) == first; seed++ {
		if seed == 12 { // one in ten by chance each
			t.Fatalf("ten seeds chose %s", first)
		}
	}
}

func TestFaultsOfHostsSayWhatIsWrongWithThem(t *testing.T) {
	all := hostsNamed("app-0", "db-0", "db-1", "db-2")
	for _, tc := range []struct {
		fault chaos.Fault
		on    chaos.Surface
		want  string // in the error; empty: none
	}{
		{&chaos.Partition{}, all, "needs one shape, has 0"},
		{&chaos.Partition{Isolate: "db-0", Minority: 1}, all, "needs one shape, has 2"},
		{&chaos.Partition{From: "db-0"}, all, "from and to go together"},
		{&chaos.Partition{Groups: [][]string{{"db"}}}, all, "at least two"},
		{&chaos.Partition{Groups: [][]string{{"db"}, {}}}, all, "each needs a host"},
		{&chaos.Partition{Groups: [][]string{{"db"}, {"app-0"}}}, all, ""},
		{&chaos.Partition{Groups: [][]string{{"db"}, {"db-1"}}}, all, "db-1 stands on both sides"},
		{&chaos.Partition{From: "db-1", To: "db"}, all, "db-1 stands on both sides"},
		{&chaos.Partition{Minority: 1, Answer: "shout"}, all, `answer "shout" is unknown`},
		{&chaos.Partition{Minority: -1}, all, "must be positive"},
		{&chaos.Partition{Isolate: "db-0", Among: []string{"db"}}, all, "among goes with minority"},
		{&chaos.Partition{Minority: 1, Among: []string{"db"}}, all, ""},
		{&chaos.Partition{Minority: 2}, all, "at least 5 hosts"},
		{&chaos.Partition{Ring: []string{"db"}}, all, "at least 4 hosts"},
		{&chaos.Partition{Bridge: []string{"db-0", "db-1"}}, all, "at least 3 hosts"},
		{&chaos.Partition{Isolate: "web"}, all, "no host web; this run has app-0, db-0"},
		{&chaos.Partition{Isolate: "db-0"}, hostSurface{}, "set isolation: namespaces"},
		{&chaos.PacketLoss{From: "db-0", To: "app-0"}, all, "rate is 0"},
		{&chaos.PacketLoss{From: "db-0", Rate: 0.1}, all, "from and to are missing"},
		{&chaos.PacketLoss{From: "db-0", To: "app-0", Rate: 1}, all, "rate is 1"},
		{&chaos.PacketLoss{From: "db", To: "app-0", Rate: 0.5, Direction: chaos.Downstream}, all, ""},
		{&chaos.LinkRate{BytesPerSecond: 1e6}, all, "host is missing"},
		{&chaos.LinkRate{Host: "db"}, all, "bytes_per_second: must be"},
		{&chaos.LinkRate{Host: "db", BytesPerSecond: 1e6, Direction: "sideways"}, all, `direction "sideways"`},
		{&chaos.LinkRate{Host: "db-0", BytesPerSecond: 1e6}, hostsNamed("db-0"), "no other host"},
	} {
		err := tc.fault.Validate()
		if err == nil {
			err = tc.fault.Available(tc.on)
		}
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: %v, want %q", tc.fault, err, tc.want)
		}
	}
}
