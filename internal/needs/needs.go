// Package needs owns the probes that say whether this machine has what faults need. It changes nothing that outlives the
// look, and knows no fault. `shakedown doctor` prints what it finds; the orchestrator asks it before anything starts.
package needs

import (
	"fmt"

	"shakedown/chaos"
	"shakedown/internal/cgroup"
)

// A need and the way to look for it. The probe says in a few words what is there, or in one line what is missing, how to
// get it, and what to use in its place.
type need struct {
	name  chaos.Need
	probe func() (found string, err error)
}

// all is the list of needs: adding one is a constant in package chaos, a probe, and one line here.
var all = []need{
	{chaos.NeedCPUGroups, groups(cgroup.CPU, "use cpu_burn for a busy machine")},
	{chaos.NeedMemoryGroups, groups(cgroup.Memory, "use kill for the end of an OOM kill")},
	{chaos.NeedNetworkNamespaces, networkNamespaces},
	{chaos.NeedFaketime, library},
	{chaos.NeedFUSE, fuse},
}

// All are the needs that faults may have.
func All() []chaos.Need {
	names := make([]chaos.Need, len(all))
	for i, n := range all {
		names[i] = n.name
	}
	return names
}

// Look says what there is of a need, or why it cannot be met here.
func Look(name chaos.Need) (found string, err error) {
	for _, n := range all {
		if n.name == name {
			return n.probe()
		}
	}
	return "", fmt.Errorf("nobody knows how to look for %q", name)
}

// Check says why a fault cannot act on this machine: it names the first of its needs that cannot be met.
func Check(f chaos.Fault) error {
	for _, name := range chaos.NeedsOf(f) {
		if _, err := Look(name); err != nil {
			return fmt.Errorf("it needs %s: %w", name, err)
		}
	}
	return nil
}
