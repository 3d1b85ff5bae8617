package disk

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"shakedown/chaos"
)

// remember is how long the kernel may believe what it was told of names and attributes: nobody else changes them.
const remember = time.Hour

// fileSystem is the store as the kernel speaks to it. One serves one mount.
//
// The kernel caches pages, so that reads and mappings are as fast as on any file system, but not writes: without write-back caching
// each write(2) comes here before it returns, and pages that were changed through a mapping come with msync(2), fsync(2), close(2) or
// the kernel's write-back.
type fileSystem struct {
	fuse.RawFileSystem
	s *store
	e *effects

	mu    sync.Mutex
	files map[uint64]*handle
	next  uint64
}

// handle is an open file or folder.
type handle struct {
	n       *inode
	f       *os.File
	name    string          // its path when it was opened
	durable bool            // opened with O_SYNC or O_DSYNC
	entries []fuse.DirEntry // of a folder, as of the last look from its beginning
}

func newFileSystem(s *store, e *effects) *fileSystem {
	return &fileSystem{RawFileSystem: fuse.NewDefaultRawFileSystem(), s: s, e: e, files: map[uint64]*handle{}}
}

// String names the file system.
func (*fileSystem) String() string { return "shakedown" }

// status is the error of a system call as the kernel wants it.
func status(err error) fuse.Status {
	var errno syscall.Errno
	switch {
	case err == nil:
		return fuse.OK
	case errors.As(err, &errno):
		return fuse.Status(errno)
	default:
		return fuse.EIO
	}
}

// until is a context that ends when the kernel gives the request up.
func until(cancel <-chan struct{}) (context.Context, context.CancelFunc) {
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		select {
		case <-cancel:
			stop()
		case <-ctx.Done():
		}
	}()
	return ctx, stop
}

// met lets effects act before a system call.
func (fs *fileSystem) met(cancel <-chan struct{}, o op, name string) (fails bool) {
	if fs.e.now.Load() == nil {
		return false
	}
	ctx, stop := until(cancel)
	defer stop()
	return fs.e.meet(ctx, o, name)
}

func (fs *fileSystem) open(n *inode, f *os.File, flags uint32) uint64 {
	name := fs.s.path(n)
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.next++
	fs.files[fs.next] = &handle{n: n, f: f, name: name, durable: flags&unix.O_DSYNC != 0} // which O_SYNC contains
	return fs.next
}

func (fs *fileSystem) handle(fh uint64) *handle {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.files[fh]
}

func (fs *fileSystem) closed(fh uint64) {
	fs.mu.Lock()
	h := fs.files[fh]
	delete(fs.files, fh)
	fs.mu.Unlock()
	if h != nil && h.f != nil {
		_ = h.f.Close()
	}
}

// closeAll closes what the kernel left open when its mount went.
func (fs *fileSystem) closeAll() {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for fh, h := range fs.files {
		if h.f != nil {
			_ = h.f.Close()
		}
		delete(fs.files, fh)
	}
}

// entry tells the kernel of an inode.
func entry(n *inode, out *fuse.EntryOut) fuse.Status {
	st, err := n.stat()
	if err != nil {
		return status(err)
	}
	out.NodeId, out.Generation = n.id, 1
	out.SetEntryTimeout(remember)
	out.SetAttrTimeout(remember)
	fromStat(&out.Attr, &st)
	return fuse.OK
}

func fromStat(a *fuse.Attr, st *unix.Stat_t) {
	*a = fuse.Attr{
		Ino: st.Ino, Size: uint64(st.Size), Blocks: uint64(st.Blocks),
		Atime: uint64(st.Atim.Sec), Mtime: uint64(st.Mtim.Sec), Ctime: uint64(st.Ctim.Sec),
		Atimensec: uint32(st.Atim.Nsec), Mtimensec: uint32(st.Mtim.Nsec), Ctimensec: uint32(st.Ctim.Nsec),
		Mode: st.Mode, Nlink: uint32(st.Nlink), Owner: fuse.Owner{Uid: st.Uid, Gid: st.Gid}, Rdev: uint32(st.Rdev), Blksize: uint32(st.Blksize),
	}
}

// made answers a call that makes an inode.
func (fs *fileSystem) made(parent uint64, out *fuse.EntryOut, do func(dir *inode) (*inode, error)) (*inode, fuse.Status) {
	dir, err := fs.s.inode(parent)
	if err != nil {
		return nil, status(err)
	}
	n, err := do(dir)
	if err != nil {
		return nil, status(err)
	}
	return n, entry(n, out)
}

func ownerOf(h *fuse.InHeader) *owner { return &owner{h.Uid, h.Gid} }

// Lookup finds a name.
func (fs *fileSystem) Lookup(_ <-chan struct{}, h *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	_, st := fs.made(h.NodeId, out, func(dir *inode) (*inode, error) { return fs.s.lookup(dir, name) })
	return st
}

// Forget lets go of an inode.
func (fs *fileSystem) Forget(id, times uint64) { fs.s.forget(id, times) }

// Create makes a regular file and opens it.
func (fs *fileSystem) Create(_ <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	n, st := fs.made(in.NodeId, &out.EntryOut, func(dir *inode) (*inode, error) {
		n, err := fs.s.create(dir, name, in.Mode&^unix.S_IFMT, ownerOf(&in.InHeader))
		if errors.Is(err, unix.EEXIST) && in.Flags&unix.O_EXCL == 0 {
			return fs.s.lookup(dir, name)
		}
		return n, err
	})
	if !st.Ok() {
		return st
	}
	return fs.openNode(n, in.Flags, &out.OpenOut)
}

// Mknod makes a special file, or a regular one.
func (fs *fileSystem) Mknod(_ <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	_, st := fs.made(in.NodeId, out, func(dir *inode) (*inode, error) {
		return fs.s.mknod(dir, name, in.Mode, int(in.Rdev), ownerOf(&in.InHeader))
	})
	return st
}

// Mkdir makes a folder.
func (fs *fileSystem) Mkdir(_ <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	_, st := fs.made(in.NodeId, out, func(dir *inode) (*inode, error) {
		return fs.s.mkdir(dir, name, in.Mode&0o7777, ownerOf(&in.InHeader))
	})
	return st
}

// Symlink makes a symbolic link.
func (fs *fileSystem) Symlink(_ <-chan struct{}, h *fuse.InHeader, target, name string, out *fuse.EntryOut) fuse.Status {
	_, st := fs.made(h.NodeId, out, func(dir *inode) (*inode, error) { return fs.s.symlink(dir, name, target, ownerOf(h)) })
	return st
}

// Link gives an inode one more name.
func (fs *fileSystem) Link(_ <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	_, st := fs.made(in.NodeId, out, func(dir *inode) (*inode, error) {
		n, err := fs.s.inode(in.Oldnodeid)
		if err != nil {
			return nil, err
		}
		return fs.s.link(n, dir, name)
	})
	return st
}

// Unlink takes a name away.
func (fs *fileSystem) Unlink(_ <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	return fs.remove(h, name, false)
}

// Rmdir takes the name of an empty folder away.
func (fs *fileSystem) Rmdir(_ <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	return fs.remove(h, name, true)
}

func (fs *fileSystem) remove(h *fuse.InHeader, name string, isDir bool) fuse.Status {
	dir, err := fs.s.inode(h.NodeId)
	if err != nil {
		return status(err)
	}
	return status(fs.s.remove(dir, name, isDir))
}

// Rename moves a name.
func (fs *fileSystem) Rename(_ <-chan struct{}, in *fuse.RenameIn, name, newName string) fuse.Status {
	from, err := fs.s.inode(in.NodeId)
	if err != nil {
		return status(err)
	}
	to, err := fs.s.inode(in.Newdir)
	if err != nil {
		return status(err)
	}
	return status(fs.s.rename(from, name, to, newName, in.Flags))
}

// Readlink is what a symbolic link says.
func (fs *fileSystem) Readlink(_ <-chan struct{}, h *fuse.InHeader) ([]byte, fuse.Status) {
	n, err := fs.s.inode(h.NodeId)
	if err != nil {
		return nil, status(err)
	}
	buf := make([]byte, unix.PathMax)
	size, err := unix.Readlinkat(n.fd, "", buf)
	if err != nil {
		return nil, status(err)
	}
	return buf[:size], fuse.OK
}

// GetAttr is stat(2).
func (fs *fileSystem) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	n, err := fs.s.inode(in.NodeId)
	if err != nil {
		return status(err)
	}
	return attributes(n, out)
}

func attributes(n *inode, out *fuse.AttrOut) fuse.Status {
	st, err := n.stat()
	if err != nil {
		return status(err)
	}
	out.SetTimeout(remember)
	fromStat(&out.Attr, &st)
	return fuse.OK
}

// SetAttr is chmod(2), chown(2), truncate(2) and utimensat(2).
func (fs *fileSystem) SetAttr(cancel <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	n, err := fs.s.inode(in.NodeId)
	if err != nil {
		return status(err)
	}
	if mode, ok := in.GetMode(); ok {
		err = errors.Join(err, unix.Chmod(n.proc(), mode))
	}
	uid, hasUID := in.GetUID()
	gid, hasGID := in.GetGID()
	if hasUID || hasGID {
		err = errors.Join(err, unix.Fchownat(n.fd, "", id(uid, hasUID), id(gid, hasGID), unix.AT_EMPTY_PATH|unix.AT_SYMLINK_NOFOLLOW))
	}
	if size, ok := in.GetSize(); ok {
		if fs.met(cancel, writing, fs.s.path(n)) {
			return fuse.EIO
		}
		var f *os.File
		if fh, ok := in.GetFh(); ok {
			if h := fs.handle(fh); h != nil {
				f = h.f
			}
		}
		err = errors.Join(err, fs.s.truncate(n, f, int64(size)))
	}
	if err == nil {
		err = setTimes(n, in)
	}
	if err != nil {
		return status(err)
	}
	return attributes(n, out)
}

func id(v uint32, set bool) int {
	if !set {
		return -1
	}
	return int(v)
}

func setTimes(n *inode, in *fuse.SetAttrIn) error {
	atime, hasA := in.GetATime()
	mtime, hasM := in.GetMTime()
	if !hasA && !hasM {
		return nil
	}
	times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Nsec: unix.UTIME_OMIT}}
	if hasA {
		times[0] = unix.NsecToTimespec(atime.UnixNano())
	}
	if hasM {
		times[1] = unix.NsecToTimespec(mtime.UnixNano())
	}
	return unix.UtimesNanoAt(unix.AT_FDCWD, n.proc(), times, 0)
}

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

// StatFs says what is left, also of a disk that is said to be full.
func (fs *fileSystem) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	var st unix.Statfs_t
	if err := unix.Fstatfs(fs.s.root.fd, &st); err != nil {
		return status(err)
	}
	*out = fuse.StatfsOut{
		Blocks: st.Blocks, Bfree: st.Bfree, Bavail: st.Bavail, Files: st.Files, Ffree: st.Ffree,
		Bsize: uint32(st.Bsize), NameLen: uint32(st.Namelen), Frsize: uint32(st.Frsize),
	}
	if left, bound := fs.s.room.get(); bound {
		out.Bavail = min(out.Bavail, uint64(max(left, 0))/uint64(st.Bsize))
		out.Bfree = out.Bavail
	}
	return fuse.OK
}

// OpenDir opens a folder.
func (fs *fileSystem) OpenDir(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	n, err := fs.s.inode(in.NodeId)
	if err != nil {
		return status(err)
	}
	f, err := n.open(unix.O_RDONLY | unix.O_DIRECTORY)
	if err != nil {
		return status(err)
	}
	out.Fh = fs.open(n, f, 0)
	return fuse.OK
}

// ReleaseDir closes a folder.
func (fs *fileSystem) ReleaseDir(in *fuse.ReleaseIn) { fs.closed(in.Fh) }

// FsyncDir puts the names of a folder on the disk.
func (fs *fileSystem) FsyncDir(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return fs.Fsync(cancel, in)
}

// ReadDir lists a folder as it was when it was last read from its beginning.
func (fs *fileSystem) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	h := fs.handle(in.Fh)
	if h == nil {
		return fuse.EBADF
	}
	fs.mu.Lock() // a folder that is read by two at once is read by one after the other
	defer fs.mu.Unlock()
	if in.Offset == 0 {
		entries, err := list(h.f)
		if err != nil {
			return status(err)
		}
		h.entries = entries
	}
	for i := int(in.Offset); i < len(h.entries); i++ {
		if !out.AddDirEntry(h.entries[i]) {
			break
		}
	}
	return fuse.OK
}

func list(f *os.File) ([]fuse.DirEntry, error) {
	if _, err := f.Seek(0, 0); err != nil {
		return nil, err
	}
	found, err := f.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	entries := []fuse.DirEntry{{Name: ".", Mode: unix.S_IFDIR}, {Name: "..", Mode: unix.S_IFDIR}}
	for _, e := range found {
		entries = append(entries, fuse.DirEntry{Name: e.Name(), Mode: typeOf(e.Type())})
	}
	for i := range entries {
		entries[i].Off = uint64(i + 1)
	}
	return entries, nil
}

func typeOf(m os.FileMode) uint32 {
	switch {
	case m.IsDir():
		return unix.S_IFDIR
	case m&os.ModeSymlink != 0:
		return unix.S_IFLNK
	case m&os.ModeSocket != 0:
		return unix.S_IFSOCK
	case m&os.ModeNamedPipe != 0:
		return unix.S_IFIFO
	default:
		return unix.S_IFREG
	}
}
