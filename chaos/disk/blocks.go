package disk

import (
	"fmt"
	"os"
	"sync"
)

// blockSize is the granularity of what is remembered: a page.
const blockSize = 4096

// sectorSize is what a disk writes whole or not at all. 512 is what disks that emulate it promise, and the worst case of 4096.
const sectorSize = 512

// A slot is the place of one block in the spill file. The zero block needs none.
type slot int64

// zeroSlot stands for a block of zeros: what a disk holds where nothing was ever written.
const zeroSlot slot = -1

// spill keeps the old content of blocks in a file that has no name any more, so that it goes with the process.
type spill struct {
	f    *os.File
	mu   sync.Mutex
	free []slot
	end  slot // slots from here on were never used
}

func newSpill(dir string) (*spill, error) {
	f, err := os.CreateTemp(dir, "blocks-")
	if err != nil {
		return nil, fmt.Errorf("making the spill file: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("hiding the spill file: %w", err)
	}
	return &spill{f: f}, nil
}

// keep stores a block, which may be shorter than blockSize at the end of a file.
func (s *spill) keep(block []byte) (slot, error) {
	at := s.take()
	if _, err := s.f.WriteAt(block, int64(at)*blockSize); err != nil {
		s.drop(at)
		return 0, err
	}
	return at, nil
}

func (s *spill) take() slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.free); n > 0 {
		at := s.free[n-1]
		s.free = s.free[:n-1]
		return at
	}
	s.end++
	return s.end - 1
}

// drop frees a slot; when none is in use any more the file is emptied.
func (s *spill) drop(at slot) {
	if at == zeroSlot {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free = append(s.free, at); slot(len(s.free)) == s.end {
		s.free, s.end = nil, 0
		_ = s.f.Truncate(0) // at worst it keeps its blocks
	}
}

// load reads a block back.
func (s *spill) load(at slot, block []byte) error {
	if at == zeroSlot {
		clear(block)
		return nil
	}
	_, err := s.f.ReadAt(block, int64(at)*blockSize)
	return err
}

// used is the number of slots in use.
func (s *spill) used() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int(s.end) - len(s.free)
}

func (s *spill) close() error { return s.f.Close() }
