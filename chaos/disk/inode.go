package disk

import (
	"fmt"
	"os"
	"path"
	"strconv"

	"golang.org/x/sys/unix"
)

// An inode is a file, folder or link of the backing file system that the kernel or the store still speaks of. All but its content
// is guarded by the store's mutex.
type inode struct {
	content // of a regular file

	id      uint64 // by which the kernel knows it; the root is 1
	ino     uint64 // of the backing file system
	mode    uint32 // its type: unix.S_IFREG …
	fd      int    // an O_PATH descriptor: it leads to the inode wherever its names are
	lookups uint64 // how often the kernel has been told of it and has not forgotten it
	pins    int    // changes of names that would give it a name again
	grave   string // its name in the graveyard; "" when it has none

	// parent and name are where it was seen last, for reports and patterns only.
	parent *inode
	name   string

	last uint64 // the last change of names that speaks of it
	// durable are the names in this folder that the strict reading has on the disk otherwise than readers see them: what they stand
	// for there, nil for nothing.
	durable map[string]*inode
}

func (n *inode) isDir() bool     { return n.mode == unix.S_IFDIR }
func (n *inode) isRegular() bool { return n.mode == unix.S_IFREG }

// proc is a path that leads to the inode, for calls that take no descriptor of this kind.
func (n *inode) proc() string { return "/proc/self/fd/" + strconv.Itoa(n.fd) }

// open opens the inode itself, with the given flags of open(2).
func (n *inode) open(flags int) (*os.File, error) {
	fd, err := unix.Open(n.proc(), flags|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), n.name), nil
}

// path is where it was seen last, from the root of the file system.
func (n *inode) path() string {
	if n.parent == nil {
		return n.name
	}
	return path.Join(n.parent.path(), n.name)
}

func (n *inode) stat() (unix.Stat_t, error) {
	var st unix.Stat_t
	err := unix.Fstatat(n.fd, "", &st, unix.AT_EMPTY_PATH)
	if n.grave != "" && st.Nlink > 0 && !n.isDir() {
		st.Nlink-- // the name in the graveyard is nobody's business
	}
	return st, err
}

// frees is the room that comes free when a name of the inode goes: all of a regular file with its last name.
func (n *inode) frees() int64 {
	st, err := n.stat()
	if err != nil || st.Nlink != 1 || !n.isRegular() {
		return 0
	}
	return st.Size
}

// removed says whether the last name of a folder is gone.
func (n *inode) removed() bool {
	st, err := n.stat()
	return err != nil || st.Nlink == 0
}

// table are the inodes that are spoken of.
type table struct {
	byID  map[uint64]*inode
	byIno map[uint64]*inode
	next  uint64
	dev   uint64
}

// find is the inode that a name in a folder stands for, opened if it was not known.
func (t *table) find(dir *inode, name string) (*inode, error) {
	fd, err := unix.Openat(dir.fd, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	n, err := t.adopt(fd)
	if err != nil {
		return nil, err
	}
	n.parent, n.name = dir, name
	return n, nil
}

// adopt takes over an O_PATH descriptor.
func (t *table) adopt(fd int) (*inode, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	if n := t.byIno[st.Ino]; n != nil {
		_ = unix.Close(fd)
		return n, nil
	}
	if t.dev == 0 {
		t.dev = st.Dev
	}
	if st.Dev != t.dev {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("another file system is mounted in it: %w", unix.EXDEV)
	}
	t.next++
	n := &inode{id: t.next, ino: st.Ino, mode: st.Mode & unix.S_IFMT, fd: fd}
	t.byID[n.id], t.byIno[n.ino] = n, n
	return n, nil
}

// release forgets the inode when nothing speaks of it any more.
func (t *table) release(n *inode, s *spill) {
	if t.byID[n.id] != n || n.lookups > 0 || n.pins > 0 || n.grave != "" || len(n.durable) > 0 {
		return
	}
	st, err := n.stat()
	if err == nil && st.Nlink > 0 && n.busy() {
		return // it has a name, and unsynced content
	}
	n.forget(s)
	delete(t.byID, n.id)
	delete(t.byIno, n.ino)
	_ = unix.Close(n.fd)
}

// busy says whether the disk holds something else of its content than readers see.
func (c *content) busy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dirty
}
