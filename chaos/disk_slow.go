package chaos

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"shakedown/internal/units"
)

// DiskSlow delays the system calls that reach a process's disk. Reads that the page cache answers do not; writes do, each of them, as
// they do on a machine whose page cache is full of what is not written yet.
type DiskSlow struct {
	Process string         `json:"process"`
	Read    units.Duration `json:"read,omitempty"`
	Write   units.Duration `json:"write,omitempty"`
	Sync    units.Duration `json:"sync,omitempty"`
	// Files restricts it to files that match, such as pg_wal/* or *.aof.
	Files string `json:"files,omitempty"`
}

var _ Needer = (*DiskSlow)(nil)

// Kind is "disk_slow".
func (*DiskSlow) Kind() string { return "disk_slow" }

func (f *DiskSlow) String() string {
	var parts []string
	for _, p := range []struct {
		what  string
		delay units.Duration
	}{{"reads", f.Read}, {"writes", f.Write}, {"syncs", f.Sync}} {
		if p.delay > 0 {
			parts = append(parts, fmt.Sprintf("%s +%v", p.what, p.delay))
		}
	}
	return "disk of " + f.Process + " slow: " + strings.Join(parts, ", ") + ofFiles(f.Files)
}

func ofFiles(pattern string) string {
	if pattern == "" {
		return ""
	}
	return " of " + pattern
}

// Validate wants the name of a process and at least one delay.
func (f *DiskSlow) Validate() error {
	if err := errors.Join(checkProcessName(f.Process), checkFiles(f.Files)); err != nil {
		return err
	}
	switch {
	case f.Read < 0 || f.Write < 0 || f.Sync < 0:
		return fmt.Errorf("read, write, sync: delays must be 0 or above, got %v, %v and %v", f.Read, f.Write, f.Sync)
	case f.Read+f.Write+f.Sync == 0:
		return errors.New("nothing is slow; set read, write or sync to a delay")
	}
	return nil
}

// Available wants a process of that name whose data is on a disk of the run's own.
func (f *DiskSlow) Available(s Surface) error {
	_, err := disksOf(s, f.Process)
	return err
}

// Needs is FUSE.
func (*DiskSlow) Needs() []Need { return []Need{NeedFUSE} }

// Inject proves itself by how long a probe's calls take.
func (f *DiskSlow) Inject(ctx context.Context, s Surface) (Injection, error) {
	longest := max(f.Read, f.Write, f.Sync)
	return injectDisks(ctx, s, diskFault{
		fault: f, process: f.Process,
		effect: DiskEffect{ReadDelay: f.Read, WriteDelay: f.Write, SyncDelay: f.Sync, Files: f.Files},
		landed: func(name string, under DiskProbe) Evidence {
			got := map[bool]units.Duration{f.Read == longest: under.Read, f.Write == longest: under.Write, f.Sync == longest: under.Sync}[true]
			return Evidence{
				What: "the probe's slowest call on the disk of " + name, Unit: "ms", Want: longest.D().Seconds() * 1e3, Got: got.D().Seconds() * 1e3,
				Seen: under.Read >= f.Read && under.Write >= f.Write && under.Sync >= f.Sync,
			}
		},
		met: func(c DiskCounters) Evidence {
			return metCalls("calls that were delayed", f.Process, c.DelayedReads+c.DelayedWrites+c.DelayedSyncs)
		},
	})
}
