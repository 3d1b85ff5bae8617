package disk

import (
	"errors"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

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
