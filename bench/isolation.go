package bench

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"shakedown/chaos"
)

// Isolation is what keeps the processes of a trial apart.
type Isolation string

// The isolations. The empty Isolation is none: all share this machine's own network, and meet on its loopback.
const (
	Shared     Isolation = ""
	Namespaces Isolation = "namespaces" // each engine and instance is on a host of its own, a network namespace
)

// Needs are what the isolation needs of the machine.
func (i Isolation) Needs() []chaos.Need {
	if i == Namespaces {
		return []chaos.Need{chaos.NeedNetworkNamespaces}
	}
	return nil
}

// SysctlAt are the settings of every host's kernel at the given level.
func (e Experiment) SysctlAt(l Level) map[string]string {
	all := map[string]string{}
	maps.Copy(all, e.Sysctl)
	maps.Copy(all, l.Sysctl)
	return all
}

var sysctlName = regexp.MustCompile(`^net(\.[a-z0-9_]+)+$`)

func (e Experiment) validateIsolation() error {
	switch {
	case e.Isolation != Shared && e.Isolation != Namespaces:
		return fmt.Errorf("isolation: %q is unknown; it is %s, or left out", e.Isolation, Namespaces)
	case e.Isolation == Shared && e.Direct:
		return fmt.Errorf("direct: goes with isolation: %s", Namespaces)
	}
	var errs []error
	for _, l := range e.LevelList() {
		for _, name := range slices.Sorted(maps.Keys(e.SysctlAt(l))) {
			switch {
			case e.Isolation != Namespaces:
				errs = append(errs, fmt.Errorf("sysctl: goes with isolation: %s; the machine's own settings are not changed", Namespaces))
			case !sysctlName.MatchString(name):
				errs = append(errs, fmt.Errorf("sysctl: %q is not below net; write it as net.ipv4.tcp_retries2", name))
			}
		}
	}
	return errors.Join(errs...)
}
