package proxy

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
)

// A conn is one connection through a link: a client's, and the one made for it to the server.
type conn struct {
	client, server halfCloser
	pumps          [2]*pump
	stats          *stats
	end            sync.Once
}

// newConn puts two connections together. The index and the link's name make its jitter replay.
func (l *Link) newConn(client, server halfCloser, index uint64, st *stats) *conn {
	c := &conn{client: client, server: server, stats: st}
	ends := [2][2]halfCloser{up: {client, server}, down: {server, client}}
	for way, e := range ends {
		c.pumps[way] = &pump{
			src: e[0], dst: e[1], way: way, plan: l.plan.Load, stats: st, alarm: l.alarm, queue: newQueue(),
			shaper: shaper{key: streamKey(l.spec.Name, index, directions[way])},
		}
	}
	return c
}

// run moves bytes until both streams have ended. A stream that broke ends the other one too; one whose destination
// is gone does not, because what the destination sent before may still be on its way.
func (c *conn) run() {
	var ways sync.WaitGroup
	var failed atomic.Bool
	for _, p := range c.pumps {
		ways.Go(func() {
			err := p.run()
			if errors.Is(err, errBroken) {
				c.abort()
			} else if err != nil {
				failed.Store(true)
			}
		})
	}
	ways.Wait()
	if failed.Load() {
		c.abort()
	}
	c.end.Do(func() {
		_ = c.client.Close() // both ends were closed for writing; there is nothing left to lose
		_ = c.server.Close()
	})
}

// poke makes the connection look at the plan again.
func (c *conn) poke() {
	for _, p := range c.pumps {
		token(p.queue.wake)
	}
}

// abort ends the connection with a RST to both sides, and drops what is under way. It returns whether the
// connection was still whole.
func (c *conn) abort() (whole bool) {
	c.end.Do(func() {
		whole = true
		for _, p := range c.pumps {
			p.queue.close()
		}
		reset(c.client)
		reset(c.server)
	})
	return whole
}

// reset closes a connection with a RST in place of a FIN (SO_LINGER 0, socket(7)). A unix socket knows no RST: its
// peer sees the end of the stream, or ECONNRESET when it had sent bytes that nobody read.
func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // fails only on a connection that is closed already
	}
	_ = c.Close()
}
