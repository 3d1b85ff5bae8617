package daemon

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	"shakedown/chaos/proxy"
	"shakedown/chaos/proxy/toxiproxy"
	"shakedown/internal/allow"
)

// everywhere are the ways to write all addresses of this machine.
var everywhere = []string{"", "0.0.0.0", "::"}

// allowLink says why a link must not be: what it leads to, and where others may come in, is this machine unless it was
// named. A path to a unix socket is this machine, and so is an upstream that is only a port.
func (o Options) allowLink(s proxy.Spec) error {
	if host := hostOf(s.Listen); s.Listen != "" && !loopback(host) && !o.named(host) {
		if host == "" {
			host = "0.0.0.0"
		}
		return fmt.Errorf("listen %s: other machines could reach the link; add --allow-target %s if they may", s.Listen, host)
	}
	if s.Network == "unix" || strings.HasPrefix(s.Address, ":") {
		return nil
	}
	return allow.Hosts("upstream "+s.Address, []string{hostOf(s.Address)}, o.AllowTargets)
}

// allowProxy is the same for Toxiproxy's clients.
func (o Options) allowProxy(s proxy.Spec) error {
	if err := o.allowLink(s); err != nil {
		return &toxiproxy.APIError{Message: err.Error(), StatusCode: http.StatusForbidden}
	}
	return nil
}

// named says whether an address to listen on was named; all addresses are, by any of their names.
func (o Options) named(host string) bool {
	return slices.ContainsFunc(o.AllowTargets, func(allowed string) bool {
		return allowed == host || slices.Contains(everywhere, allowed) && slices.Contains(everywhere, host)
	})
}

func loopback(host string) bool { return allow.Loopback(host) }

// hostOf is the host of an address; one without a port is a host.
func hostOf(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}
