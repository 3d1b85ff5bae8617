package disk

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// A change is of what one name stands for. Changes that one system call makes have one number each, in order.
type change struct {
	seq           uint64
	at            time.Duration
	dir           *inode
	name          string
	before, after *inode // nil: nothing
}

// note takes down, once it has happened, that names stand for something else now. One system call makes one note, which the disk
// has as a whole or not at all. Both readings are told.
func (s *store) note(changes ...change) {
	s.seq++
	for _, c := range changes {
		c.seq, c.at = s.seq, s.now()
		s.changes = append(s.changes, c)
		for _, n := range []*inode{c.dir, c.before, c.after} {
			if n != nil {
				n.pins++
				n.last = s.seq
			}
		}
		s.noteStrict(c.dir, c.name, c.before, c.after)
	}
}

// noteStrict keeps the oldest of what a name stood for, unless it stands for that again.
func (s *store) noteStrict(dir *inode, name string, before, after *inode) {
	was, known := dir.durable[name]
	if !known {
		if dir.durable == nil {
			dir.durable = map[string]*inode{}
		}
		dir.durable[name] = before
		if before != nil {
			before.pins++
		}
		was = before
	}
	if was == after {
		s.settleName(dir, name)
	}
}

// settleThrough commits the changes up to a number: the disk has them, and what they replaced is let go.
func (s *store) settleThrough(seq uint64) {
	n := 0
	for n < len(s.changes) && s.changes[n].seq <= seq {
		n++
	}
	settled := s.changes[:n]
	s.changes = s.changes[n:]
	if len(s.changes) == 0 {
		s.changes = nil // and its memory
	}
	for _, c := range settled {
		for _, n := range []*inode{c.before, c.after, c.dir} {
			s.unpin(n)
		}
	}
}

// settleStrict commits all names of a folder.
func (s *store) settleStrict(dir *inode) {
	for name := range dir.durable {
		s.settleName(dir, name)
	}
}

func (s *store) settleName(dir *inode, name string) {
	n, ok := dir.durable[name]
	if !ok {
		return
	}
	delete(dir.durable, name)
	s.unpin(n)
	s.inodes.release(dir, s.spill)
}

// settleMoved commits the names of a folder that has moved to another folder, in the strict reading: a folder has one parent, and
// the disk must not have it in both or in the one that it has left.
func (s *store) settleMoved(n *inode, from *inode, name string, to *inode, newName string) {
	if !n.isDir() || from == to {
		return
	}
	s.settleName(from, name)
	s.settleName(to, newName)
	for _, dir := range []*inode{from, to} {
		for at, was := range dir.durable {
			if was == n {
				s.settleName(dir, at)
			}
		}
	}
}

// unpin lets go of an inode, and of its place in the graveyard with the last pin.
func (s *store) unpin(n *inode) {
	if n == nil {
		return
	}
	if n.pins--; n.pins > 0 {
		return
	}
	if n.grave != "" {
		flags := 0
		if n.isDir() {
			flags = unix.AT_REMOVEDIR
		}
		_ = unix.Unlinkat(s.graveFD, n.grave, flags) // at worst it stays until the store is opened again
		n.grave = ""
		s.settleStrict(n) // names in a folder that is gone
	}
	s.inodes.release(n, s.spill)
}

// takeAway removes a name. Its inode moves to the graveyard, from which the disk may want it back, unless it is there already.
func (s *store) takeAway(dir *inode, name string, n *inode) error {
	if n.grave != "" {
		return unix.Unlinkat(dir.fd, name, 0) // one of several names; a folder has one
	}
	grave := s.newGrave()
	err := unix.Renameat(dir.fd, name, s.graveFD, grave)
	if err == nil {
		n.grave = grave
	}
	return err
}

// keep gives an inode that is no folder a name in the graveyard beside those it has.
func (s *store) keep(n *inode) error {
	if n.grave != "" || n.isDir() {
		return nil
	}
	grave := s.newGrave()
	err := unix.Linkat(unix.AT_FDCWD, n.proc(), s.graveFD, grave, unix.AT_SYMLINK_FOLLOW)
	if err == nil {
		n.grave = grave
	}
	return err
}

func (s *store) newGrave() string {
	s.graves++
	return strconv.Itoa(s.graves)
}

// place is where a name is.
type place struct {
	dir  *inode
	name string
}

// onDisk is what changed names stand for on the disk.
func (s *store) onDisk(strict bool) map[place]*inode {
	names := map[place]*inode{}
	if !strict {
		for _, c := range s.changes {
			if at := (place{c.dir, c.name}); !has(names, at) {
				names[at] = c.before
			}
		}
		return names
	}
	for _, n := range s.inodes.byID {
		for name, was := range n.durable {
			names[place{n, name}] = was
		}
	}
	return names
}

func has[K comparable, V any](m map[K]V, k K) bool {
	_, ok := m[k]
	return ok
}

// loseNames gives every name back what it stands for on the disk. It says how many names are other ones now.
func (s *store) loseNames(names map[place]*inode) (changed int, err error) {
	var errs []error
	needed := map[*inode]bool{}
	for at, want := range names {
		now, err := s.inodes.find(at.dir, at.name)
		if err == nil && now == want || errors.Is(err, unix.ENOENT) && want == nil {
			delete(names, at) // it changed, and changed back
			continue
		}
		if want != nil {
			needed[want] = true
			errs = append(errs, s.keep(want)) // it may be below something that goes
		}
	}
	var folders []place
	for at := range names {
		now, err := s.inodes.find(at.dir, at.name)
		switch {
		case err == nil && now.isDir() && !needed[now]:
			folders = append(folders, at)
		case err == nil:
			errs = append(errs, s.takeAway(at.dir, at.name, now))
		}
	}
	for _, at := range folders { // what is needed is out of them
		errs = append(errs, removeAllAt(at.dir.fd, at.name))
	}
	for at, want := range names {
		if want != nil && !at.dir.removed() {
			errs = append(errs, s.putBack(at, want))
		}
	}
	return len(names), errors.Join(errs...)
}

// putBack gives an inode a name again.
func (s *store) putBack(at place, n *inode) error {
	if !n.isDir() {
		return unix.Linkat(unix.AT_FDCWD, n.proc(), at.dir.fd, at.name, unix.AT_SYMLINK_FOLLOW)
	}
	if n.grave == "" {
		return fmt.Errorf("the folder %s has no place to come back from", at.name)
	}
	err := unix.Renameat(s.graveFD, n.grave, at.dir.fd, at.name)
	n.grave = ""
	return err
}

// removeAllAt removes a name with all below it.
func removeAllAt(dir int, name string) error {
	err := unix.Unlinkat(dir, name, 0)
	if err == nil || errors.Is(err, unix.ENOENT) {
		return nil
	}
	if !errors.Is(err, unix.EISDIR) {
		return err
	}
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), name)
	defer func() { _ = f.Close() }()
	below, err := f.Readdirnames(-1)
	errs := []error{err}
	for _, b := range below {
		errs = append(errs, removeAllAt(fd, b))
	}
	return errors.Join(append(errs, unix.Unlinkat(dir, name, unix.AT_REMOVEDIR))...)
}
