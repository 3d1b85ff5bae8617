package wire

import (
	"fmt"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"shakedown/internal/clock"
)

// What of io_uring's interface is used here (io_uring_setup(2), io_uring_enter(2), and the kernel's include/uapi/linux/io_uring.h).
const (
	setupCQSize       = 1 << 3
	setupClamp        = 1 << 4
	setupDisabled     = 1 << 6
	setupSingleIssuer = 1 << 12
	setupDeferTaskrun = 1 << 13
	setupNoSQArray    = 1 << 16

	featSingleMmap = 1 << 0
	featExtArg     = 1 << 8

	enterGetEvents = 1 << 0
	enterExtArg    = 1 << 3

	registerEnableRings = 12
	registerPbufRing    = 22

	offSQRing = 0
	offSQEs   = 0x10000000

	opRecvmsg = 10
	opConnect = 16
	opSend    = 26

	sqeBufferSelect = 1 << 5
	sqeSkipSuccess  = 1 << 6
	recvMultishot   = 1 << 1

	cqeBuffer = 1 << 0
	cqeMore   = 1 << 1
)

type uringParams struct {
	sqEntries, cqEntries, flags, sqThreadCPU, sqThreadIdle, features, wqFD uint32
	_                                                                      [3]uint32
	sq                                                                     struct {
		head, tail, mask, entries, flags, dropped, array, _ uint32
		_                                                   uint64
	}
	cq struct {
		head, tail, mask, entries, overflow, cqes, flags, _ uint32
		_                                                   uint64
	}
}

type sqe struct {
	opcode, flags uint8
	ioprio        uint16
	fd            int32
	off           uint64 // of a connect: the length of the address
	addr          uint64
	len           uint32
	opFlags       uint32
	user          uint64
	group         uint16
	_             uint16
	_             uint32
	_             [2]uint64
}

type cqe struct {
	user  uint64
	res   int32
	flags uint32
}

// A uring transport receives by multishot requests into buffers that the kernel chooses, and sends what is due, waits and
// learns of everything that happened in one system call.
type uring struct {
	l    *Loop
	fd   int
	ring []byte
	sqes []sqe

	sqTail, sqHead *uint32
	sqMask         uint32
	queued         uint32 // requests that the kernel has not seen

	cqHead, cqTail *uint32
	cqMask         uint32
	cqes           []cqe

	bufs    []byte
	bufRing []bufEntry
	bufTail uint16

	stamps stamps
	msg    unix.Msghdr // of every receive: room for a time stamp
}

// A bufEntry is struct io_uring_buf; the last field of the first one is the ring's tail.
type bufEntry struct {
	addr uint64
	len  uint32
	id   uint16
	tail uint16
}

const (
	sqEntries = 128
	cqEntries = 1024
	bufCount  = 128
	bufSize   = 4 << 10
	// bigSend is from where on a request may not fit into the socket at once, and its end has to be waited for.
	bigSend = 8 << 10
)

// A recvmsgOut is before the control message and the payload in a buffer.
type recvmsgOut struct{ nameLen, controlLen, payloadLen, flags uint32 }

const (
	controlSize = unix.SizeofCmsghdr + int(unsafe.Sizeof(unix.Timespec{}))
	payloadAt   = int(unsafe.Sizeof(recvmsgOut{})) + controlSize
)

// The user data of a request: what it is, and of which connection.
const (
	tagRecv = iota
	tagSend
	tagConnect
)

func userData(tag int, c *conn) uint64 {
	return uint64(tag)<<56 | uint64(c.id)<<32 | uint64(c.gen)
}

func newUring(l *Loop) (t transport, err error) {
	p := uringParams{
		flags:     setupCQSize | setupClamp | setupDisabled | setupSingleIssuer | setupDeferTaskrun | setupNoSQArray,
		cqEntries: cqEntries,
	}
	fd, _, errno := syscall.Syscall(unix.SYS_IO_URING_SETUP, sqEntries, uintptr(unsafe.Pointer(&p)), 0)
	if errno != 0 {
		return nil, fmt.Errorf("io_uring_setup: %w", errno)
	}
	u := &uring{l: l, fd: int(fd)}
	defer func() {
		if err != nil {
			u.shut()
		}
	}()
	if p.features&featSingleMmap == 0 || p.features&featExtArg == 0 {
		return nil, fmt.Errorf("io_uring: the kernel is too old (features %#x)", p.features)
	}
	if err := u.mapRings(&p); err != nil {
		return nil, err
	}
	if err := u.provideBuffers(); err != nil {
		return nil, err
	}
	u.msg.SetControllen(controlSize)
	return u, nil
}

func (u *uring) mapRings(p *uringParams) (err error) {
	size := int(p.cq.cqes) + int(p.cqEntries)*int(unsafe.Sizeof(cqe{}))
	if u.ring, err = unix.Mmap(u.fd, offSQRing, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE); err != nil {
		return fmt.Errorf("io_uring: mapping the rings: %w", err)
	}
	sqes, err := unix.Mmap(u.fd, offSQEs, int(p.sqEntries)*int(unsafe.Sizeof(sqe{})), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return fmt.Errorf("io_uring: mapping the submission queue: %w", err)
	}
	at := func(off uint32) *uint32 { return (*uint32)(unsafe.Pointer(&u.ring[off])) }
	u.sqes = unsafe.Slice((*sqe)(unsafe.Pointer(&sqes[0])), p.sqEntries)
	u.sqHead, u.sqTail, u.sqMask = at(p.sq.head), at(p.sq.tail), *at(p.sq.mask)
	u.cqHead, u.cqTail, u.cqMask = at(p.cq.head), at(p.cq.tail), *at(p.cq.mask)
	u.cqes = unsafe.Slice((*cqe)(unsafe.Pointer(&u.ring[p.cq.cqes])), p.cqEntries)
	return nil
}

// provideBuffers gives the kernel a ring of buffers to receive into.
func (u *uring) provideBuffers() (err error) {
	const ringSize = bufCount * int(unsafe.Sizeof(bufEntry{}))
	if u.bufs, err = unix.Mmap(-1, 0, ringSize+bufCount*bufSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON); err != nil {
		return fmt.Errorf("io_uring: buffers: %w", err)
	}
	u.bufRing = unsafe.Slice((*bufEntry)(unsafe.Pointer(&u.bufs[0])), bufCount)
	reg := struct {
		addr    uint64
		entries uint32
		group   uint16
		flags   uint16
		_       [3]uint64
	}{addr: uint64(uintptr(unsafe.Pointer(&u.bufs[0]))), entries: bufCount}
	if err := u.register(registerPbufRing, unsafe.Pointer(&reg), 1); err != nil {
		return err
	}
	for id := range bufCount {
		u.recycle(uint16(id))
	}
	u.published()
	return nil
}

func (u *uring) register(op uintptr, arg unsafe.Pointer, n uintptr) error {
	if _, _, errno := syscall.Syscall6(unix.SYS_IO_URING_REGISTER, uintptr(u.fd), op, uintptr(arg), n, 0, 0); errno != 0 {
		return fmt.Errorf("io_uring_register(%d): %w", op, errno)
	}
	return nil
}

// buffer is the memory of one buffer.
func (u *uring) buffer(id uint16) []byte {
	at := bufCount*int(unsafe.Sizeof(bufEntry{})) + int(id)*bufSize
	return u.bufs[at : at+bufSize]
}

// recycle gives a buffer back to the kernel, which sees it once it is published.
func (u *uring) recycle(id uint16) {
	e := &u.bufRing[u.bufTail&(bufCount-1)]
	e.addr, e.len, e.id = uint64(uintptr(unsafe.Pointer(&u.buffer(id)[0]))), bufSize, id
	u.bufTail++
}

// published lets the kernel see what was recycled. The tail shares a word with the first entry's id, which only we write.
func (u *uring) published() {
	word := (*uint32)(unsafe.Pointer(&u.bufRing[0].id))
	atomic.StoreUint32(word, uint32(u.bufRing[0].id)|uint32(u.bufTail)<<16)
}

// start lets the calling thread, and no other, use the ring.
func (u *uring) start() error { return u.register(registerEnableRings, nil, 0) }

func (u *uring) shut() {
	_ = unix.Close(u.fd)
	if u.ring != nil {
		_ = unix.Munmap(u.ring)
	}
	if u.sqes != nil {
		_ = unix.Munmap(unsafe.Slice((*byte)(unsafe.Pointer(&u.sqes[0])), len(u.sqes)*int(unsafe.Sizeof(sqe{}))))
	}
	if u.bufs != nil {
		_ = unix.Munmap(u.bufs)
	}
}

// next is an empty request, which is the kernel's at the next enter.
func (u *uring) next() *sqe {
	if u.queued == uint32(len(u.sqes)) {
		u.enter(0, 0, 0)
	}
	tail := *u.sqTail
	s := &u.sqes[tail&u.sqMask]
	*s = sqe{}
	atomic.StoreUint32(u.sqTail, tail+1)
	u.queued++
	return s
}

// enter submits what is queued, and waits for so many completions or until the time has passed.
func (u *uring) enter(complete uint32, flags uintptr, wait time.Duration) {
	ts := unix.NsecToTimespec(int64(wait))
	arg := struct {
		sigmask   uint64
		sigmaskSz uint32
		minWait   uint32
		ts        uint64
	}{ts: uint64(uintptr(unsafe.Pointer(&ts)))}
	n, _, errno := syscall.RawSyscall6(unix.SYS_IO_URING_ENTER, uintptr(u.fd), uintptr(u.queued), uintptr(complete), flags|enterExtArg,
		uintptr(unsafe.Pointer(&arg)), unsafe.Sizeof(arg))
	if errno == 0 {
		u.queued -= uint32(n)
		return
	}
	u.queued = *u.sqTail - atomic.LoadUint32(u.sqHead) // a time-out or a signal: what was submitted is not said
}

func (u *uring) dial(c *conn, to *endpoint) error {
	fd, err := socket(c, to, 0)
	if err != nil {
		return err
	}
	c.fd = fd
	s := u.next()
	s.opcode, s.fd, s.user = opConnect, int32(fd), userData(tagConnect, c)
	s.addr, s.off = uint64(uintptr(unsafe.Pointer(&to.sockaddr[0]))), uint64(len(to.sockaddr))
	return nil
}

// flush queues the request. A small one fits into the socket, so that its success goes without saying.
func (u *uring) flush(c *conn) {
	b := c.out[c.off:]
	s := u.next()
	s.opcode, s.fd, s.user = opSend, int32(c.fd), userData(tagSend, c)
	s.addr, s.len, s.opFlags = uint64(uintptr(unsafe.Pointer(&b[0]))), uint32(len(b)), unix.MSG_NOSIGNAL|unix.MSG_WAITALL
	if len(b) < bigSend {
		s.flags = sqeSkipSuccess
		c.off = len(c.out)
	}
	c.x.left = true
}

// receive arms the connection.
func (u *uring) receive(c *conn) {
	s := u.next()
	s.opcode, s.flags, s.ioprio = opRecvmsg, sqeBufferSelect, recvMultishot
	s.fd, s.user = int32(c.fd), userData(tagRecv, c)
	s.addr, s.len = uint64(uintptr(unsafe.Pointer(&u.msg))), 1
}

// close ends the connection, and with it what the kernel still had to do for it.
func (u *uring) close(c *conn, abrupt bool) {
	if u.queued > 0 { // what is queued for this descriptor must not meet another that gets its number
		u.enter(0, 0, 0)
	}
	if c.off < len(c.out) {
		c.out = nil // the kernel may still be reading it
	}
	if abrupt {
		unspec := [2]byte{} // AF_UNSPEC: the connection is dissolved, with a reset (connect(2))
		_, _, _ = syscall.RawSyscall(unix.SYS_CONNECT, uintptr(c.fd), uintptr(unsafe.Pointer(&unspec[0])), 16)
	}
	_, _, _ = syscall.RawSyscall(unix.SYS_SHUTDOWN, uintptr(c.fd), unix.SHUT_RDWR, 0)
	_, _, _ = syscall.RawSyscall(unix.SYS_CLOSE, uintptr(c.fd), 0, 0)
}

func (u *uring) wait(until time.Duration, events int) {
	if events < all {
		u.enter(uint32(events), enterGetEvents, max(until-(clock.Now()-u.l.o.Zero), 0))
		u.tell()
		return
	}
	for range burst/perEnter + 1 { // those of a burst
		u.enter(0, enterGetEvents, 0)
		if u.tell(); !u.l.unread {
			break
		}
	}
	if u.l.calm() && !u.l.unread && u.queued == 0 {
		sleep(u.l.o.Zero + until)
		u.l.unread = true
	}
}

// tell tells what has happened.
func (u *uring) tell() {
	head, tail := *u.cqHead, atomic.LoadUint32(u.cqTail)
	u.l.unread = tail-head >= perEnter
	if head == tail {
		return
	}
	u.stamps.align()
	u.l.look()
	for ; head != tail; head++ {
		u.completed(&u.cqes[head&u.cqMask])
	}
	atomic.StoreUint32(u.cqHead, head)
	u.published()
}

// perEnter is how many answers a kernel from 6.13 on takes from their sockets in a call that does not wait for more
// (IO_LOCAL_TW_DEFAULT_MAX). It does no harm: what is sent next goes out by connections that are in the core's caches.
const perEnter = 20

func (u *uring) completed(e *cqe) {
	c := u.l.byID(int32(e.user>>32&0xffffff), uint32(e.user))
	switch int(e.user >> 56) {
	case tagRecv:
		u.received(c, e)
	case tagConnect:
		if c == nil {
			return
		}
		if e.res < 0 {
			u.l.connected(c, syscall.Errno(-e.res))
			return
		}
		u.l.connected(c, nil)
		if c.fd >= 0 {
			u.receive(c)
		}
	case tagSend:
		switch {
		case c == nil || c.x == nil:
		case e.res >= 0:
			u.l.wrote(c, int(e.res), nil)
		default:
			c.x.left = c.resp.began
			u.l.wrote(c, 0, syscall.Errno(-e.res))
		}
	}
}

func (u *uring) received(c *conn, e *cqe) {
	id := uint16(e.flags >> 16)
	if c != nil {
		gen := c.gen
		switch {
		case e.res == -int32(unix.ENOBUFS):
		case e.res < 0:
			u.l.closed(c, syscall.Errno(-e.res))
		case e.flags&cqeBuffer == 0:
			u.l.closed(c, nil)
		default:
			b := u.buffer(id)
			out := (*recvmsgOut)(unsafe.Pointer(&b[0]))
			if out.payloadLen == 0 {
				u.l.closed(c, nil)
				break
			}
			at := u.stamps.stamp(b[unsafe.Sizeof(*out):payloadAt][:min(out.controlLen, uint32(controlSize))])
			u.l.received(c, b[payloadAt:payloadAt+int(out.payloadLen)], at-u.l.o.Zero)
		}
		if e.flags&cqeMore == 0 && c.gen == gen && c.fd >= 0 {
			u.receive(c) // the buffers had run out
		}
	}
	if e.flags&cqeBuffer != 0 {
		u.recycle(id)
	}
}
