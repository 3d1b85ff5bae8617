package disk

import (
	"errors"
	"sync/atomic"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"shakedown/chaos"
)

// Open opens a file.
func (fs *fileSystem) Open(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	n, err := fs.s.inode(in.NodeId)
	if err != nil {
		return status(err)
	}
	return fs.openNode(n, in.Flags, out)
}

func (fs *fileSystem) openNode(n *inode, flags uint32, out *fuse.OpenOut) fuse.Status {
	f, err := fs.s.openFile(n, int(flags))
	if err != nil {
		return status(err)
	}
	if flags&unix.O_TRUNC != 0 && n.isRegular() {
		if err := fs.s.truncate(n, f, 0); err != nil {
			_ = f.Close()
			return status(err)
		}
	}
	out.Fh, out.OpenFlags = fs.open(n, f, flags), fuse.FOPEN_KEEP_CACHE
	return fuse.OK
}

// Release closes a file.
func (fs *fileSystem) Release(_ <-chan struct{}, in *fuse.ReleaseIn) { fs.closed(in.Fh) }

// Read reads what the page cache does not have.
func (fs *fileSystem) Read(cancel <-chan struct{}, in *fuse.ReadIn, _ []byte) (fuse.ReadResult, fuse.Status) {
	h := fs.handle(in.Fh)
	if h == nil {
		return nil, fuse.EBADF
	}
	h.count(&fs.e.count.reads, 1)
	if fs.met(cancel, reading, h.name) {
		return nil, fuse.EIO
	}
	return fuse.ReadResultFd(h.f.Fd(), int64(in.Offset), int(in.Size)), fuse.OK
}

// canaryFile is written before a power loss to prove it. No effect acts on it. Like the probe's file it is in the root.
const canaryFile = ".shakedown-canary"

// ours says whether a file is no part of the data.
func ours(name string) bool { return name == canaryFile || name == chaos.DiskProbeFile }

// count leaves what is not data out.
func (h *handle) count(c *atomic.Int64, by int64) {
	if !ours(h.name) {
		c.Add(by)
	}
}

// Write writes.
func (fs *fileSystem) Write(cancel <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	h := fs.handle(in.Fh)
	if h == nil {
		return 0, fuse.EBADF
	}
	h.count(&fs.e.count.writes, 1)
	if fs.met(cancel, writing, h.name) {
		return 0, fuse.EIO
	}
	n, err := h.n.write(fs.s.spill, &fs.s.room, h.f, data, int64(in.Offset))
	h.count(&fs.e.count.bytes, int64(n))
	if errors.Is(err, unix.ENOSPC) {
		h.count(&fs.e.count.refused, 1)
	}
	if err == nil && (h.durable || in.Flags&unix.O_DSYNC != 0) {
		err = fs.sync(cancel, h)
	}
	return uint32(n), status(err)
}

// Fsync puts a file on the disk.
func (fs *fileSystem) Fsync(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	h := fs.handle(in.Fh)
	if h == nil {
		return fuse.EBADF
	}
	return status(fs.sync(cancel, h))
}

// sync commits before the backing file system does: what is asked for may be on the disk before the answer says so, and what the
// backing file system's own sync costs belongs to the answer.
func (fs *fileSystem) sync(cancel <-chan struct{}, h *handle) error {
	h.count(&fs.e.count.syncs, 1)
	if fs.met(cancel, syncing, h.name) {
		return errors.Join(eio, h.n.failSync(fs.s.spill, h.f))
	}
	if err := fs.s.sync(h.n, h.f); err != nil {
		return err
	}
	return unix.Fsync(int(h.f.Fd()))
}

// Flush does nothing: a close is no sync. With this answer the kernel does not ask again.
func (*fileSystem) Flush(<-chan struct{}, *fuse.FlushIn) fuse.Status { return fuse.ENOSYS }

// Fallocate is fallocate(2).
func (fs *fileSystem) Fallocate(cancel <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	h := fs.handle(in.Fh)
	if h == nil {
		return fuse.EBADF
	}
	if fs.met(cancel, writing, h.name) {
		return fuse.EIO
	}
	err := h.n.allocate(fs.s.spill, &fs.s.room, h.f, in.Mode, int64(in.Offset), int64(in.Length))
	if errors.Is(err, unix.ENOSPC) {
		h.count(&fs.e.count.refused, 1)
	}
	return status(err)
}

// Lseek finds holes and data.
func (fs *fileSystem) Lseek(_ <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) fuse.Status {
	h := fs.handle(in.Fh)
	if h == nil {
		return fuse.EBADF
	}
	off, err := h.f.Seek(int64(in.Offset), int(in.Whence))
	out.Offset = uint64(off)
	return status(err)
}
