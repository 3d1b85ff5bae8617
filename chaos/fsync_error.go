package chaos

import (
	"cmp"
	"context"
	"fmt"
)

// FsyncError makes one fsync of a process fail with EIO, as a disk does that cannot write a page. What was dirty in that file never
// reaches the disk unless it is written again: Linux takes the pages for clean, and the next fsync succeeds (PostgreSQL therefore
// panics at the first: "fsyncgate", 2018). A power loss shows what is missing.
type FsyncError struct {
	Process string `json:"process"`
	// Nth is the number of the fsync that fails, from when the fault takes effect; left out, the first.
	Nth int64 `json:"nth,omitempty"`
	// Files restricts it to files that match, such as pg_wal/* or *.aof.
	Files string `json:"files,omitempty"`
}

var _ Needer = (*FsyncError)(nil)

// Kind is "fsync_error".
func (*FsyncError) Kind() string { return "fsync_error" }

func (f *FsyncError) String() string {
	return fmt.Sprintf("fsync %d of %s fails%s", cmp.Or(f.Nth, 1), f.Process, ofFiles(f.Files))
}

// Validate wants the name of a process.
func (f *FsyncError) Validate() error {
	if f.Nth < 0 {
		return fmt.Errorf("nth is %d; the first fsync is 1", f.Nth)
	}
	return cmp.Or(checkProcessName(f.Process), checkFiles(f.Files))
}

// Available wants a process of that name whose data is on a disk of the run's own.
func (f *FsyncError) Available(s Surface) error {
	_, err := disksOf(s, f.Process)
	return err
}

// Needs is FUSE.
func (*FsyncError) Needs() []Need { return []Need{NeedFUSE} }

// Inject proves itself by the probe's own fsync, which fails while the fault is in force and does not count towards the nth.
func (f *FsyncError) Inject(ctx context.Context, s Surface) (Injection, error) {
	return injectDisks(ctx, s, diskFault{
		fault: f, process: f.Process, effect: DiskEffect{FailSync: cmp.Or(f.Nth, 1), Files: f.Files},
		landed: func(name string, under DiskProbe) Evidence {
			return Evidence{What: "EIO from a probe's fsync on the disk of " + name, Seen: under.SyncFailed}
		},
		met: func(c DiskCounters) Evidence { return metCalls("fsyncs that got EIO", f.Process, c.FailedSyncs) },
	})
}
