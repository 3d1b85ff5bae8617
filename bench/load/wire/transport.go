package wire

import (
	"fmt"
	"math"
	"runtime"
	"sync"
	"time"
)

// A transport moves bytes for a loop and calls it back from within wait and flush: connected, wrote, received and closed. It owns the file
// descriptors.
type transport interface {
	// start is called once, on the thread that all other calls will come from.
	start() error
	// dial begins to connect; how that ends is told later, unless it fails at once.
	dial(c *conn, to *endpoint) error
	// flush sends c.out from c.off.
	flush(c *conn)
	// wait returns once so many things have happened, or the time, an offset, has come; what happened has been told then. With all
	// it tells what has happened, lets the time come if the loop is calm then, and returns at once: what is due then leaves before what
	// came meanwhile is told. A transport that cannot count lets the time come when it should wait for more than one.
	wait(until time.Duration, events int)
	// close closes the connection's descriptor; nothing is told of it any more.
	close(c *conn, abrupt bool)
	// shut ends the transport.
	shut()
}

// all events are more than ever happen.
const all = math.MaxInt32

// A Backend is a way to do non-blocking input and output.
type Backend string

// The back ends. Auto is the one that was cheaper where it was measured, and can be had: see docs/benchmarks/load.md.
const (
	Auto    Backend = "auto"
	Epoll   Backend = "epoll"
	IOUring Backend = "io_uring"
)

// Backends are the names that Options.Backend takes.
func Backends() []Backend { return []Backend{Auto, Epoll, IOUring} }

// Chosen is the back end that b comes to.
func (b Backend) Chosen() Backend {
	if b != "" && b != Auto {
		return b
	}
	return cheapest()
}

// cheapest is io_uring, which on every machine where it was measured costs as much as epoll or less, unless the kernel is too old
// for it or denies it, as containers often do.
var cheapest = sync.OnceValue(func() Backend {
	t, err := newUring(nil)
	if err != nil {
		return Epoll
	}
	t.shut()
	return IOUring
})

func (b Backend) open(l *Loop) (transport, error) {
	switch b.Chosen() {
	case Epoll:
		return newEpoll(l)
	case IOUring:
		return newUring(l)
	default:
		return nil, fmt.Errorf("unknown back end %q; one of %v", b, Backends())
	}
}

// Available says why this machine does not have a back end.
func Available(b Backend) error {
	t, err := b.open(nil)
	if err != nil {
		return err
	}
	t.shut()
	return nil
}

var procs sync.Mutex

// ownProc gives the Go scheduler one more thread to run on, for a loop that blocks one without telling it.
func ownProc() (undo func()) {
	change := func(by int) {
		procs.Lock()
		defer procs.Unlock()
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + by)
	}
	change(1)
	return func() { change(-1) }
}
