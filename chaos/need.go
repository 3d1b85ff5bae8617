package chaos

// A Need is something that this machine must have, or let us do, before a fault can act on it: a privilege, a feature of
// the kernel, a library. Its text is what `shakedown doctor` shows. Package internal/needs knows how to look for each.
type Need string

// The needs of faults.
const (
	NeedCPUGroups         Need = "cgroups of cpu"
	NeedMemoryGroups      Need = "cgroups of memory"
	NeedNetworkNamespaces Need = "network namespaces"
	NeedFaketime          Need = "libfaketime"
	NeedFUSE              Need = "FUSE"
)

// A Needer is a Fault that needs more of the machine than the right to start processes and open sockets.
type Needer interface {
	Fault
	// Needs are the same for every fault of the kind, or fewer for one whose fields ask for less. A zero fault has all.
	Needs() []Need
}

// NeedsOf is what the fault needs of the machine.
func NeedsOf(f Fault) []Need {
	if n, ok := f.(Needer); ok {
		return n.Needs()
	}
	return nil
}
