package chaos

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// A Hoster is a Surface that runs each engine and each instance on a host of its own, on a network that belongs to the run.
type Hoster interface {
	// Hosts are those with the given name: "redis", "service-1", or every instance of the role "service". EveryHost is all.
	Hosts(name string) []Host
}

// EveryHost is the name that stands for all hosts of a run.
const EveryHost = "*"

// A Host is a network namespace of the run with one address. What runs there reaches the other hosts, and nothing else.
type Host interface {
	// Name is that of the process that runs there: "redis", "service-0".
	Name() string
	// Filter makes rules act, under the given id, on the packets that arrive here. It replaces the rules of the same id.
	Filter(ctx context.Context, id string, rules []PacketRule) error
	// Unfilter removes the rules with the given id; removing absent ones is no error.
	Unfilter(ctx context.Context, id string) error
	// Filtered says how many packets the rules with the given id have acted on; the empty id is all rules together.
	Filtered(ctx context.Context, id string) ([]Filtered, error)
	// Ping sends so many datagrams to another host and says how many of them arrived there. It returns when all have, or
	// else when the given time is over. Nothing need come back: it looks in one direction.
	Ping(ctx context.Context, to Host, datagrams int, giveUp time.Duration) (arrived int, err error)
	// Connect shakes hands with another host by TCP, which takes both directions, and hangs up.
	Connect(ctx context.Context, to Host, giveUp time.Duration) (Handshake, error)
	// Limit bounds, under the given id, the rate of all that leaves this host (Upstream), arrives here (Downstream), or
	// both. Of several limits the smallest wins. It replaces the limit of the same id.
	Limit(ctx context.Context, id string, d Direction, bytesPerSecond int64) error
	// Unlimit removes the limit with the given id; removing an absent one is no error.
	Unlimit(ctx context.Context, id string) error
	// Limited says which limit is in force in a direction, and how many packets have had to wait for it.
	Limited(ctx context.Context, d Direction) (Limited, error)
	// Pour sends so many bytes to another host and back by TCP, and says how fast that went in each direction.
	Pour(ctx context.Context, to Host, bytes int64) (bytesPerSecond float64, err error)
}

// A PacketRule says what becomes of packets that come from a host.
type PacketRule struct {
	From   string
	Answer Answer
	// Share of the packets that the rule acts on, drawn by the kernel for each packet; 0 means all.
	Share float64
}

// Answer is what the sender of a packet that was filtered hears.
type Answer string

// The answers. The empty Answer is silence, as when a cable is cut: TCP sends again, ever more seldom.
const (
	Silence Answer = ""
	Reject  Answer = "reject" // ICMP "administratively prohibited" (RFC 1812, 5.2.7.1), as a firewall says
	RST     Answer = "reset"  // a RST to TCP, and ICMP "port unreachable" to the rest, as when nobody listens
)

func (a Answer) validate() error {
	switch a {
	case Silence, Reject, RST:
		return nil
	}
	return fmt.Errorf("answer %q is unknown; it is reject, reset, or left out for none", a)
}

// how says the answer behind the name of a fault.
func (a Answer) how() string {
	switch a {
	case Reject:
		return ", rejected by ICMP"
	case RST:
		return ", reset"
	}
	return ""
}

// Filtered counts the packets of one host that rules have acted on where they arrived: those of real traffic, and those of Ping,
// Connect and Pour.
type Filtered struct {
	From    string
	Traffic int64
	Probes  int64
}

// Limited is what the kernel says of a limit in force; the zero Limited is none.
type Limited struct {
	BytesPerSecond int64
	Waited         int64 // packets, since the limit took this value
}

// Handshake is how an attempt to connect ended.
type Handshake string

// The ends of an attempt to connect.
const (
	Connected   Handshake = "connected"
	TimedOut    Handshake = "timed out"
	Refused     Handshake = "refused"     // a RST came back
	Unreachable Handshake = "unreachable" // an ICMP message came back
)

// noHosts is why no fault of hosts can act where processes share one network, and what can.
const noHosts = "this run's processes share one network; set isolation: namespaces (needs root), " +
	"or use a fault of a link, such as blackhole, which acts in the proxy"

// hostsOf resolves the name of hosts; none is an error.
func hostsOf(s Surface, name string) ([]Host, error) {
	h, ok := s.(Hoster)
	if !ok || len(h.Hosts(EveryHost)) == 0 {
		return nil, fmt.Errorf("no hosts: %s", noHosts)
	}
	if hosts := h.Hosts(name); len(hosts) > 0 {
		return hosts, nil
	}
	var names []string
	for _, host := range h.Hosts(EveryHost) {
		names = append(names, host.Name())
	}
	return nil, fmt.Errorf("no host %s; this run has %s", name, strings.Join(names, ", "))
}
