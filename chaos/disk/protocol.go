package disk

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"shakedown/chaos"
)

// The harness and the process of a disk speak over a pair of sockets: one JSON message asks, one answers. The message that mounts
// carries the descriptor of /dev/fuse, so that the process needs no right to mount, and the harness may be any that has it.

// maxMessage bounds a message; a report has a bounded list of files.
const maxMessage = 64 << 10

type request struct {
	Do     string            `json:"do"` // mount, shape, clear, effects, counters, settle, lose
	ID     string            `json:"id,omitempty"`
	Effect *chaos.DiskEffect `json:"effect,omitempty"`
	Loss   *chaos.DiskLoss   `json:"loss,omitempty"`
}

type reply struct {
	Error    string              `json:"error,omitempty"`
	IDs      []string            `json:"ids,omitempty"`
	Counters *chaos.DiskCounters `json:"counters,omitempty"`
	Lost     *chaos.DiskLost     `json:"lost,omitempty"`
}

// Pair makes the two ends: one for New, and one that the process of the disk inherits.
func Pair() (harness *net.UnixConn, process *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("a pair of sockets: %w", err)
	}
	process = os.NewFile(uintptr(fds[1]), "disk")
	if harness, err = Inherited(os.NewFile(uintptr(fds[0]), "disk")); err != nil {
		return nil, nil, errors.Join(err, process.Close())
	}
	return harness, process, nil
}

// Inherited makes the connection of an inherited descriptor, which it takes over.
func Inherited(f *os.File) (*net.UnixConn, error) {
	defer func() { _ = f.Close() }()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("the control socket: %w", err)
	}
	conn, ok := c.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(errors.New("the control socket is no unix socket"), c.Close())
	}
	return conn, nil
}

func send(conn *net.UnixConn, message any, fd int) error {
	b, err := json.Marshal(message)
	if err != nil {
		return err
	}
	if len(b) > maxMessage {
		return fmt.Errorf("a message of %d bytes; at most %d", len(b), maxMessage)
	}
	var rights []byte
	if fd >= 0 {
		rights = syscall.UnixRights(fd)
	}
	_, _, err = conn.WriteMsgUnix(b, rights, nil)
	return err
}

// receive reads one message, and the descriptor that came with it, or −1.
func receive(conn *net.UnixConn, message any) (fd int, err error) {
	buf, oob := make([]byte, maxMessage), make([]byte, syscall.CmsgSpace(4))
	n, oobn, _, _, err := conn.ReadMsgUnix(buf, oob)
	if err != nil {
		return -1, err
	}
	if n == 0 {
		return -1, net.ErrClosed // the other end is gone
	}
	if fd, err = descriptor(oob[:oobn]); err != nil {
		return -1, err
	}
	return fd, json.Unmarshal(buf[:n], message)
}

func descriptor(oob []byte) (int, error) {
	messages, err := syscall.ParseSocketControlMessage(oob)
	if err != nil || len(messages) == 0 {
		return -1, err
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil || len(fds) == 0 {
		return -1, err
	}
	syscall.CloseOnExec(fds[0])
	return fds[0], nil
}
