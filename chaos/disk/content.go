package disk

import (
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// content is what the disk holds of one file, where that differs from what its readers see. The zero value differs in nothing.
type content struct {
	mu    sync.Mutex
	dirty bool
	size  int64          // on the disk
	saved map[int64]slot // block number → what the disk holds of it
	// lost are blocks whose write-back has failed. The kernel takes them for clean, so that the next sync writes nothing of them and
	// succeeds (P. Rebello et al., "Can applications recover from fsync failures?", ATC 2020).
	lost   map[int64]bool
	writes int64 // since the last sync
	bytes  int64
}

// begin notes the size that the disk knows, before the first change since the last sync.
func (c *content) begin(f *os.File) error {
	if c.dirty {
		return nil
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	c.dirty, c.size = true, info.Size()
	return nil
}

// save keeps what the disk holds of the bytes from..to, before they change.
func (c *content) save(s *spill, f *os.File, from, to int64) error {
	if err := c.begin(f); err != nil {
		return err
	}
	for b := range c.lost {
		if from < (b+1)*blockSize && b*blockSize < to {
			delete(c.lost, b) // it is dirty again, and the next sync writes it
		}
	}
	to = min(to, c.size)
	if from >= to {
		return nil
	}
	if c.saved == nil {
		c.saved = map[int64]slot{}
	}
	for b := from / blockSize; b*blockSize < to; b++ {
		if _, ok := c.saved[b]; ok {
			continue
		}
		at, err := c.saveBlock(s, f, b)
		if err != nil {
			return err
		}
		c.saved[b] = at
	}
	return nil
}

// saveBlock copies what the disk holds of a block that has not been changed since.
func (c *content) saveBlock(s *spill, f *os.File, b int64) (slot, error) {
	var buf [blockSize]byte
	n := min(blockSize, c.size-b*blockSize)
	if n <= 0 {
		return zeroSlot, nil
	}
	if _, err := f.ReadAt(buf[:n], b*blockSize); err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	return s.keep(buf[:])
}

// write changes the file, and remembers what the disk holds.
func (c *content) write(s *spill, r *room, f *os.File, data []byte, off int64) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fits, err := r.take(f, off, int64(len(data)))
	if err != nil {
		return 0, err
	}
	data = data[:fits]
	if err := c.save(s, f, off, off+int64(len(data))); err != nil {
		return 0, err
	}
	n, err := f.WriteAt(data, off)
	c.writes++
	c.bytes += int64(n)
	return n, err
}

// truncate changes the size of the file, and remembers what it cuts off.
func (c *content) truncate(s *spill, r *room, f *os.File, size int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.begin(f); err != nil {
		return err
	}
	if info, err := f.Stat(); err == nil && info.Size() > size {
		defer r.give(info.Size() - size)
	}
	if err := c.save(s, f, size, c.size); err != nil {
		return err
	}
	c.writes++
	return f.Truncate(size)
}

// The modes of fallocate(2) that are passed on.
const fallocateModes = unix.FALLOC_FL_KEEP_SIZE | unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_ZERO_RANGE

// allocate is fallocate(2). Its holes and zeros are writes; what it only reserves reads as before.
func (c *content) allocate(s *spill, r *room, f *os.File, mode uint32, off, length int64) error {
	if mode&^uint32(fallocateModes) != 0 {
		return unix.EOPNOTSUPP
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if mode&unix.FALLOC_FL_PUNCH_HOLE == 0 {
		if err := r.takeAll(f, off, length); err != nil {
			return err
		}
	}
	if err := c.begin(f); err != nil {
		return err
	}
	if mode&(unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_ZERO_RANGE) != 0 {
		if err := c.save(s, f, off, off+length); err != nil {
			return err
		}
	}
	c.writes++
	return unix.Fallocate(int(f.Fd()), mode, off, length)
}

// sync makes the disk hold what readers see, except for blocks whose write-back has failed.
func (c *content) sync(s *spill, f *os.File) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.dirty {
		return nil
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	for b, at := range c.saved {
		if !c.lost[b] {
			delete(c.saved, b)
			s.drop(at)
		}
	}
	c.size, c.writes, c.bytes = info.Size(), 0, 0
	c.dirty = len(c.saved) > 0
	return nil
}

// failSync is a sync whose write-back fails: all that is dirty stays off the disk for good, unless it is written again.
func (c *content) failSync(s *spill, f *os.File) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.dirty {
		return nil
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if c.saved == nil {
		c.saved = map[int64]slot{}
	}
	// What was appended gets its size by the next sync, and reads as zeros where its data never arrived.
	for b := c.size / blockSize; b*blockSize < info.Size(); b++ {
		if _, ok := c.saved[b]; ok {
			continue
		}
		if c.saved[b], err = c.saveBlock(s, f, b); err != nil {
			delete(c.saved, b)
			return err
		}
	}
	c.lost = map[int64]bool{}
	for b := range c.saved {
		c.lost[b] = true
	}
	return nil
}

// forget drops what is remembered, of a file that is gone.
func (c *content) forget(s *spill) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reset(s)
}

func (c *content) reset(s *spill) {
	for _, at := range c.saved {
		s.drop(at)
	}
	c.dirty, c.size, c.saved, c.lost, c.writes, c.bytes = false, 0, nil, nil, 0, 0
}

// lose makes the file what the disk holds of it. With a generator, writes are torn: of what was not synced, each sector reached the
// disk or did not, and of what was appended a random part from its beginning did.
func (c *content) lose(s *spill, f *os.File, torn *rand.Rand) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.dirty {
		return nil
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	size := c.size
	if tail := (info.Size() - c.size + sectorSize - 1) / sectorSize; torn != nil && tail > 0 {
		// A sector is written whole: the cut is at a multiple of its size, beyond the size that the disk knew.
		if kept := torn.Int64N(tail + 1); kept > 0 {
			size = min(info.Size(), (c.size/sectorSize+kept)*sectorSize)
			size = max(size, c.size)
		}
	}
	for _, b := range slices.Sorted(maps.Keys(c.saved)) { // in order, so that a seed tears the same
		if err := c.restore(s, f, b, c.saved[b], size, torn); err != nil {
			return err
		}
	}
	if err := f.Truncate(size); err != nil {
		return err
	}
	c.reset(s)
	return nil
}

// restore puts one block back, up to the size that the file will have.
func (c *content) restore(s *spill, f *os.File, b int64, at slot, size int64, torn *rand.Rand) error {
	var old, now [blockSize]byte
	if err := s.load(at, old[:]); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	n := min(blockSize, size-b*blockSize)
	if n <= 0 {
		return nil
	}
	if torn != nil && !c.lost[b] {
		seen, err := f.ReadAt(now[:n], b*blockSize)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		for from := 0; from < seen; from += sectorSize {
			if torn.IntN(2) == 0 {
				copy(old[from:from+sectorSize], now[from:from+sectorSize])
			}
		}
	}
	_, err := f.WriteAt(old[:n], b*blockSize)
	return err
}
