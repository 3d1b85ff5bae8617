package disk

import (
	"errors"
	"os"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

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
