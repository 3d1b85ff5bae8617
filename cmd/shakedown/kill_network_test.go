package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"

	"shakedown/chaos/disk"
	"shakedown/internal/netns"
	"shakedown/internal/roottest"
)

// surrounded is tiny.yaml on hosts and disks of its own, with replicas, and with a phase in which packets, links, disks and settings of
// servers are all interfered with at once.
func surrounded(t *testing.T) string {
	text := strings.Replace(tiny(t), "engines:\n", "isolation: namespaces\nengines:\n", 1)
	text = strings.Replace(text, `    settings: {max_connections: "20"}
  - {name: redis}
`, `    settings: {max_connections: "20"}
    replicas: 1
    disk: true
  - {name: redis, replicas: 1, disk: true}
`, 1)
	return strings.Replace(text, "    judged: true\n", `    judged: true
  - name: surrounded
    for: 1h
    rate: {per_s: 30}
    faults:
      - {kind: partition, from: redis, to: redis-replica-0}
      - {kind: packet_loss, from: service, to: postgres, rate: 0.05}
      - {kind: link_rate, host: service, bytes_per_second: 2000000}
      - {kind: latency, link: service→postgres, delay: 5ms}
      - {kind: disk_slow, process: postgres, sync: 2ms}
      - {kind: disk_full, process: redis, room: 100000000}
      - {kind: lock_held, engine: postgres, table: shakedown_items, where: id < 3}
      - {kind: connections_hogged, engine: postgres, leave: 8}
      - {kind: replay_delayed, engine: postgres-replica-0, delay: 1s}
      - {kind: maxmemory, engine: redis, bytes: 100000000}
      - {kind: pause, process: redis-replica-0}
`, 1)
}

// TestKillingARunLeavesNoNetworkDiskOrSetting: kill -9 while rules and queues of hosts, disks, locks and settings of servers are in force.
// All of them are bound to what ends with the harness or is taken away by clean, and the machine's own network was never touched.
func TestKillingARunLeavesNoNetworkDiskOrSetting(t *testing.T) {
	needsNoRaceDetector(t)
	roottest.Needs(t, netns.Supported())
	roottest.Needs(t, disk.Available())
	before := machineNetwork(t)
	s := newSandbox(t)
	kill := s.runUntil(surrounded(t), "pause") // the last of the faults
	hosts := s.networks()
	mounts := slices.DeleteFunc(s.left(), func(l string) bool { return !strings.HasPrefix(l, "mount ") })
	if len(hosts) < 5 || len(holding(hosts)) < 5 || len(mounts) < 2 { // a host for each server and the service; a disk for each primary
		t.Errorf("in force are only %d networks, held by %q, and %q", len(hosts), holding(hosts), mounts)
	}
	kill()
	if cleaned := s.run("clean"); cleaned.code != 0 || cleaned.stderr != "" {
		t.Errorf("clean should undo what is left, got %v", cleaned)
	}
	if left := s.left(); left != nil {
		t.Errorf("left after clean: %q", left)
	}
	if held := holding(hosts); held != nil {
		t.Errorf("after clean, networks of the run are still held: %q", held)
	}
	if after := machineNetwork(t); after != before {
		t.Errorf("the machine's network was\n%s\nand is\n%s", before, after)
	}
}

// networks are the network namespaces of the sandbox's processes, other than the machine's.
func (s *sandbox) networks() []string {
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		s.t.Fatal(err)
	}
	var found []string
	for _, pid := range s.processes() {
		ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
		if err == nil && ns != own && !slices.Contains(found, ns) {
			found = append(found, ns)
		}
	}
	return found
}

// holding says by whom namespaces are still held: by being in one, by a descriptor, or by a mount.
func holding(namespaces []string) (held []string) {
	paths, _ := filepath.Glob("/proc/[0-9]*/ns/net")
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, path := range append(paths, fds...) {
		if ns, err := os.Readlink(path); err == nil && slices.Contains(namespaces, ns) {
			held = append(held, path+" → "+ns)
		}
	}
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	for _, ns := range namespaces {
		if strings.Contains(string(mounts), ns) {
			held = append(held, "a mount of "+ns)
		}
	}
	return held
}

// machineNetwork is what a fault of hosts might have left behind on the machine's own network: interfaces, their queues, tables of rules.
func machineNetwork(t *testing.T) string {
	t.Helper()
	var all []string
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		all = append(all, "interface "+l.Attrs().Name)
		queues, err := netlink.QdiscList(l)
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range queues {
			all = append(all, fmt.Sprintf("queue %s on %s", q.Type(), l.Attrs().Name))
		}
	}
	tables, err := new(nftables.Conn).ListTables()
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		all = append(all, "table "+table.Name)
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}
