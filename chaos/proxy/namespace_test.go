package proxy

import (
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"shakedown/chaos"
	"shakedown/internal/netns"
	"shakedown/internal/roottest"
)

func TestALinkListensAndDialsInItsNamespace(t *testing.T) {
	roottest.Needs(t, netns.Supported())
	n, err := netns.NewNetwork(t.Context(), []string{"a", "b"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}()
	a, b := n.Host("a"), n.Host("b")
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, network := range []string{"tcp", "udp"} {
		t.Run(network, func(t *testing.T) {
			upstream := netip.AddrPortFrom(b.Addr(), 4711).String()
			echoIn(t, b.Namespace(), network, upstream)
			l, err := p.Create(t.Context(), Spec{Name: network, Network: network, Address: upstream, Namespace: a.Namespace().Path()})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Delete(network)
			c, err := a.Namespace().DialContext(t.Context(), network, l.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			mustEcho(t, c)
			if network == "udp" {
				return
			}
			if c, err := net.Dial("tcp", l.Addr()); err == nil {
				_ = c.Close()
				t.Error("the link listens in the proxy's own namespace too")
			}
			if probe, err := l.Probe(t.Context(), 20*time.Second); err != nil || probe.Lost {
				t.Errorf("probing: %+v, %v", probe, err)
			}
			if err := l.Shape(t.Context(), "x", chaos.Effect{Refuse: true}); err != nil {
				t.Fatal(err)
			}
			if probe, err := l.Probe(t.Context(), 20*time.Second); err != nil || !probe.Refused {
				t.Errorf("probing what refuses: %+v, %v", probe, err)
			}
		})
	}
	for want, spec := range map[string]Spec{
		"looked up outside":    {Name: "x", Address: "db.example:1", Namespace: a.Namespace().Path()},
		"no network namespace": {Name: "x", Address: "10.0.0.1:1", Namespace: "/dev/null"},
	} {
		if _, err := p.Create(t.Context(), spec); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", spec, err, want)
		}
	}
}

func echoIn(t *testing.T, space *netns.Namespace, network, address string) {
	t.Helper()
	if network == "tcp" {
		ln, err := space.Listen(t.Context(), network, address)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		t.Cleanup(func() { _ = ln.Close(); <-done })
		go func() {
			defer close(done)
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}
		}()
		return
	}
	var c net.PacketConn
	err := space.Do(func() (err error) {
		c, err = net.ListenPacket(network, address)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = c.Close(); <-done })
	go func() {
		defer close(done)
		b := make([]byte, 64)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = c.WriteTo(b[:n], from)
		}
	}()
}

func mustEcho(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
		t.Fatalf("%q, %v", got, err)
	}
}
