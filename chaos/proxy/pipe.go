package proxy

import (
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// pipeBytes is the size of a pipe, in the kernel's way to count: a place for each 4 KiB (pipe(7)). A place has what is contiguous in memory,
	// which of a fast sender is up to 32 KiB.
	pipeBytes = 1 << 20
	// mostPipes bounds the pipes of a loop; what does not find one is copied. They have as many places as Linux lets a user without privileges
	// have (pipe-user-pages-soft).
	mostPipes = 64
	// sparePipes bounds those that a loop keeps for later.
	sparePipes = 4
)

// A pipe has bytes in the kernel, in the memory in which they arrived: they are copied neither in nor out.
type pipe struct{ out, in int }

// pipes are those of a loop.
type pipes struct {
	free        *block
	spare, open int
}

// get is a block with an empty pipe, or nil when the loop has as many as it may, or the kernel gives none.
func (p *pipes) get() *block {
	if b := p.free; b != nil {
		p.free, b.next = b.next, nil
		p.spare--
		return b
	}
	if p.open == mostPipes {
		return nil
	}
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		return nil // EMFILE, ENFILE
	}
	_, _ = unix.FcntlInt(uintptr(fds[0]), unix.F_SETPIPE_SZ, pipeBytes) // beyond a user's share it stays smaller
	p.open++
	return &block{pipe: &pipe{out: fds[0], in: fds[1]}}
}

// put takes a block back. A pipe that is not empty has bytes of a stream that is over: it is closed.
func (p *pipes) put(b *block) {
	if b.off < b.end || p.spare == sparePipes {
		p.close(b)
		return
	}
	b.off, b.end, b.next = 0, 0, p.free
	p.free = b
	p.spare++
}

func (p *pipes) close(b *block) {
	closeSocket(b.pipe.out, false)
	closeSocket(b.pipe.in, false)
	p.open--
}

// shut closes those that are kept.
func (p *pipes) shut() {
	for b := p.free; b != nil; b = b.next {
		p.close(b)
	}
	p.free, p.spare = nil, 0
}

// splice moves what is there from a socket to a pipe, or from a pipe to a socket, up to n bytes. A socket that takes no more raises SIGPIPE,
// which the Go runtime ignores (os/signal).
func splice(from, to, n int) (int, syscall.Errno) {
	for {
		m, _, errno := syscall.RawSyscall6(unix.SYS_SPLICE, uintptr(from), 0, uintptr(to), 0, uintptr(n), unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		switch errno {
		case 0:
			return int(m), 0
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}
