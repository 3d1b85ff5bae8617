package targettest

import (
	"fmt"
	"net/url"

	"golang.org/x/sys/unix"
)

// deadPort is a loopback address at which nothing listens, and never will while it is held: a socket is bound to it.
type deadPort struct {
	fd   int
	addr string
}

func deadAddress() (deadPort, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return deadPort{}, fmt.Errorf("holding a dead port: %w", err)
	}
	d := deadPort{fd: fd}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		d.close()
		return deadPort{}, fmt.Errorf("holding a dead port: %w", err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		d.close()
		return deadPort{}, fmt.Errorf("holding a dead port: %w", err)
	}
	in, ok := name.(*unix.SockaddrInet4)
	if !ok {
		d.close()
		return deadPort{}, fmt.Errorf("holding a dead port: the kernel says %T", name)
	}
	d.addr = fmt.Sprintf("127.0.0.1:%d", in.Port)
	return d, nil
}

// instead is the URL with the dead address in place of its own.
func (d deadPort) instead(live string) (string, error) {
	u, err := url.Parse(live)
	if err != nil || u.Scheme == "" {
		return "", fmt.Errorf("the dependency's address %q is not a URL: %w", live, err)
	}
	if u.Scheme == "unix" { // how go-redis names a socket
		u = &url.URL{Scheme: "redis"}
	}
	u.Host = d.addr
	query := u.Query()
	query.Del("host") // where PostgreSQL URLs name a unix socket
	query.Del("port")
	query.Del("socket") // where those of MariaDB do
	u.RawQuery = query.Encode()
	return u.String(), nil
}

func (d deadPort) close() { _ = unix.Close(d.fd) }
