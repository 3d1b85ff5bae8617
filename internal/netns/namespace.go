package netns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// A Namespace is a network namespace that is kept by a descriptor: the kernel deletes it, with all that is in it, when the
// last descriptor, process and socket of it is gone.
type Namespace struct{ file *os.File }

// New makes a namespace, with its loopback interface down and nothing else in it. It needs CAP_SYS_ADMIN.
func New() (*Namespace, error) {
	var n *Namespace
	err := apart(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("making a network namespace: %w", err)
		}
		n, err = Open(own)
		return err
	})
	return n, err
}

// own is the namespace of the thread that opens it.
const own = "/proc/thread-self/ns/net"

// Open opens the namespace behind a path such as /proc/PID/ns/net.
func Open(path string) (*Namespace, error) {
	// O_NONBLOCK: whatever the path leads to, opening it must not wait.
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the network namespace %s: %w", path, err)
	}
	if kind, err := unix.IoctlRetInt(fd, unix.NS_GET_NSTYPE); err != nil || kind != unix.CLONE_NEWNET {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("%s is no network namespace", path)
	}
	return &Namespace{os.NewFile(uintptr(fd), path)}, nil
}

// File is the descriptor that keeps the namespace; it belongs to the Namespace.
func (n *Namespace) File() *os.File { return n.file }

// Path is where another process of the same user finds the namespace for as long as this one keeps it.
func (n *Namespace) Path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.file.Fd()) }

// Close lets go of the namespace.
func (n *Namespace) Close() error { return n.file.Close() }

// Do runs f on a thread that is in the namespace. Sockets that f makes stay there; goroutines that f starts do not.
func (n *Namespace) Do(f func() error) error {
	return apart(func() error {
		if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("entering a network namespace: %w", err)
		}
		return f()
	})
}

// apart runs f on a thread that may change its namespace: it is put back afterwards, or else ends with the goroutine.
func apart(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := unix.Open(own, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			runtime.UnlockOSThread()
			done <- err
			return
		}
		defer func() { _ = unix.Close(home) }()
		err = f()
		if unix.Setns(home, unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// Listen is net.Listen in the namespace. The address must be a literal one: looking up a name would leave the thread.
func (n *Namespace) Listen(ctx context.Context, network, address string) (ln net.Listener, err error) {
	err = n.Do(func() (err error) {
		ln, err = new(net.ListenConfig).Listen(ctx, network, address)
		return err
	})
	return ln, err
}

// DialContext is net.Dialer.DialContext in the namespace, to a literal address.
func (n *Namespace) DialContext(ctx context.Context, network, address string) (c net.Conn, err error) {
	err = n.Do(func() (err error) {
		c, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return c, err
}

// Sysctl sets a setting of the namespace, written as a path below /proc/sys/net: "ipv4/tcp_retries2".
func (n *Namespace) Sysctl(name, value string) error {
	return n.Do(func() error {
		f, err := os.OpenFile("/proc/sys/net/"+name, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteString(value)
		return errors.Join(err, f.Close())
	})
}
