package proxy

import (
	"golang.org/x/sys/unix"

	"shakedown/internal/netns"
)

// within runs f in a namespace; nil is the proxy's own.
func within(space *netns.Namespace, f func() error) error {
	if space == nil {
		return f()
	}
	return space.Do(f)
}

// socket makes a socket in a namespace, where it stays, whichever loop serves it.
func socket(space *netns.Namespace, family, kind int) (fd int, err error) {
	err = within(space, func() (err error) {
		fd, err = unix.Socket(family, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		return err
	})
	return fd, err
}

// leave lets go of the link's namespace.
func (l *Link) leave() error {
	if l.space == nil {
		return nil
	}
	return l.space.Close()
}
