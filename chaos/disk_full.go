package chaos

import (
	"context"
	"fmt"
)

// DiskFull leaves a process no room on its disk beyond a number of bytes: what grows a file further fails with ENOSPC. Overwriting
// what is there goes on, and what files shrink by, or are removed with, is room again.
type DiskFull struct {
	Process string `json:"process"`
	// Room is how many bytes files may still grow by, all together; left out, none.
	Room int64 `json:"room,omitempty"`
}

var _ Needer = (*DiskFull)(nil)

// Kind is "disk_full".
func (*DiskFull) Kind() string { return "disk_full" }

func (f *DiskFull) String() string {
	if f.Room == 0 {
		return "disk of " + f.Process + " full"
	}
	return fmt.Sprintf("disk of %s full after %d B", f.Process, f.Room)
}

// Validate wants the name of a process and a room that can be.
func (f *DiskFull) Validate() error {
	if err := checkProcessName(f.Process); err != nil {
		return err
	}
	if f.Room < 0 {
		return fmt.Errorf("room is %d; it must be 0 or above", f.Room)
	}
	return nil
}

// Available wants a process of that name whose data is on a disk of the run's own.
func (f *DiskFull) Available(s Surface) error {
	_, err := disksOf(s, f.Process)
	return err
}

// Needs is FUSE.
func (*DiskFull) Needs() []Need { return []Need{NeedFUSE} }

// Inject proves itself by what statfs says is free, and where nothing is, by a probe that cannot grow.
func (f *DiskFull) Inject(ctx context.Context, s Surface) (Injection, error) {
	return injectDisks(ctx, s, diskFault{
		fault: f, process: f.Process, effect: DiskEffect{Full: true, Room: f.Room},
		landed: func(name string, under DiskProbe) Evidence {
			return Evidence{
				What: "free space on the disk of " + name, Want: float64(f.Room), Got: float64(under.Free), Unit: "B",
				Seen: under.Free <= f.Room && (f.Room > 0 || under.NoSpace),
			}
		},
		met: func(c DiskCounters) Evidence { return metCalls("calls that got ENOSPC", f.Process, c.Refused) },
	})
}
