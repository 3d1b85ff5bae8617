package chaostest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"

	"shakedown/chaos"
	"shakedown/internal/netns"
)

// Hosts has five hosts, h0 to h4, the role "host", between which connections go to a server that echoes on the next. It needs what
// package netns needs.
var Hosts = &Stand{Name: "hosts", Missing: hostsMissing, Build: func(t *testing.T) Rig {
	t.Helper()
	var names []string
	for i := range 5 {
		names = append(names, fmt.Sprintf("h%d", i))
	}
	n, err := netns.NewNetwork(t.Context(), names)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	s := hosts(n.Hosts())
	return Rig{
		Surface: s,
		Start: func(t *testing.T, excused Harm) Traffic {
			return hostTraffic{startTraffic(t, s.ways(t), s.met, excused)}
		},
		Clean: s.clean,
	}
}}

func hostsMissing() string {
	if err := netns.Supported(); err != nil {
		return err.Error()
	}
	return ""
}

// hosts is a surface of hosts and nothing else.
type hosts []*netns.Host

func (hosts) Links(string) []chaos.Link        { return nil }
func (hosts) Processes(string) []chaos.Process { return nil }

func (s hosts) Hosts(name string) (found []chaos.Host) {
	for _, h := range s {
		if name == chaos.EveryHost || name == "host" || name == h.Name() {
			found = append(found, h)
		}
	}
	return found
}

// ways lead from each host to a server on the next, and on the one after that.
func (s hosts) ways(t *testing.T) (ways []way) {
	t.Helper()
	for i, h := range s {
		ln, err := h.Namespace().Listen(t.Context(), "tcp", net.JoinHostPort(h.Addr().String(), "0"))
		if err != nil {
			t.Fatal(err)
		}
		serveEcho(t, ln)
		for _, back := range []int{1, 2} {
			from := s[(i+back)%len(s)]
			ways = append(ways, func() (net.Conn, error) {
				return from.Namespace().DialContext(context.Background(), "tcp", ln.Addr().String())
			})
		}
	}
	return ways
}

// hostTraffic looks for what it meets from the moment it is asked: a limit counts the packets of probes too.
type hostTraffic struct{ *exchanges }

func (hostTraffic) Mark(context.Context) error { return nil }

func (h hostTraffic) Meet(ctx context.Context) error {
	if err := h.exchanges.Mark(ctx); err != nil {
		return err
	}
	return h.exchanges.Meet(ctx)
}

// met counts the packets of traffic that rules and limits have acted on.
func (s hosts) met(ctx context.Context) (n int64, err error) {
	for _, h := range s {
		filtered, ferr := h.Filtered(ctx, "")
		for _, f := range filtered {
			n += f.Traffic
		}
		limited, lerr := h.Limited(ctx, chaos.Both)
		n, err = n+limited.Waited, errors.Join(err, ferr, lerr)
	}
	return n, err
}

// clean says which rules and limits are left.
func (s hosts) clean(ctx context.Context) error {
	var errs []error
	for _, h := range s {
		filtered, ferr := h.Filtered(ctx, "")
		limited, lerr := h.Limited(ctx, chaos.Both)
		errs = append(errs, ferr, lerr)
		if filtered != nil || limited != (chaos.Limited{}) {
			errs = append(errs, fmt.Errorf("on %s there is still %+v, %+v", h.Name(), filtered, limited))
		}
	}
	return errors.Join(errs...)
}
