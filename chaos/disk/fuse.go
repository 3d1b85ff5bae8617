package disk

import (
	"context"
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// remember is how long the kernel may believe what it was told of names and attributes: nobody else changes them.
const remember = time.Hour

// fileSystem is the store as the kernel speaks to it. One serves one mount.
//
// The kernel caches pages, so that reads and mappings are as fast as on any file system, but not writes: without write-back caching
// each write(2) comes here before it returns, and pages that were changed through a mapping come with msync(2), fsync(2), close(2) or
// the kernel's write-back.
type fileSystem struct {
	fuse.RawFileSystem
	s *store
	e *effects

	mu    sync.Mutex
	files map[uint64]*handle
	next  uint64
}

// handle is an open file or folder.
type handle struct {
	n       *inode
	f       *os.File
	name    string          // its path when it was opened
	durable bool            // opened with O_SYNC or O_DSYNC
	entries []fuse.DirEntry // of a folder, as of the last look from its beginning
}

func newFileSystem(s *store, e *effects) *fileSystem {
	return &fileSystem{RawFileSystem: fuse.NewDefaultRawFileSystem(), s: s, e: e, files: map[uint64]*handle{}}
}

// String names the file system.
func (*fileSystem) String() string { return "shakedown" }

// status is the error of a system call as the kernel wants it.
func status(err error) fuse.Status {
	var errno syscall.Errno
	switch {
	case err == nil:
		return fuse.OK
	case errors.As(err, &errno):
		return fuse.Status(errno)
	default:
		return fuse.EIO
	}
}

// until is a context that ends when the kernel gives the request up.
func until(cancel <-chan struct{}) (context.Context, context.CancelFunc) {
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		select {
		case <-cancel:
			stop()
		case <-ctx.Done():
		}
	}()
	return ctx, stop
}

// met lets effects act before a system call.
func (fs *fileSystem) met(cancel <-chan struct{}, o op, name string) (fails bool) {
	if fs.e.now.Load() == nil {
		return false
	}
	ctx, stop := until(cancel)
	defer stop()
	return fs.e.meet(ctx, o, name)
}

func (fs *fileSystem) open(n *inode, f *os.File, flags uint32) uint64 {
	name := fs.s.path(n)
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.next++
	fs.files[fs.next] = &handle{n: n, f: f, name: name, durable: flags&unix.O_DSYNC != 0} // which O_SYNC contains
	return fs.next
}

func (fs *fileSystem) handle(fh uint64) *handle {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.files[fh]
}

func (fs *fileSystem) closed(fh uint64) {
	fs.mu.Lock()
	h := fs.files[fh]
	delete(fs.files, fh)
	fs.mu.Unlock()
	if h != nil && h.f != nil {
		_ = h.f.Close()
	}
}

// closeAll closes what the kernel left open when its mount went.
func (fs *fileSystem) closeAll() {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for fh, h := range fs.files {
		if h.f != nil {
			_ = h.f.Close()
		}
		delete(fs.files, fh)
	}
}

func typeOf(m os.FileMode) uint32 {
	switch {
	case m.IsDir():
		return unix.S_IFDIR
	case m&os.ModeSymlink != 0:
		return unix.S_IFLNK
	case m&os.ModeSocket != 0:
		return unix.S_IFSOCK
	case m&os.ModeNamedPipe != 0:
		return unix.S_IFIFO
	default:
		return unix.S_IFREG
	}
}
