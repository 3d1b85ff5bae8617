package netns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// prefix is the network of the hosts. It exists in their namespaces only, so it cannot clash with any other.
var prefix = netip.MustParsePrefix("10.0.0.0/16")

// mostHosts is what a run may reasonably ask for; a bridge takes 1024 ports.
const mostHosts = 250

// A Network is a switch and the hosts on it. There is no way out of it: no host has a route to any other network.
type Network struct {
	hub    *Namespace
	handle *netlink.Handle // of the hub
	bridge netlink.Link
	hosts  []*Host
	byName map[string]*Host
	pings  pings

	closing sync.Once
	closed  error
}

// NewNetwork makes hosts with the given names, each with an address, and connects them. It needs root.
func NewNetwork(ctx context.Context, names []string) (*Network, error) {
	n := &Network{byName: map[string]*Host{}}
	if err := n.build(ctx, names); err != nil {
		return nil, errors.Join(fmt.Errorf("making a network of hosts: %w", err), n.Close())
	}
	return n, nil
}

func (n *Network) build(ctx context.Context, names []string) (err error) {
	if len(names) > mostHosts {
		return fmt.Errorf("%d hosts; at most %d can be made", len(names), mostHosts)
	}
	if n.hub, err = newQuiet(); err != nil {
		return err
	}
	if n.handle, err = netlink.NewHandleAt(netns.NsHandle(n.hub.file.Fd())); err != nil {
		return err
	}
	n.bridge = &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "switch"}}
	if err := n.handle.LinkAdd(n.bridge); err != nil {
		return fmt.Errorf("making a bridge: %w", err)
	}
	if err := n.handle.LinkSetUp(n.bridge); err != nil {
		return err
	}
	address := prefix.Addr()
	for i, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		address = address.Next()
		if n.byName[name] != nil {
			return fmt.Errorf("two hosts are called %s", name)
		}
		h := &Host{name: name, addr: address, network: n, port: fmt.Sprintf("port%d", i)}
		n.hosts, n.byName[name] = append(n.hosts, h), h
		if err := h.build(ctx); err != nil {
			return fmt.Errorf("host %s: %w", name, err)
		}
	}
	return n.settle(ctx)
}

// settleTime bounds the wait for cables to carry: the kernel has that from a work queue, which a busy machine delays.
const settleTime = 10 * time.Second

// settle returns once every cable carries at both ends. What was sent earlier would be lost, and sent again a second later.
func (n *Network) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, settleTime, fmt.Errorf("a cable carries nothing after %v", settleTime))
	defer cancel()
	for _, h := range n.hosts {
		for _, e := range h.ends() {
			for {
				device, err := e.handle.LinkByName(e.device)
				if err != nil {
					return fmt.Errorf("host %s: %w", h.name, err)
				}
				if device.Attrs().OperState == netlink.OperUp {
					break
				}
				select {
				case <-ctx.Done():
					return fmt.Errorf("host %s: %w", h.name, context.Cause(ctx))
				case <-time.After(time.Millisecond):
				}
			}
		}
	}
	return nil
}

// newQuiet makes a namespace that speaks no IPv6, which would find ways around rules for IPv4 addresses.
func newQuiet() (*Namespace, error) {
	n, err := New()
	if err != nil {
		return nil, err
	}
	for _, of := range []string{"all", "default"} {
		// A kernel without IPv6 has no such setting, and no need of it.
		_ = n.Sysctl("ipv6/conf/"+of+"/disable_ipv6", "1")
	}
	return n, nil
}

// Hosts are all hosts, in the order in which they were named.
func (n *Network) Hosts() []*Host { return n.hosts }

// Host is the host with the given name, or nil.
func (n *Network) Host(name string) *Host { return n.byName[name] }

// Close deletes the links, and lets go of the namespaces, which end with the processes and sockets that are still in them.
// Closing twice is no error.
func (n *Network) Close() error {
	n.closing.Do(func() {
		var errs []error
		for _, h := range n.hosts {
			errs = append(errs, h.unplug(), h.close())
		}
		if n.handle != nil {
			n.handle.Close()
		}
		if n.hub != nil {
			errs = append(errs, n.hub.Close())
		}
		if err := errors.Join(errs...); err != nil {
			n.closed = fmt.Errorf("deleting a network of hosts: %w", err)
		}
	})
	return n.closed
}
