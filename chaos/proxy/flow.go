package proxy

import (
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"shakedown/internal/clock"
)

const (
	// rounds is how often a flow reads before others have their turn.
	rounds = 8
	// batchBytes bounds what one system call writes.
	batchBytes = 1 << 20
	// takeBytes is from where on a chunk keeps the buffer that it was read into, in place of being copied.
	takeBytes = bufferBytes / 2
	// A chunk of bulkBytes or more shows a bulk stream: what comes next goes into pipes, until a row of mostSmall chunks has less than
	// smallBytes each. Moving a page costs about what copying that much costs.
	bulkBytes  = 64 << 10
	smallBytes = 4 << 10
	mostSmall  = 16
	// orphanTime is how long a hold may keep a stream whose sender has ended it: the sender has most likely given
	// up, which TCP cannot tell from a half-close. Linux gives an orphaned connection as long (tcp_fin_timeout).
	orphanTime = 60 * time.Second
)

// A flow is one direction of one connection. What it reads it writes straight on, while nothing acts and nothing is queued;
// everything else goes through its ring, as a bulk stream always does, in pipes. So an effect may come and go at any time, and no byte passes
// another.
type flow struct {
	conn     *conn
	way      int // up or down
	src, dst *end
	lane     *lane
	key      uint64 // names the stream, for its random decisions
	seq      uint64 // chunks so far
	passed   int64  // bytes that were delivered
	ring     ring
	timer    timer

	piece     piece         // of the head of the ring, that is next
	free      time.Duration // of the connection's own limit: see rateClock
	nextSlice time.Duration

	readable bool // the source may have more
	last     bool // it told of its end, or of urgent data: it is to be read until nothing is left
	writable bool // the destination took all that it was given
	ended    bool // the source has ended
	endedAt  time.Duration
	done     bool // so has the flow
	dead     bool // the destination takes no more: what comes is dropped. What the destination sent before may still be on its way
	bulk     int  // how many small chunks more may go into pipes
	waits    bool // for its turn
	staged   bool // bytes of it are in the loop's buffer, and leave with those of others
}

// A piece is how many bytes go next, and when.
type piece struct {
	n    int
	at   time.Duration
	paid bool // n and at are settled: they have their place on the clocks of the limits
}

// run moves what can be moved now.
func (f *flow) run() {
	for range rounds {
		if f.drain(); !f.wants() {
			return
		}
		f.fill()
	}
	if f.conn.state == open {
		f.conn.loop.later(f)
	}
}

// wants says whether the flow can take more from its source.
func (f *flow) wants() bool {
	if !f.readable || f.ended || f.conn.state != open || f.conn.cutting != notEnded {
		return false
	}
	switch {
	case f.dead:
		return true
	case f.ring.empty():
		return f.writable || !f.lane.passes
	case f.lane.passes && f.conn.filter == nil:
		return false // the destination is full
	}
	bound := f.lane.bound
	if f.ring.blocks.budget.spent() {
		bound = leastBound
	}
	return f.ring.cost < bound
}

// straight says whether bytes may be written at once.
func (f *flow) straight() bool {
	return f.lane.passes && f.writable && f.ring.empty() && f.conn.filter == nil
}

// fill reads once.
func (f *flow) fill() {
	l := f.conn.loop
	if f.staged || l.used > 0 && !f.straight() { // what is queued may take the buffer
		if l.flush(); f.conn.state != open {
			return
		}
	}
	if f.bulk > 0 && f.lane.stores && !f.dead && f.conn.filter == nil && !f.last && f.store() {
		return
	}
	buf := l.buf[l.used:]
	n, errno := recv(f.src.fd, buf)
	if !f.got(n, errno) {
		return
	}
	if n >= bulkBytes {
		f.bulk = mostSmall
	}
	if n < len(buf) && !f.last {
		f.readable = false // less than was asked for: the next edge tells of more (epoll(7))
	}
	switch {
	case f.dead:
	case f.conn.filter != nil:
		f.conn.feed(f.way, buf[:n])
	case f.straight():
		if f.seq++; !l.stage(f, n) {
			f.forward(buf[:n])
		}
	case n >= takeBytes:
		f.ring.extend(f.arrival(buf[:n]), &block{data: l.buf}, n)
		b := l.blocks.get(bufferBytes)
		l.buf = b.data
	default:
		f.ring.add(f.arrival(buf[:n]), buf[:n])
	}
}

// store reads once into a pipe; false when there is none. EAGAIN of the last one says that it is full or that there is nothing to read, which an
// empty one tells apart.
func (f *flow) store() bool {
	if b := f.ring.tail; b != nil && b.pipe != nil {
		if n, errno := splice(f.src.fd, b.pipe.in, bufferBytes); errno != unix.EAGAIN {
			f.stored(b, n, errno)
			return true
		}
	}
	b := f.ring.blocks.pipes.get()
	if b == nil {
		return false
	}
	n, errno := splice(f.src.fd, b.pipe.in, bufferBytes)
	if !f.stored(b, n, errno) {
		f.ring.blocks.put(b)
	}
	return true
}

// stored takes notice of what a read into a pipe returned; false when it is no bytes.
func (f *flow) stored(b *block, n int, errno syscall.Errno) bool {
	if !f.got(n, errno) {
		return false
	}
	if f.bulk--; n >= smallBytes {
		f.bulk = mostSmall
	}
	f.ring.extend(f.arrival(nil), b, n)
	return true
}

// got takes notice of what a read returned; false when it is no bytes.
func (f *flow) got(n int, errno syscall.Errno) bool {
	switch {
	case errno == unix.EAGAIN:
		f.readable, f.last = false, false
	case errno != 0:
		f.end(broken)
	case n == 0:
		f.end(closed)
	default:
		f.conn.stats.received[f.way].Add(int64(n))
		return true
	}
	return false
}

// forward writes bytes straight on, and queues what the destination does not take.
func (f *flow) forward(data []byte) {
	n, errno := send(f.dst.fd, data)
	if errno != 0 && errno != unix.EAGAIN {
		f.die()
		return
	}
	f.count(n)
	if n < len(data) {
		f.writable = false
		f.ring.add(record{arrived: clock.Now(), seq: f.seq, partly: true}, data[n:])
	}
}

// pass takes bytes from a filter.
func (f *flow) pass(data []byte, notBefore time.Duration) {
	if len(data) == 0 || f.done || f.dead {
		return
	}
	if f.lane.passes && f.writable && f.ring.empty() && notBefore <= clock.Now() {
		f.seq++
		f.forward(data)
		return
	}
	rec := f.arrival(data)
	rec.notBefore = notBefore
	f.ring.add(rec, data)
}

// arrival is the record of a chunk that has just come; what effects do on arrival is done to it. A lane that corrupts has the data.
func (f *flow) arrival(data []byte) record {
	f.seq++
	rec := record{arrived: clock.Now(), seq: f.seq}
	if f.lane.hold {
		rec.held = true
		f.conn.stats.held.Add(1)
	}
	if hits(f.lane.corrupt, forCorruption, f.key, f.seq) {
		flip(f.lane.corrupt[0].seed, f.key, f.seq, data)
		f.conn.stats.corrupted.Add(1)
	}
	return rec
}

// flip flips one bit.
func flip(seed, key, n uint64, data []byte) {
	d := roll(seed, forCorruption, ^key, n)
	bit := d.next() % uint64(8*len(data))
	data[bit/8] ^= 1 << (bit % 8)
}

// end takes notice that the source has ended.
func (f *flow) end(how ending) {
	f.readable, f.ended, f.endedAt = false, true, clock.Now()
	if f.dead {
		return
	}
	if f.conn.filter != nil && how == closed {
		f.conn.filterEnd(f.way)
		return
	}
	f.close(how)
}

// close ends the flow behind what it has under way.
func (f *flow) close(how ending) {
	if f.ring.empty() && f.lane.passes {
		f.finish(how)
		return
	}
	f.ring.push(record{arrived: f.endedAt, seq: f.seq, end: how})
}

// drain writes what may go now, and sets the alarm for what may go next.
func (f *flow) drain() {
	if f.staged {
		f.conn.loop.flush()
	}
	alarm := never
	for f.conn.state == open {
		if l := f.lane.limit; l > 0 && f.passed >= l {
			f.conn.limited()
			return
		}
		if f.ring.empty() || !f.writable {
			break
		}
		now := clock.Now()
		if f.lane.hold {
			alarm = f.heldUntil()
			if alarm <= now {
				f.conn.abort()
				return
			}
			break
		}
		p := f.next(now)
		if p.at > now {
			alarm = p.at
			break
		}
		if head := f.ring.at(0); head.end != notEnded {
			f.finish(head.end)
			return
		}
		f.write(p, now)
	}
	f.conn.loop.timers.set(&f.timer, alarm)
	if f.conn.cutting != notEnded {
		f.conn.settle()
	}
}

func (f *flow) alarmed() { f.run() }

// heldUntil is when a stream that is held is given up: never, unless its sender has ended it.
func (f *flow) heldUntil() time.Duration {
	if f.ended {
		return f.endedAt + orphanTime
	}
	return never
}

// meetHold counts what a hold holds that was here before it.
func (f *flow) meetHold() {
	for i := range f.ring.n {
		if r := f.ring.at(i); r.end == notEnded && !r.held {
			r.held = true
			f.conn.stats.held.Add(1)
		}
	}
}

// next says how many bytes of the ring go next, and when. The head goes first whatever its lag, so that nothing is
// reordered; its lag counts from its arrival, so that a delay never caps the bandwidth.
func (f *flow) next(now time.Duration) piece {
	if f.piece.paid {
		return f.piece
	}
	head := f.ring.at(0)
	at := f.due(head)
	if at > now {
		return piece{at: at}
	}
	if head.end != notEnded || f.lane.plain {
		return piece{n: f.batch(now), at: at}
	}
	return f.shape(head, at, now)
}

// due is when a record has served its delay. What was partly sent has.
func (f *flow) due(r *record) time.Duration {
	if r.partly {
		return 0
	}
	at := r.arrived
	if f.lane.delays() {
		lag, _ := f.lane.lag(f.key, r.seq, r.left)
		at += lag
	}
	if r.end == closed {
		at += f.lane.slowClose
	}
	return max(at, r.notBefore)
}

// batch is how many bytes may go together now.
func (f *flow) batch(now time.Duration) (bytes int) {
	for i := range f.ring.n {
		r := f.ring.at(i)
		if r.end != notEnded || bytes >= batchBytes || i > 0 && f.due(r) > now {
			break
		}
		bytes += r.left
	}
	return bytes
}

// shape cuts a piece off a record that is due, and gives it its time.
func (f *flow) shape(head *record, at, now time.Duration) piece {
	n := head.left
	if l := f.lane.limit; l > 0 {
		n = int(min(int64(n), l-f.passed))
	}
	if s := f.lane.sliced; s != nil {
		d := roll(s.Seed, forSlice, f.key^head.seq, uint64(head.left))
		n = min(n, int(s.SliceBytes-s.SliceSpread+int64(d.next()%uint64(2*s.SliceSpread+1))))
		at = max(at, f.nextSlice)
		f.nextSlice = max(at, now-catchUp) + s.SliceDelay.D()
		f.conn.stats.sliced.Add(1)
	}
	for _, l := range f.lane.limits {
		n = min(n, max(leastPiece, int(l.rate/int64(time.Second/pieceTime))))
	}
	at = f.reserve(head, n, at, now)
	f.piece = piece{n: n, at: at, paid: true}
	return f.piece
}

// reserve gives n bytes their place on every clock.
func (f *flow) reserve(head *record, n int, at, now time.Duration) time.Duration {
	from := max(at, now-catchUp)
	for _, l := range f.lane.limits {
		if l.clock != nil {
			at = max(at, l.clock.reserve(from, n, l.rate))
			continue
		}
		f.free = max(f.free, from) + transmission(n, l.rate)
		at = max(at, f.free)
	}
	if len(f.lane.limits) > 0 && at > now && !head.waited {
		head.waited = true
		f.conn.stats.throttled.Add(1)
	}
	return at
}

// write writes a piece, or as much of it as the destination takes.
func (f *flow) write(p piece, now time.Duration) {
	n, want, errno := f.put(p.n)
	if errno != 0 && errno != unix.EAGAIN {
		f.die()
		return
	}
	f.writable = errno == 0 && n == want
	if f.piece.paid {
		f.piece.n -= n
		f.piece.paid = f.piece.n > 0
	}
	f.count(n)
	for n > 0 {
		r := f.ring.at(0)
		if !r.partly {
			f.account(r, now)
		}
		m := min(n, r.left)
		f.ring.drop(m)
		n -= m
	}
}

// put writes the first bytes of the ring, at most as many as asked for. It has written n; fewer than it wanted tell that the destination is full.
func (f *flow) put(most int) (n, want int, errno syscall.Errno) {
	if b := f.ring.head; b.pipe != nil {
		n, errno = splice(b.pipe.out, f.dst.fd, min(most, b.end-b.off))
		return n, n, errno // a signal of the Go runtime may have ended it early: only EAGAIN tells
	}
	pieces, want := f.ring.gather(f.conn.loop.pieces[:0], most)
	if len(pieces) == 1 {
		n, errno = send(f.dst.fd, unsafe.Slice(pieces[0].Base, pieces[0].Len))
	} else {
		n, errno = sendAll(f.dst.fd, pieces)
	}
	return n, want, errno
}

func (f *flow) count(n int) {
	f.passed += int64(n)
	f.conn.stats.delivered[f.way].Add(int64(n))
}

// account counts a chunk that has served its delay; one whose delay was cleared has not.
func (f *flow) account(r *record, now time.Duration) {
	if !f.lane.delays() {
		return
	}
	asked, lost := f.lane.lag(f.key, r.seq, r.left)
	f.conn.stats.delay(asked, now-r.arrived)
	if lost > 0 {
		f.conn.stats.lost.Add(int64(lost))
	}
}

// finish passes the end of the stream on: an orderly end leaves the other direction open.
func (f *flow) finish(how ending) {
	if how == broken {
		f.conn.abort()
		return
	}
	if f.lane.slowClose > 0 {
		f.conn.stats.slowCloses.Add(1)
	}
	shutdownWrite(f.dst.fd)
	f.done = true
	f.stop()
	f.conn.settle()
}

// die gives the flow up: nobody takes its bytes. What comes the other way may still arrive, at a server that would not read if it could not
// write.
func (f *flow) die() {
	f.dead = true
	f.stop()
	f.conn.settle()
}

// stop drops what is under way.
func (f *flow) stop() {
	f.ring.clear()
	f.conn.loop.timers.drop(&f.timer)
}

// over says whether the flow has ended, one way or the other.
func (f *flow) over() bool { return f.done || f.dead }
