package proxy

import (
	"sync"
	"time"
)

// queueBytes bounds what one direction of a connection may have under way; then its sender waits, as it
// would for a full socket. It allows 40 MB/s at a delay of 100 ms.
const queueBytes = 4 << 20

// An ending is how a stream ends. It queues behind the stream's bytes, so that a delay delays it too.
type ending uint8

const (
	notEnded ending = iota
	closed          // the sender will send no more; the other direction goes on
	broken          // the sender's connection failed
)

// A chunk is what one read returned: bytes, or the end of the stream.
type chunk struct {
	data    []byte
	seq     uint64 // counts the chunks of the stream
	arrived time.Duration
	end     ending
	held    bool // counted as held
	partly  bool // some of it has been sent
	waited  bool // counted as throttled
}

// A queue holds the chunks between the reader and the writer of one direction. The head stays in the queue
// until it is written in full: an empty queue means that the writer has nothing in hand.
type queue struct {
	mu     sync.Mutex
	chunks []*chunk
	bytes  int
	shut   bool
	room   chan struct{} // a token when there may be room
	wake   chan struct{} // a token when the writer should look again
}

func newQueue() *queue {
	return &queue{room: make(chan struct{}, 1), wake: make(chan struct{}, 1)}
}

// push waits for room and appends; it returns false when the queue is shut.
func (q *queue) push(c *chunk) bool {
	for {
		q.mu.Lock()
		if q.shut {
			q.mu.Unlock()
			return false
		}
		if q.bytes == 0 || q.bytes+len(c.data) <= queueBytes {
			q.chunks = append(q.chunks, c)
			q.bytes += len(c.data)
			first := len(q.chunks) == 1
			q.mu.Unlock()
			if first || c.end != notEnded {
				token(q.wake)
			}
			return true
		}
		q.mu.Unlock()
		<-q.room
	}
}

// head is the first chunk, or nil; open is false when the queue is shut.
func (q *queue) head() (c *chunk, open bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.chunks) > 0 {
		c = q.chunks[0]
	}
	return c, !q.shut
}

// advance takes n bytes off the head, and the head off the queue when nothing of it is left.
func (q *queue) advance(n int) {
	q.mu.Lock()
	c := q.chunks[0]
	c.data, c.partly = c.data[n:], true
	q.bytes -= n
	if len(c.data) == 0 {
		q.chunks[0] = nil
		q.chunks = q.chunks[1:]
	}
	q.mu.Unlock()
	token(q.room)
}

func (q *queue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.chunks) == 0
}

// hold marks every chunk as held and returns how many were not before, and when the stream ended, if it did.
func (q *queue) hold() (fresh int64, ended time.Duration, hasEnd bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, c := range q.chunks {
		if c.end != notEnded {
			ended, hasEnd = c.arrived, true
		} else if !c.held {
			c.held = true
			fresh++
		}
	}
	return fresh, ended, hasEnd
}

// close lets both sides go; what is queued is dropped.
func (q *queue) close() {
	q.mu.Lock()
	q.shut = true
	q.mu.Unlock()
	token(q.room)
	token(q.wake)
}

// token leaves a token, unless there is one.
func token(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
