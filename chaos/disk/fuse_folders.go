package disk

import (
	"os"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// OpenDir opens a folder.
func (fs *fileSystem) OpenDir(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	n, err := fs.s.inode(in.NodeId)
	if err != nil {
		return status(err)
	}
	f, err := n.open(unix.O_RDONLY | unix.O_DIRECTORY)
	if err != nil {
		return status(err)
	}
	out.Fh = fs.open(n, f, 0)
	return fuse.OK
}

// ReleaseDir closes a folder.
func (fs *fileSystem) ReleaseDir(in *fuse.ReleaseIn) { fs.closed(in.Fh) }

// FsyncDir puts the names of a folder on the disk.
func (fs *fileSystem) FsyncDir(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return fs.Fsync(cancel, in)
}

// ReadDir lists a folder as it was when it was last read from its beginning.
func (fs *fileSystem) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	h := fs.handle(in.Fh)
	if h == nil {
		return fuse.EBADF
	}
	fs.mu.Lock() // a folder that is read by two at once is read by one after the other
	defer fs.mu.Unlock()
	if in.Offset == 0 {
		entries, err := list(h.f)
		if err != nil {
			return status(err)
		}
		h.entries = entries
	}
	for i := int(in.Offset); i < len(h.entries); i++ {
		if !out.AddDirEntry(h.entries[i]) {
			break
		}
	}
	return fuse.OK
}

func list(f *os.File) ([]fuse.DirEntry, error) {
	if _, err := f.Seek(0, 0); err != nil {
		return nil, err
	}
	found, err := f.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	entries := []fuse.DirEntry{{Name: ".", Mode: unix.S_IFDIR}, {Name: "..", Mode: unix.S_IFDIR}}
	for _, e := range found {
		entries = append(entries, fuse.DirEntry{Name: e.Name(), Mode: typeOf(e.Type())})
	}
	for i := range entries {
		entries[i].Off = uint64(i + 1)
	}
	return entries, nil
}
