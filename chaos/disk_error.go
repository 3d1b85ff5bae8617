package chaos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
)

// DiskError makes a share of the reads and writes that reach a process's disk fail with EIO. Reads that the page cache answers do not
// reach it.
type DiskError struct {
	Process string `json:"process"`
	// Reads and Writes are shares from 0 to 1, drawn by Seed and the number of the call.
	Reads  float64 `json:"reads,omitempty"`
	Writes float64 `json:"writes,omitempty"`
	Seed   uint64  `json:"seed,omitempty"`
	// Files restricts it to files that match, such as base/*/* or *.rdb.
	Files string `json:"files,omitempty"`
}

var _ Needer = (*DiskError)(nil)

// Kind is "disk_error".
func (*DiskError) Kind() string { return "disk_error" }

func (f *DiskError) String() string {
	var parts []string
	if f.Reads > 0 {
		parts = append(parts, fmt.Sprintf("%g %% of reads", 100*f.Reads))
	}
	if f.Writes > 0 {
		parts = append(parts, fmt.Sprintf("%g %% of writes", 100*f.Writes))
	}
	return "disk of " + f.Process + " fails " + strings.Join(parts, ", ") + ofFiles(f.Files)
}

// leastDiskShare is the smallest share that probes can be expected to show in time.
const leastDiskShare = 0.001

// Validate wants the name of a process and at least one share.
func (f *DiskError) Validate() error {
	if err := cmp.Or(checkProcessName(f.Process), checkFiles(f.Files)); err != nil {
		return err
	}
	for name, share := range map[string]float64{"reads": f.Reads, "writes": f.Writes} {
		if share != 0 && !(share >= leastDiskShare && share <= 1) {
			return fmt.Errorf("%s is %g; it is a share from %g to 1, or left out", name, share, leastDiskShare)
		}
	}
	if f.Reads == 0 && f.Writes == 0 {
		return errors.New("nothing fails; set reads or writes to a share")
	}
	return nil
}

// Available wants a process of that name whose data is on a disk of the run's own.
func (f *DiskError) Available(s Surface) error {
	_, err := disksOf(s, f.Process)
	return err
}

// Needs is FUSE.
func (*DiskError) Needs() []Need { return []Need{NeedFUSE} }

// Inject proves itself by probes, one of which gets EIO.
func (f *DiskError) Inject(ctx context.Context, s Surface) (Injection, error) {
	return injectDisks(ctx, s, diskFault{
		fault: f, process: f.Process,
		effect: DiskEffect{FailReads: f.Reads, FailWrites: f.Writes, Seed: f.Seed, Files: f.Files},
		landed: func(name string, under DiskProbe) Evidence {
			return Evidence{
				What: "EIO from a probe's call on the disk of " + name,
				Seen: f.Reads > 0 && under.ReadFailed || f.Writes > 0 && under.WriteFailed,
			}
		},
		met: func(c DiskCounters) Evidence {
			return metCalls("reads and writes that got EIO", f.Process, c.FailedReads+c.FailedWrites)
		},
	})
}
