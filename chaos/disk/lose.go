package disk

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"shakedown/chaos"
)

// worstFiles bounds the list of files in a report.
const worstFiles = 20

// lose makes the backing folder what the disk holds, and starts anew from it. No file may be open any more.
func (s *store) lose(how chaos.DiskLoss) (chaos.DiskLost, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lost, dirty := s.count()
	names, err := s.loseNames(s.onDisk(how.Strict))
	lost.Names = int64(names)
	errs := []error{err}
	for _, n := range dirty {
		errs = append(errs, s.loseContent(n, how))
	}
	return lost, errors.Join(append(errs, s.restart())...)
}

// count says what is about to be lost, and of which files: in the order of their inodes, so that a seed tears the same writes.
func (s *store) count() (lost chaos.DiskLost, dirty []*inode) {
	for _, n := range s.inodes.byID {
		if !n.isRegular() || !n.busy() {
			continue
		}
		dirty = append(dirty, n)
		n.mu.Lock()
		f := chaos.LostFile{Name: n.path(), Writes: n.writes, Bytes: n.bytes}
		n.mu.Unlock()
		if f.Writes == 0 || ours(f.Name) {
			continue
		}
		lost.Files++
		lost.Writes += f.Writes
		lost.Bytes += f.Bytes
		lost.Worst = append(lost.Worst, f)
	}
	slices.SortFunc(dirty, func(a, b *inode) int { return cmp.Compare(a.ino, b.ino) })
	slices.SortFunc(lost.Worst, func(a, b chaos.LostFile) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Name, b.Name))
	})
	lost.Worst = lost.Worst[:min(len(lost.Worst), worstFiles)]
	return lost, dirty
}

func (s *store) loseContent(n *inode, how chaos.DiskLoss) error {
	if st, err := n.stat(); err != nil || st.Nlink == 0 {
		return nil // gone, or only in the graveyard
	}
	f, err := n.open(unix.O_RDWR)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	var torn *rand.Rand
	if how.Torn && !ours(n.path()) {
		torn = rand.New(rand.NewPCG(how.Seed, n.id))
	}
	return n.lose(s.spill, f, torn)
}

// restart forgets every inode, empties the graveyard and begins with what the backing folder holds.
func (s *store) restart() error {
	for _, n := range s.inodes.byID {
		n.forget(s.spill)
		_ = unix.Close(n.fd)
	}
	s.changes, s.seq = nil, 0
	entries, err := os.ReadDir(s.undoDir)
	errs := []error{err}
	for _, e := range entries {
		errs = append(errs, removeAllAt(s.graveFD, e.Name()))
	}
	return errors.Join(append(errs, s.begin())...)
}
