package proxy

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// The sizes of blocks; the largest is bufferBytes.
const (
	smallBlock  = 4 << 10
	mediumBlock = 64 << 10
)

const (
	// spareBytes bounds the blocks that a loop keeps for later; the collector gets the others.
	spareBytes = 16 << 20
	// recordBytes is about what a chunk costs beside its bytes; it counts, so that small chunks are bounded too.
	recordBytes = 64
)

// A budget is what all rings of a proxy may hold together.
type budget struct{ used atomic.Int64 }

// memoryBytes is that much. Beyond it a direction may have no more than leastBound under way.
const memoryBytes = 1 << 30

func (b *budget) spent() bool { return b.used.Load() >= memoryBytes }

// A block has bytes of one direction, from off to end, in memory or in a pipe.
type block struct {
	data     []byte
	pipe     *pipe
	off, end int
	next     *block
}

// blocks are those that a loop has for its rings: its rings use them again.
type blocks struct {
	budget *budget
	free   [3]*block // by size
	spare  int       // bytes in all
	pipes  pipes
}

// class is the size of the block for so many bytes, and which that is.
func class(n int) (size, i int) {
	switch {
	case n <= smallBlock:
		return smallBlock, 0
	case n <= mediumBlock:
		return mediumBlock, 1
	}
	return bufferBytes, 2
}

func (p *blocks) get(n int) *block {
	size, i := class(n)
	b := p.free[i]
	if b == nil {
		return &block{data: make([]byte, size)}
	}
	p.free[i], b.next = b.next, nil
	p.spare -= size
	return b
}

func (p *blocks) put(b *block) {
	if b.pipe != nil {
		p.pipes.put(b)
		return
	}
	if p.spare+len(b.data) > spareBytes {
		return
	}
	_, i := class(len(b.data))
	b.off, b.end, b.next = 0, 0, p.free[i]
	p.free[i] = b
	p.spare += len(b.data)
}

// An ending is how a stream ends. It queues behind the stream's bytes, so that a delay delays it too.
type ending uint8

const (
	notEnded ending = iota
	closed          // the sender will send no more; the other direction goes on
	broken          // the sender's connection failed
)

// A record is a chunk, what one read returned, or the end of the stream.
type record struct {
	seq       uint64 // counts the chunks of the stream
	arrived   time.Duration
	notBefore time.Duration // asked for by a filter
	left      int           // bytes that have not been sent
	end       ending
	held      bool // counted as held
	partly    bool // some of it has been sent
	waited    bool // counted as throttled
}

// A ring holds what one direction has under way: the bytes in blocks, and a record for each chunk.
type ring struct {
	blocks      *blocks
	records     []record // a circle, of a power of two
	first, n    int
	head, tail  *block
	bytes, cost int
}

func (r *ring) empty() bool { return r.n == 0 }

// at is the ith record.
func (r *ring) at(i int) *record { return &r.records[(r.first+i)&(len(r.records)-1)] }

func (r *ring) push(rec record) {
	if r.n == len(r.records) {
		grown := make([]record, max(8, 2*r.n))
		for i := range r.n {
			grown[i] = *r.at(i)
		}
		r.records, r.first = grown, 0
	}
	r.n++
	*r.at(r.n - 1) = rec
	r.charge(rec.left + recordBytes)
	r.bytes += rec.left
}

func (r *ring) charge(n int) {
	r.cost += n
	r.blocks.budget.used.Add(int64(n))
}

// add appends a chunk, whose bytes are copied.
func (r *ring) add(rec record, data []byte) {
	rec.left = len(data)
	r.push(rec)
	for len(data) > 0 {
		t := r.tail
		if t == nil || t.end >= len(t.data) { // a pipe takes no more
			t = r.blocks.get(len(data))
			r.link(t)
		}
		n := copy(t.data[t.end:], data)
		t.end += n
		data = data[n:]
	}
}

// extend appends a chunk whose n bytes are in a block already, behind what that has: it is the last one, or becomes it.
func (r *ring) extend(rec record, b *block, n int) {
	rec.left = n
	r.push(rec)
	if b.end += n; b != r.tail {
		r.link(b)
	}
}

func (r *ring) link(b *block) {
	if r.tail == nil {
		r.head = b
	} else {
		r.tail.next = b
	}
	r.tail = b
}

// gather appends the first n bytes to pieces, as far as these have room and bytes are in memory, and returns how many they are.
func (r *ring) gather(pieces []unix.Iovec, n int) (_ []unix.Iovec, bytes int) {
	for b := r.head; b != nil && b.pipe == nil && bytes < n && len(pieces) < cap(pieces); b = b.next {
		m := min(b.end-b.off, n-bytes)
		if m > 0 {
			pieces = append(pieces, unix.Iovec{Base: &b.data[b.off], Len: uint64(m)})
			bytes += m
		}
	}
	return pieces, bytes
}

// drop takes n bytes off the first record, and the record when nothing of it is left.
func (r *ring) drop(n int) {
	rec := r.at(0)
	rec.left -= n
	rec.partly = true
	r.bytes -= n
	cost := n
	if rec.left == 0 {
		r.first, r.n = (r.first+1)&(len(r.records)-1), r.n-1
		cost += recordBytes
	}
	r.charge(-cost)
	for n > 0 {
		b := r.head
		m := min(n, b.end-b.off)
		b.off += m
		n -= m
		if b.off == b.end {
			r.unlink()
		}
	}
	if r.n == 0 && len(r.records) > 1024 {
		r.records, r.first = nil, 0
	}
}

func (r *ring) unlink() {
	b := r.head
	if r.head = b.next; r.head == nil {
		r.tail = nil
	}
	r.blocks.put(b)
}

// clear drops everything.
func (r *ring) clear() {
	for r.head != nil {
		r.unlink()
	}
	r.charge(-r.cost)
	r.records, r.first, r.n, r.bytes = nil, 0, 0, 0
}
