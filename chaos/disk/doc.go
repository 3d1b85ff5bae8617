// Package disk owns a disk that can lose its power: a passthrough file system (FUSE) that remembers what the disk under it would
// still hold if the machine stopped now, and that can be full, slow or broken on demand. It knows files and system calls; it never
// knows engines, experiments, or why a fault is injected. Serve runs it in a process of its own; package stack starts that process,
// mounts the file system over an engine's data and hands faults a Disk, which is the chaos.Disk of that engine.
//
// # What is on the disk
//
// The contract is that of POSIX as Linux keeps it (fsync(2), open(2)): what was written is on the disk once fsync, fdatasync, or the
// write itself to a file opened with O_SYNC or O_DSYNC, has been asked for. Nothing else makes it so: not close, not
// sync_file_range(2), which promises nothing of the kind, and not sync(2) or syncfs(2), which the kernel does not tell a FUSE server of.
// The kernel's own write-back is taken to have done nothing yet; on a real machine it writes data back after about thirty seconds.
//
// Names (create, link, rename, unlink, mkdir, rmdir) follow one of two readings, chosen when the power fails:
//
//   - ordered, as ext4 and XFS keep it: names reach the disk in the order of their changes, with a journal that commits every five
//     seconds, or up to its last change when a file or directory that a change speaks of is synced;
//   - strict, as POSIX allows at worst: a name is on the disk once the directory that it is in is synced, and not before. (A
//     directory that moves to another directory does so at once in either reading.)
//
// Sizes go with the data. Modes, owners and times are not undone.
//
// # How it is remembered
//
// Writes pass through to the backing file at once. Of a file with unsynced changes the store keeps the size that the disk knows, and
// the old content of each block that has been overwritten below it, in a spill file; a sync forgets both. Of each name that has
// changed it keeps what it stood for; an inode that the disk still has a name for is kept in a graveyard when its last name goes.
// Lose puts all of it back. Memory is bounded by sixteen bytes or so for each overwritten block of 4 KiB.
package disk
