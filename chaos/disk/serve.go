package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"runtime/debug"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"shakedown/chaos"
	"shakedown/internal/clock"
)

// server is the process of a disk: its store, and the mount that it serves at the moment.
type server struct {
	store   *store
	effects effects
	mounted *mounted
}

// mounted is one mount under way.
type mounted struct {
	fs     *fileSystem
	served chan struct{} // closed when the kernel has ended it
}

// Serve keeps the disk in the folder base until ctx or the connection ends: the harness has then ended too, or wants it to. What the
// store holds at that moment stays in base/data.
func Serve(ctx context.Context, base string, conn *net.UnixConn) (err error) {
	s := &server{}
	if s.store, err = openStore(base, clock.Now); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.store.close()) }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	done := make(chan struct{})
	ticking := make(chan struct{})
	go func() {
		defer close(ticking)
		s.tick(done)
	}()
	defer func() { close(done); <-ticking }()
	for {
		var r request
		fd, err := receive(conn, &r)
		if errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) {
			return nil // a mount that is still there ends with this process
		}
		if err == nil {
			err = send(conn, s.answer(r, fd), -1)
		}
		if err != nil {
			return fmt.Errorf("the control socket: %w", err)
		}
	}
}

func (s *server) tick(done <-chan struct{}) {
	every := time.NewTicker(journalInterval / 5)
	defer every.Stop()
	for {
		select {
		case <-every.C:
			s.store.tick()
		case <-done:
			return
		}
	}
}

func (s *server) answer(r request, fd int) (a reply) {
	var err error
	switch r.Do {
	case "mount":
		err = s.mount(fd)
	case "shape":
		s.effects.set(r.ID, r.Effect)
		s.resize()
	case "clear":
		s.effects.set(r.ID, nil)
		s.resize()
	case "effects":
		a.IDs = s.effects.ids()
	case "counters":
		c := s.effects.count.now()
		c.Unsynced = s.store.unsynced()
		a.Counters = &c
	case "settle":
		err = s.store.syncAll()
	case "lose":
		a.Lost, err = s.lose(r.Loss)
	default:
		err = fmt.Errorf("unknown request %q", r.Do)
	}
	if err != nil {
		a.Error = err.Error()
	}
	return a
}

// resize gives files the room of the effects in force.
func (s *server) resize() {
	left, bound := s.effects.room()
	s.store.room.set(bound, left)
}

// mount serves the mount whose descriptor of /dev/fuse the harness has sent.
func (s *server) mount(fd int) error {
	if fd < 0 {
		return errors.New("no descriptor of /dev/fuse came with the request")
	}
	if s.mounted != nil {
		_ = unix.Close(fd)
		return errors.New("it is mounted already")
	}
	m := &mounted{fs: newFileSystem(s.store, &s.effects), served: make(chan struct{})}
	kernel, err := fuse.NewServer(m.fs, fmt.Sprintf("/dev/fd/%d", fd), &fuse.MountOptions{
		Name: fsName, MaxWrite: 1 << 20, MaxBackground: 64, ExplicitDataCacheControl: true, DisableXAttrs: true, DisableReadDirPlus: true,
		Logger:       log.New(io.Discard, "", 0), // it complains of each unmount
		PanicHandler: panicked,
	})
	if err != nil {
		_ = unix.Close(fd)
		return fmt.Errorf("greeting the kernel: %w", err)
	}
	go func() {
		defer close(m.served)
		kernel.Serve()
	}()
	s.mounted = m
	return nil
}

// panicked leaves a trace in the process's log, and fails the system call.
func panicked(what any) fuse.Status {
	log.Printf("panic: %v\n%s", what, debug.Stack())
	return fuse.EIO
}

// unmountWait is how long the kernel may take to tell of the end of a mount.
const unmountWait = 10 * time.Second

// lose runs once the harness has taken the mount away.
func (s *server) lose(how *chaos.DiskLoss) (*chaos.DiskLost, error) {
	if how == nil {
		return nil, errors.New("it is not said how")
	}
	if s.mounted != nil {
		select {
		case <-s.mounted.served:
		case <-time.After(unmountWait):
			return nil, errors.New("it is still mounted")
		}
		s.mounted.fs.closeAll()
		s.mounted = nil
	}
	lost, err := s.store.lose(*how)
	return &lost, err
}
