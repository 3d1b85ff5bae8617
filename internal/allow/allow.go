// Package allow keeps load and faults away from machines that the user did not name: both hurt. It knows addresses and nothing of what
// is done to them.
package allow

import (
	"fmt"
	"net"
	"slices"
)

// Hosts refuses the first host that is neither this machine nor named. what is where the hosts come from, a flag say.
func Hosts(what string, hosts, named []string) error {
	for _, host := range hosts {
		if !Loopback(host) && !slices.Contains(named, host) {
			return fmt.Errorf("%s: %s is not this machine; add --allow-target %s if load and faults may hit it", what, host, host)
		}
	}
	return nil
}

// Loopback says whether the host is this machine, by its name alone: nothing is looked up.
func Loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
