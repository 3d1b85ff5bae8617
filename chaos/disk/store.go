package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// journalInterval is how long the ordered reading keeps a change of names off the disk: ext4's journal commits every five seconds
// (ext4(5), commit).
const journalInterval = 5 * time.Second

// store is the backing folder with what is remembered of it. Its methods are system calls on inodes, and may be called from many
// goroutines; errors are those of the system call.
type store struct {
	graveFD int
	undoDir string
	rootDir string
	spill   *spill
	room    room
	now     func() time.Duration

	mu      sync.Mutex
	inodes  table
	root    *inode
	changes []change // not yet on the disk, in the ordered reading
	seq     uint64
	graves  int
}

// openStore opens the folder base, which gets data, the root of the file system, and undo, where what is remembered is kept. What an
// earlier store left in undo is removed.
func openStore(base string, now func() time.Duration) (*store, error) {
	s := &store{rootDir: filepath.Join(base, "data"), undoDir: filepath.Join(base, "undo"), now: now, graveFD: -1}
	if err := os.RemoveAll(s.undoDir); err != nil {
		return nil, fmt.Errorf("emptying %s: %w", s.undoDir, err)
	}
	for _, dir := range []string{s.rootDir, s.undoDir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("making %s: %w", dir, err)
		}
	}
	var err error
	if s.spill, err = newSpill(s.undoDir); err != nil {
		return nil, err
	}
	if s.graveFD, err = unix.Open(s.undoDir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err == nil {
		err = s.begin()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening %s: %w", base, err), s.close())
	}
	return s, nil
}

// begin starts with a table that holds the root only.
func (s *store) begin() error {
	s.inodes = table{byID: map[uint64]*inode{}, byIno: map[uint64]*inode{}}
	fd, err := unix.Open(s.rootDir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if s.root, err = s.inodes.adopt(fd); err != nil {
		return err
	}
	s.root.lookups = 1 // the kernel never forgets the root
	return nil
}

func (s *store) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.inodes.byID {
		_ = unix.Close(n.fd)
	}
	s.inodes = table{}
	if s.graveFD >= 0 {
		_ = unix.Close(s.graveFD)
		s.graveFD = -1
	}
	return s.spill.close()
}

// inode is the one that the kernel knows by the id.
func (s *store) inode(id uint64) (*inode, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.inodes.byID[id]; n != nil {
		return n, nil
	}
	return nil, unix.ESTALE
}

// path is where an inode was seen last.
func (s *store) path(n *inode) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return n.path()
}

// unsynced is the number of bytes that a loss would take now.
func (s *store) unsynced() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	lost, _ := s.count()
	return lost.Bytes
}

// told counts that the kernel has been told of the inode; forget takes it back.
func (s *store) told(n *inode) *inode {
	n.lookups++
	return n
}

func (s *store) forget(id, times uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.inodes.byID[id]
	if n == nil || n == s.root {
		return
	}
	n.lookups -= min(times, n.lookups)
	s.inodes.release(n, s.spill)
}

// lookup finds a name.
func (s *store) lookup(dir *inode, name string) (*inode, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.inodes.find(dir, name)
	if err != nil {
		return nil, err
	}
	return s.told(n), nil
}

// owner is whom a new inode belongs to; nil leaves it to the process.
type owner struct{ uid, gid uint32 }

func (o *owner) take(dir *inode, name string) error {
	if o == nil || os.Geteuid() != 0 {
		return nil
	}
	return unix.Fchownat(dir.fd, name, int(o.uid), int(o.gid), unix.AT_SYMLINK_NOFOLLOW)
}

// add makes a name for a new inode by the given system call, and notes the change.
func (s *store) add(dir *inode, name string, o *owner, do func() error) (*inode, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := do(); err != nil {
		return nil, err
	}
	if err := o.take(dir, name); err != nil {
		return nil, err
	}
	n, err := s.inodes.find(dir, name)
	if err != nil {
		return nil, err
	}
	s.note(change{dir: dir, name: name, after: n})
	return s.told(n), nil
}

// create makes a regular file, or fails when the name is taken.
func (s *store) create(dir *inode, name string, mode uint32, o *owner) (*inode, error) {
	return s.add(dir, name, o, func() error {
		fd, err := unix.Openat(dir.fd, name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, mode)
		if err != nil {
			return err
		}
		return errors.Join(unix.Fchmod(fd, mode), unix.Close(fd)) // the kernel has applied the caller's umask
	})
}

// mknod makes a special file.
func (s *store) mknod(dir *inode, name string, mode uint32, dev int, o *owner) (*inode, error) {
	return s.add(dir, name, o, func() error { return unix.Mknodat(dir.fd, name, mode, dev) })
}

// mkdir makes a folder.
func (s *store) mkdir(dir *inode, name string, mode uint32, o *owner) (*inode, error) {
	return s.add(dir, name, o, func() error {
		if err := unix.Mkdirat(dir.fd, name, mode); err != nil {
			return err
		}
		return unix.Fchmodat(dir.fd, name, mode, 0)
	})
}

// symlink makes a symbolic link.
func (s *store) symlink(dir *inode, name, target string, o *owner) (*inode, error) {
	return s.add(dir, name, o, func() error { return unix.Symlinkat(target, dir.fd, name) })
}

// link gives an inode one more name.
func (s *store) link(n *inode, dir *inode, name string) (*inode, error) {
	return s.add(dir, name, nil, func() error {
		if st, err := n.stat(); err != nil || st.Nlink == 0 {
			return errors.Join(err, unix.ENOENT) // its last name is gone, even if the graveyard has one
		}
		return unix.Linkat(unix.AT_FDCWD, n.proc(), dir.fd, name, unix.AT_SYMLINK_FOLLOW)
	})
}

// remove takes a name away: unlink(2), or rmdir(2) with isDir.
func (s *store) remove(dir *inode, name string, isDir bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.inodes.find(dir, name)
	if err != nil {
		return err
	}
	defer s.inodes.release(n, s.spill)
	switch {
	case isDir && !n.isDir():
		return unix.ENOTDIR
	case !isDir && n.isDir():
		return unix.EISDIR
	case isDir:
		if err := empty(n); err != nil {
			return err
		}
	}
	frees := n.frees()
	if err := s.takeAway(dir, name, n); err != nil {
		return err
	}
	s.room.give(frees)
	s.note(change{dir: dir, name: name, before: n})
	return nil
}

// empty fails with ENOTEMPTY for a folder that holds something.
func empty(n *inode) error {
	f, err := n.open(unix.O_RDONLY | unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if names, _ := f.Readdirnames(1); len(names) > 0 {
		return unix.ENOTEMPTY
	}
	return nil
}

// rename is renameat2(2).
func (s *store) rename(from *inode, name string, to *inode, newName string, flags uint32) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.inodes.find(from, name)
	if err != nil {
		return err
	}
	over, err := s.inodes.find(to, newName)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	n.parent, n.name = from, name // found last under its old name
	switch {
	case flags == unix.RENAME_EXCHANGE && over != nil:
		return s.exchange(from, name, n, to, newName, over)
	case flags == unix.RENAME_NOREPLACE && over != nil:
		return unix.EEXIST
	case flags != 0 && flags != unix.RENAME_NOREPLACE:
		return unix.EINVAL
	case over == n:
		return nil // rename(2): two names of one inode stay
	}
	if over != nil {
		defer s.inodes.release(over, s.spill)
		if err := mayReplace(n, over); err != nil {
			return err
		}
	}
	frees := int64(0)
	if over != nil {
		frees = over.frees()
		if err := s.takeAway(to, newName, over); err != nil {
			return err
		}
	}
	if err := unix.Renameat2(from.fd, name, to.fd, newName, 0); err != nil {
		if over != nil {
			err = errors.Join(err, s.putBack(place{to, newName}, over))
		}
		return err
	}
	s.room.give(frees)
	s.note(change{dir: from, name: name, before: n}, change{dir: to, name: newName, before: over, after: n})
	n.parent, n.name = to, newName
	s.settleMoved(n, from, name, to, newName)
	return nil
}

func mayReplace(n, over *inode) error {
	switch {
	case n.isDir() && !over.isDir():
		return unix.ENOTDIR
	case !n.isDir() && over.isDir():
		return unix.EISDIR
	case over.isDir():
		return empty(over)
	}
	return nil
}

// exchange swaps what two names stand for.
func (s *store) exchange(from *inode, name string, n *inode, to *inode, newName string, over *inode) error {
	if err := unix.Renameat2(from.fd, name, to.fd, newName, unix.RENAME_EXCHANGE); err != nil {
		return err
	}
	s.note(change{dir: from, name: name, before: n, after: over}, change{dir: to, name: newName, before: over, after: n})
	n.parent, n.name, over.parent, over.name = to, newName, from, name
	s.settleMoved(n, from, name, to, newName)
	s.settleMoved(over, from, name, to, newName)
	return nil
}

// openFile opens a regular file: for writing also for reading, because what is overwritten is read first.
func (s *store) openFile(n *inode, flags int) (*os.File, error) {
	flags &^= unix.O_APPEND | unix.O_DIRECT | unix.O_CREAT | unix.O_EXCL | unix.O_TRUNC | unix.O_NOFOLLOW | unix.O_NOCTTY
	if flags&unix.O_ACCMODE == unix.O_WRONLY {
		flags = flags&^unix.O_ACCMODE | unix.O_RDWR
	}
	return n.open(flags)
}

// truncate sets the size of a file through an open descriptor, or without one.
func (s *store) truncate(n *inode, f *os.File, size int64) error {
	if f == nil {
		var err error
		if f, err = n.open(unix.O_RDWR); err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
	}
	return n.truncate(s.spill, &s.room, f, size)
}

// sync puts a file or folder on the disk. f is any descriptor of it.
func (s *store) sync(n *inode, f *os.File) error {
	if n.isRegular() {
		if err := n.sync(s.spill, f); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settleThrough(n.last)
	if n.isDir() {
		s.settleStrict(n)
	}
	return nil
}

// syncAll puts everything on the disk.
func (s *store) syncAll() error {
	s.mu.Lock()
	var files []*inode
	for _, n := range s.inodes.byID {
		if n.isRegular() && n.busy() {
			files = append(files, n)
		}
	}
	s.mu.Unlock()
	var errs []error
	for _, n := range files {
		errs = append(errs, s.syncContent(n))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settleThrough(s.seq)
	for _, n := range s.inodes.byID {
		if n.isDir() {
			s.settleStrict(n)
		}
		s.inodes.release(n, s.spill)
	}
	return errors.Join(errs...)
}

func (s *store) syncContent(n *inode) error {
	f, err := n.open(unix.O_RDONLY)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return n.sync(s.spill, f)
}

// tick commits the changes of names that are older than the journal's interval.
func (s *store) tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	through, before := uint64(0), s.now()-journalInterval
	for _, c := range s.changes {
		if c.at <= before {
			through = c.seq
		}
	}
	s.settleThrough(through)
}
