package proxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"shakedown/internal/clock"
)

const (
	readBytes = 32 << 10
	// orphanTime is how long a hold may keep a stream whose sender has ended it: the sender has most likely given
	// up, which TCP cannot tell from a half-close. Linux gives an orphaned connection as long (tcp_fin_timeout).
	orphanTime = 60 * time.Second
)

// How a stream can fail.
var (
	// errBroken: its source failed, or it was given up. Nothing more can come of the connection.
	errBroken = errors.New("stream broken")
	// errDead: its destination takes no more. What the destination sent before may still be on its way.
	errDead = errors.New("destination gone")
)

// monotonic is the clock that arrivals and alarms share.
func monotonic() time.Duration { return clock.Now() }

// halfCloser is what both TCP and unix connections can do.
type halfCloser interface {
	net.Conn
	CloseWrite() error
}

// A pump moves the bytes of one direction of one connection. Its reader writes straight to the destination while
// no effect is active and nothing is queued; otherwise it queues, and a writer, started for the first chunk, takes
// the queue from there. Both see the link's present plan at each step.
type pump struct {
	src, dst halfCloser
	way      int // up or down
	plan     func() *plan
	stats    *stats
	alarm    *alarm
	shaper   shaper
	queue    *queue
}

func (p *pump) lane() *lane { return &p.plan().lanes[p.way] }

// run moves bytes until the stream has ended and everything is delivered, or cannot be: errBroken, errDead.
func (p *pump) run() error {
	var writing sync.WaitGroup
	var writeErr error
	startWriter := sync.OnceFunc(func() {
		writing.Go(func() { writeErr = p.write() })
	})
	queued, readErr := p.read(startWriter)
	if !queued {
		p.queue.close() // the writer, if there is one, has nothing to wait for
	}
	writing.Wait()
	return errors.Join(readErr, writeErr)
}

// read is the reader: one loop, which is also the whole fast path. It returns whether it left the stream's
// end to the writer.
func (p *pump) read(startWriter func()) (queued bool, err error) {
	buf := make([]byte, readBytes)
	for seq := uint64(0); ; seq++ {
		n, err := p.src.Read(buf)
		if n > 0 {
			if p.straight() {
				if err := p.send(buf[:n]); err != nil {
					return false, err
				}
			} else if !p.enqueue(&chunk{data: bytes.Clone(buf[:n]), seq: seq}, startWriter) {
				return false, nil
			}
		}
		if err != nil {
			end := broken
			if errors.Is(err, io.EOF) {
				end = closed
			}
			if p.straight() {
				return false, p.finish(end)
			}
			return p.enqueue(&chunk{end: end}, startWriter), nil
		}
	}
}

// straight says whether the reader may write to the destination itself. Only the reader queues, so an empty
// queue stays empty while it does.
func (p *pump) straight() bool { return p.lane().passes() && p.queue.empty() }

// enqueue leaves a chunk to the writer; it returns false when the queue is shut.
func (p *pump) enqueue(c *chunk, startWriter func()) bool {
	c.arrived = monotonic()
	if c.end == notEnded && p.lane().hold {
		c.held = true
		p.stats.held.Add(1)
	}
	startWriter()
	return p.queue.push(c)
}

// write is the writer: it sends the queue's head when the plan lets it go.
func (p *pump) write() error {
	alarm := &sleeper{wake: p.queue.wake}
	defer p.alarm.drop(alarm)
	for {
		c, open := p.queue.head()
		switch {
		case !open:
			return nil
		case c == nil:
			<-p.queue.wake
			continue
		}
		l := p.lane()
		n, at := p.shaper.next(l, c)
		if l.hold {
			at = p.heldUntil()
		}
		now := monotonic()
		switch {
		case now < at:
			p.await(alarm, l, c, at)
			continue
		case l.hold: // for too long
			return p.stop(errBroken)
		case c.end != notEnded:
			return p.finish(c.end)
		}
		p.account(l, c, now)
		if err := p.send(c.data[:n]); err != nil {
			return p.stop(err)
		}
		p.shaper.sent(at, monotonic())
		p.queue.advance(n)
	}
}

// await sleeps until at, a changed plan, or the end of the connection; it may return early.
func (p *pump) await(s *sleeper, l *lane, c *chunk, at time.Duration) {
	if l.rate > 0 && !l.hold && !c.waited && c.end == notEnded {
		c.waited = true
		p.stats.throttled.Add(1)
	}
	if at != never {
		p.alarm.set(s, at)
	}
	<-p.queue.wake
}

// heldUntil counts what a hold holds, and returns when the stream is given up: never, unless its sender ended it.
func (p *pump) heldUntil() time.Duration {
	fresh, ended, hasEnd := p.queue.hold()
	p.stats.held.Add(fresh)
	if hasEnd {
		return ended + orphanTime
	}
	return never
}

// account counts a chunk that has served its delay; one whose delay was cleared has not.
func (p *pump) account(l *lane, c *chunk, now time.Duration) {
	if l.delays() && !c.partly {
		p.stats.delayed.Add(1)
		p.stats.delayedMicros.Add((now - c.arrived).Microseconds())
	}
}

func (p *pump) send(data []byte) error {
	n, err := p.dst.Write(data)
	p.stats.delivered[p.way].Add(int64(n))
	if err != nil {
		return errDead
	}
	return nil
}

// finish passes the end of the stream on: an orderly end leaves the other direction open.
func (p *pump) finish(end ending) error {
	if end == broken {
		return errBroken
	}
	_ = p.dst.CloseWrite() // fails when the destination is gone, which its own direction sees
	return nil
}

// stop makes the reader end: it has nobody to read for.
func (p *pump) stop(err error) error {
	p.queue.close()
	_ = p.src.SetReadDeadline(time.Unix(1, 0)) // fails only when closed
	return err
}
