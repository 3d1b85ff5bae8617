package netns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"shakedown/chaos"
)

// uplink is what every host calls its way to the switch.
const uplink = "eth0"

// A Host is one namespace on the switch. Its methods may be called from many goroutines.
type Host struct {
	name    string
	addr    netip.Addr
	network *Network
	port    string // of the switch
	space   *Namespace
	handle  *netlink.Handle // of the host
	plugged bool
	echo    *echo

	mu     sync.Mutex
	limits map[string]limit
}

var _ chaos.Host = (*Host)(nil)

// Name is the name the host was made with.
func (h *Host) Name() string { return h.name }

// Addr is the host's one address, beside its own loopback.
func (h *Host) Addr() netip.Addr { return h.addr }

// Prefix is the network that the host and its peers are on.
func (h *Host) Prefix() netip.Prefix { return prefix }

// Namespace is where processes and sockets of the host live.
func (h *Host) Namespace() *Namespace { return h.space }

func (h *Host) build(ctx context.Context) (err error) {
	if h.space, err = newQuiet(); err != nil {
		return err
	}
	// The kernel sends six ICMP errors to a host and then one a second; a firewall that rejects answers each packet.
	if err := h.space.Sysctl("ipv4/icmp_ratelimit", "0"); err != nil {
		return err
	}
	fd := int(h.space.file.Fd())
	if h.handle, err = netlink.NewHandleAt(netns.NsHandle(fd)); err != nil {
		return err
	}
	cable := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: h.port, MasterIndex: h.network.bridge.Attrs().Index},
		PeerName:  uplink, PeerNamespace: netlink.NsFd(fd),
	}
	if err := h.network.handle.LinkAdd(cable); err != nil {
		return fmt.Errorf("making a veth pair: %w", err)
	}
	h.plugged = true
	if err := h.network.handle.LinkSetUp(cable); err != nil {
		return err
	}
	if err := h.address(); err != nil {
		return err
	}
	h.echo, err = listenEcho(ctx, h)
	return err
}

// address gives the host its address, and brings its interfaces up.
func (h *Host) address() error {
	lo, err := h.handle.LinkByName("lo")
	if err != nil {
		return err
	}
	up, err := h.handle.LinkByName(uplink)
	if err != nil {
		return err
	}
	ip := &net.IPNet{IP: h.addr.AsSlice(), Mask: net.CIDRMask(prefix.Bits(), h.addr.BitLen())}
	return errors.Join(h.handle.AddrAdd(up, &netlink.Addr{IPNet: ip}), h.handle.LinkSetUp(lo), h.handle.LinkSetUp(up))
}

// peer is the host of the same network that another part of the program knows as a chaos.Host.
func (h *Host) peer(to chaos.Host) (*Host, error) {
	if p := h.network.byName[to.Name()]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("%s is not on the network of %s", to.Name(), h.name)
}

// unplug deletes the cable, both ends of it. It comes before the namespace is let go, which would take the cable with it.
func (h *Host) unplug() error {
	if !h.plugged {
		return nil
	}
	port, err := h.network.handle.LinkByName(h.port)
	if err != nil {
		return err
	}
	return h.network.handle.LinkDel(port)
}

func (h *Host) close() error {
	var errs []error
	if h.echo != nil {
		errs = append(errs, h.echo.close())
	}
	if h.handle != nil {
		h.handle.Close()
	}
	if h.space != nil {
		errs = append(errs, h.space.Close())
	}
	return errors.Join(errs...)
}
