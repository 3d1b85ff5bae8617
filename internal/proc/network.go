package proc

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// within calls start on this thread, which is locked, while it is in the given network namespace: a child begins in that of
// the thread that forks it. Nothing else of the harness is ever there.
func within(network *os.File, start func() error) error {
	if network == nil {
		return start()
	}
	home, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("entering its network namespace: %w", err)
	}
	defer func() { _ = unix.Close(home) }()
	if err := unix.Setns(int(network.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("entering its network namespace: %w", err)
	}
	err = start()
	if back := unix.Setns(home, unix.CLONE_NEWNET); back != nil {
		// Whoever may enter a namespace may come back: this cannot be, and no child may be started from here any more.
		panic(fmt.Sprintf("proc: the thread that starts children cannot leave a network namespace: %v", back))
	}
	return err
}
