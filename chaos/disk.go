package chaos

import (
	"context"

	"shakedown/internal/units"
)

// A Disk is the file system that a process keeps its data on, and that faults of disks act on. Package chaos/disk is one.
type Disk interface {
	// Name is that of the process whose data is on it.
	Name() string
	// Shape puts an effect in force under the given id; effects with different ids add up.
	Shape(ctx context.Context, id string, e DiskEffect) error
	// Clear removes the effect with the given id; clearing an absent id is no error.
	Clear(ctx context.Context, id string) error
	// InForce are the ids of the effects in force.
	InForce(ctx context.Context) ([]string, error)
	// Counters are cumulative since the disk was made.
	Counters(ctx context.Context) (DiskCounters, error)
	// Probe writes, syncs and reads a small file of its own on the disk, through the kernel as anybody would.
	Probe(ctx context.Context) (DiskProbe, error)
	// Lose makes the disk hold what it would hold had the machine lost its power. Every process that uses it must be gone.
	Lose(ctx context.Context, how DiskLoss) (DiskLost, error)
}

// DiskSurface is a Surface that has disks.
type DiskSurface interface {
	// Disks are those of the processes with the given name.
	Disks(name string) []Disk
}

// DiskProbeFile is the file that probes use, in the root of the disk. It is no part of the data, and counts nowhere.
const DiskProbeFile = ".shakedown-probe"

// A DiskEffect is what a disk does to the system calls of its users. The zero value does nothing.
type DiskEffect struct {
	// ReadDelay, WriteDelay and SyncDelay are added to each of them. Reads that the page cache answers never reach a disk.
	ReadDelay  units.Duration `json:"read_delay,omitempty"`
	WriteDelay units.Duration `json:"write_delay,omitempty"`
	SyncDelay  units.Duration `json:"sync_delay,omitempty"`
	// Full: files may grow by Room bytes more, all together; then ENOSPC.
	Full bool  `json:"full,omitempty"`
	Room int64 `json:"room,omitempty"`
	// FailSync is the number of the sync that fails with EIO, counted from 1 over the files that match; 0 fails none. What is
	// dirty in that file then never reaches the disk unless it is written again, and later syncs succeed, as in Linux.
	FailSync int64 `json:"fail_sync,omitempty"`
	// FailReads and FailWrites are shares of the reads and writes that fail with EIO, decided by Seed and their number.
	FailReads  float64 `json:"fail_reads,omitempty"`
	FailWrites float64 `json:"fail_writes,omitempty"`
	Seed       uint64  `json:"seed,omitempty"`
	// Files is a pattern of path.Match for as many of the last parts of a file's path as it has, "*.aof" or "pg_wal/*"; empty
	// matches all. It restricts everything but Full.
	Files string `json:"files,omitempty"`
}

// DiskCounters say what a disk has done, cumulatively.
type DiskCounters struct {
	Reads        int64 `json:"reads"`
	Writes       int64 `json:"writes"`
	Syncs        int64 `json:"syncs"`
	BytesWritten int64 `json:"bytes_written"`
	// Unsynced is the number of bytes written that would be lost now.
	Unsynced int64 `json:"unsynced"`
	// What effects did.
	DelayedReads  int64 `json:"delayed_reads"`
	DelayedWrites int64 `json:"delayed_writes"`
	DelayedSyncs  int64 `json:"delayed_syncs"`
	Refused       int64 `json:"refused"` // ENOSPC
	FailedReads   int64 `json:"failed_reads"`
	FailedWrites  int64 `json:"failed_writes"`
	FailedSyncs   int64 `json:"failed_syncs"`
}

// DiskProbe is what became of one probe.
type DiskProbe struct {
	// Read, Write and Sync are how long each took.
	Read  units.Duration `json:"read"`
	Write units.Duration `json:"write"`
	Sync  units.Duration `json:"sync"`
	// ReadFailed, WriteFailed and SyncFailed: it got EIO.
	ReadFailed  bool `json:"read_failed"`
	WriteFailed bool `json:"write_failed"`
	SyncFailed  bool `json:"sync_failed"`
	// Free is what statfs says is left for files.
	Free int64 `json:"free"`
	// NoSpace: growing the file got ENOSPC.
	NoSpace bool `json:"no_space"`
}

// DiskLoss says how a disk loses its power.
type DiskLoss struct {
	// Torn: of what was not synced, each sector of 512 bytes reached the disk or did not, by Seed. Otherwise none did.
	Torn bool   `json:"torn,omitempty"`
	Seed uint64 `json:"seed,omitempty"`
	// Strict: names are lost unless their directory was synced. Otherwise they are kept in order, as ext4 and XFS do.
	Strict bool `json:"strict,omitempty"`
}

// DiskLost is what was on no disk when the power failed.
type DiskLost struct {
	Files  int64 `json:"files"`  // with writes that were not synced
	Writes int64 `json:"writes"` // since the last sync of each
	Bytes  int64 `json:"bytes"`
	Names  int64 `json:"names"` // made, moved and removed
	// Worst are the files that lost most.
	Worst []LostFile `json:"worst,omitempty"`
	// CanaryGone and CanaryKept: a canary that wrote without a sync lost that, and kept what it had synced before.
	CanaryGone bool `json:"canary_gone"`
	CanaryKept bool `json:"canary_kept"`
}

// LostFile is what one file has lost.
type LostFile struct {
	Name   string `json:"name"`
	Writes int64  `json:"writes"`
	Bytes  int64  `json:"bytes"`
}
