package disk

import (
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// room is what is left of a disk that is said to be full. The zero value has no end. Files take of it what they grow by; holes, and
// what was written once, take nothing.
type room struct {
	mu    sync.Mutex
	bound bool
	left  int64
}

// set bounds the room, or takes the bound away.
func (r *room) set(bound bool, left int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bound, r.left = bound, left
}

// get is what is left, if there is a bound.
func (r *room) get() (left int64, bound bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.left, r.bound
}

// take is how much of a write fits: as much as can be written at that place, and ENOSPC when that is nothing (write(2)).
func (r *room) take(f *os.File, off, length int64) (fits int64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.bound || length == 0 {
		return length, nil
	}
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	grows := max(0, off+length-max(off, info.Size()))
	if short := grows - r.left; short > 0 {
		length, grows = length-short, r.left
	}
	if length <= 0 {
		return 0, unix.ENOSPC
	}
	r.left -= grows
	return length, nil
}

// takeAll is take for what must fit as a whole.
func (r *room) takeAll(f *os.File, off, length int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.bound {
		return nil
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	grows := max(0, off+length-max(off, info.Size()))
	if grows > r.left {
		return unix.ENOSPC
	}
	r.left -= grows
	return nil
}

// give takes back what a file has shrunk by.
func (r *room) give(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left += n
}
