package netns

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"

	"shakedown/chaos"
	"shakedown/internal/roottest"
)

const harnessEnv = "SHAKEDOWN_NETNS_HARNESS"

func isHarness() bool { return os.Getenv(harnessEnv) != "" }

// beHarness makes a network with a fault in force and traffic under way, says which namespaces those are, and waits to be
// killed.
func beHarness() {
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	ctx := context.Background()
	n, err := NewNetwork(ctx, []string{"a", "b", "c"})
	fail(err)
	a, b := n.Host("a"), n.Host("b")
	ln, err := b.Namespace().Listen(ctx, "tcp", fmt.Sprintf("%s:4711", b.Addr()))
	fail(err)
	c, err := a.Namespace().DialContext(ctx, "tcp", ln.Addr().String())
	fail(err)
	fail(b.Filter(ctx, "x", []chaos.PacketRule{{From: "a"}}))
	fail(a.Limit(ctx, "x", chaos.Both, 1<<20))
	_, err = c.Write([]byte("never arrives"))
	fail(err)
	spaces := []string{inode(n.hub)}
	for _, h := range n.Hosts() {
		spaces = append(spaces, inode(h.Namespace()))
	}
	fail(json.NewEncoder(os.Stdout).Encode(spaces))
	select {}
}

func inode(n *Namespace) string {
	name, _ := os.Readlink(n.Path())
	return name
}

func TestKillingTheHarnessDeletesEverything(t *testing.T) {
	roottest.Needs(t, Supported())
	before := machine(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), harnessEnv+"=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var spaces []string
	if err := json.Unmarshal(line, &spaces); err != nil || len(spaces) != 4 {
		t.Fatalf("%s: %v", line, err)
	}
	if held := held(t); !containsAll(held, spaces) {
		t.Fatalf("the test would not see them: %v are made, and %v are seen", spaces, held)
	}
	if during := machine(t); during != before {
		t.Errorf("while it ran, the machine's own network was\n%s\nand before\n%s", during, before)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // "signal: killed", as asked
	if !await(t, func() bool {
		now := held(t)
		return !slices.ContainsFunc(spaces, func(s string) bool { return now[s] })
	}) {
		t.Errorf("of %v, some are still held", spaces)
	}
	if after := machine(t); after != before {
		t.Errorf("the machine's own network is\n%s\nand was\n%s", after, before)
	}
}

// held are the network namespaces that a process, a thread or a descriptor on this machine keeps.
func held(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, pattern := range []string{"/proc/[0-9]*/ns/net", "/proc/[0-9]*/task/[0-9]*/ns/net", "/proc/[0-9]*/fd/*"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			if name, err := os.Readlink(path); err == nil && strings.HasPrefix(name, "net:[") {
				found[name] = true
			}
		}
	}
	return found
}

func containsAll(have map[string]bool, want []string) bool {
	return !slices.ContainsFunc(want, func(s string) bool { return !have[s] })
}

// machine is the machine's own network: its links with their queues, addresses and routes, its rules, and the namespaces that
// have names.
func machine(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	links, err := netlink.LinkList()
	must(err)
	for _, l := range links {
		addrs, err := netlink.AddrList(l, netlink.FAMILY_ALL)
		must(err)
		routes, err := netlink.RouteList(l, netlink.FAMILY_ALL)
		must(err)
		qdiscs, err := netlink.QdiscList(l)
		must(err)
		fmt.Fprintf(&b, "link %s %s: %d addresses, %d routes, %d queues\n", l.Attrs().Name, l.Type(), len(addrs), len(routes), len(qdiscs))
	}
	conn, err := nftables.New()
	must(err)
	tables, err := conn.ListTables()
	must(err)
	for _, table := range tables {
		fmt.Fprintf(&b, "table %s\n", table.Name)
	}
	named, err := filepath.Glob("/run/netns/*")
	must(err)
	fmt.Fprintf(&b, "named %v\n", named)
	return b.String()
}
