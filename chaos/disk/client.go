package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"shakedown/chaos"
	"shakedown/internal/units"
)

// Disk is a disk as the harness has it: the connection to its process, and the place where it is mounted.
type Disk struct {
	name, dir string

	mu    sync.Mutex // one question at a time, and one probe
	conn  *net.UnixConn
	round int // of the probe
}

var _ chaos.Disk = (*Disk)(nil)

// answerTime bounds every answer. It is only reached when something hangs, or a very large file has to be put back.
const answerTime = time.Minute

// New mounts the disk whose process is at the other end of conn at dir, and looks that it works. The caller has noted in the run's
// journal that dir gets a mount. On an error nothing is mounted; conn is the Disk's in any case.
func New(ctx context.Context, name, dir string, conn *net.UnixConn) (*Disk, error) {
	d := &Disk{name: name, dir: dir, conn: conn}
	if err := d.mount(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("disk of %s: %w", name, err), conn.Close())
	}
	if _, err := d.canary(); err != nil { // its name is on the disk from the beginning
		return nil, errors.Join(fmt.Errorf("disk of %s: %w", name, err), d.Close(context.WithoutCancel(ctx)))
	}
	p, err := d.Probe(ctx)
	if err == nil && (p.ReadFailed || p.WriteFailed || p.SyncFailed) {
		err = errors.New("a probe could not be written and read back")
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("disk of %s: %w", name, err), d.Close(context.WithoutCancel(ctx)))
	}
	return d, nil
}

func (d *Disk) mount(ctx context.Context) error {
	f, err := mount(d.dir)
	if err != nil {
		return err
	}
	_, err = d.ask(ctx, request{Do: "mount"}, int(f.Fd()))
	_ = f.Close() // the process has its own; a copy here would keep the mount alive without it
	if err != nil {
		return errors.Join(err, unmountNow(d.dir, true))
	}
	return nil
}

// Close unmounts, and tells the process to end. A mount that is still in use is detached, and goes with its last user.
func (d *Disk) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	d.mu.Lock()
	defer d.mu.Unlock()
	there, err := mountedAt(d.dir)
	if err == nil && there {
		if err = unmount(ctx, d.dir); err != nil {
			err = unmountNow(d.dir, true)
		}
	}
	if cerr := d.conn.Close(); !errors.Is(cerr, net.ErrClosed) { // closing twice is no error
		err = errors.Join(err, cerr)
	}
	return err
}

// ask sends a request, with a descriptor unless it is −1, and waits for the answer.
func (d *Disk) ask(ctx context.Context, r request, fd int) (a reply, err error) {
	deadline, ok := ctx.Deadline()
	if limit := time.Now().Add(answerTime); !ok || limit.Before(deadline) {
		deadline = limit
	}
	if err := d.conn.SetDeadline(deadline); err != nil {
		return a, err
	}
	if err = send(d.conn, r, fd); err == nil {
		_, err = receive(d.conn, &a)
	}
	switch {
	case err != nil:
		return a, fmt.Errorf("disk of %s: %s: its process does not answer: %w", d.name, r.Do, err)
	case a.Error != "":
		return a, fmt.Errorf("disk of %s: %s: %s", d.name, r.Do, a.Error)
	}
	return a, nil
}

func (d *Disk) locked(ctx context.Context, r request) (reply, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ask(ctx, r, -1)
}

// Name is that of the process whose data is on it.
func (d *Disk) Name() string { return d.name }

// Shape puts an effect in force.
func (d *Disk) Shape(ctx context.Context, id string, e chaos.DiskEffect) error {
	_, err := d.locked(ctx, request{Do: "shape", ID: id, Effect: &e})
	return err
}

// Clear removes an effect, also when ctx is done.
func (d *Disk) Clear(ctx context.Context, id string) error {
	_, err := d.locked(context.WithoutCancel(ctx), request{Do: "clear", ID: id})
	return err
}

// Counters are what the disk has done.
func (d *Disk) Counters(ctx context.Context) (chaos.DiskCounters, error) {
	a, err := d.locked(ctx, request{Do: "counters"})
	if err != nil || a.Counters == nil {
		return chaos.DiskCounters{}, err
	}
	return *a.Counters, nil
}

// InForce are the ids of the effects in force.
func (d *Disk) InForce(ctx context.Context) ([]string, error) {
	a, err := d.locked(ctx, request{Do: "effects"})
	return a.IDs, err
}

// Settle puts all that was written so far on the disk, as sync(2) does on another file system.
func (d *Disk) Settle(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.flush(); err != nil {
		return err
	}
	_, err := d.ask(ctx, request{Do: "settle"}, -1)
	return err
}

// flush makes the kernel write what was changed through mappings.
func (d *Disk) flush() error {
	f, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return unix.Syncfs(int(f.Fd()))
}

// Lose takes the power away and gives it back: the mount goes, the store becomes what the disk holds, and a new mount, without any
// cached page, shows it.
func (d *Disk) Lose(ctx context.Context, how chaos.DiskLoss) (chaos.DiskLost, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	kept, err := d.canary()
	if err != nil {
		return chaos.DiskLost{}, fmt.Errorf("disk of %s: writing the canary: %w", d.name, err)
	}
	if err := unmount(ctx, d.dir); err != nil {
		return chaos.DiskLost{}, fmt.Errorf("disk of %s: %w", d.name, err)
	}
	a, err := d.ask(ctx, request{Do: "lose", Loss: &how}, -1)
	if err != nil || a.Lost == nil {
		return chaos.DiskLost{}, errors.Join(err, d.mount(context.WithoutCancel(ctx)))
	}
	if err := d.mount(ctx); err != nil {
		return *a.Lost, err
	}
	now, err := os.ReadFile(d.file(canaryFile))
	a.Lost.CanaryGone = err == nil && !bytes.Contains(now, []byte(unsyncedMark))
	a.Lost.CanaryKept = err == nil && bytes.Equal(now, kept)
	return *a.Lost, nil
}

const (
	syncedMark   = "synced"
	unsyncedMark = "unsynced"
)

func (d *Disk) file(name string) string { return filepath.Join(d.dir, name) }

// canary writes and syncs one content of the canary's file, and writes another over it without a sync. It returns the first.
func (d *Disk) canary() (kept []byte, err error) {
	f, err := os.OpenFile(d.file(canaryFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	d.round++
	content := func(mark string) []byte { return fmt.Appendf(nil, "%-10s%10d\n", mark, d.round) }
	kept = content(syncedMark)
	if _, err := f.WriteAt(kept, 0); err != nil {
		return nil, err
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	_, err = f.WriteAt(content(unsyncedMark), 0)
	return kept, err
}

// Probe writes, syncs and reads the probe file, and tries to let it grow.
func (d *Disk) Probe(ctx context.Context) (p chaos.DiskProbe, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return p, err
	}
	f, err := os.OpenFile(d.file(chaos.DiskProbeFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return p, fmt.Errorf("disk of %s: probing: %w", d.name, err)
	}
	defer func() { _ = f.Close() }()
	d.round++
	content := fmt.Appendf(make([]byte, 0, sectorSize), "%s %d", syncedMark, d.round)
	steps := []struct {
		took   *units.Duration
		failed *bool
		do     func() error
	}{
		{&p.Write, &p.WriteFailed, func() error { _, err := f.WriteAt(content, 0); return err }},
		{&p.Sync, &p.SyncFailed, f.Sync},
		{&p.Read, &p.ReadFailed, func() error { return readBack(f, content) }},
	}
	for _, step := range steps {
		began := time.Now()
		err := step.do()
		*step.took = units.Duration(time.Since(began))
		*step.failed = errors.Is(err, unix.EIO)
		p.NoSpace = p.NoSpace || errors.Is(err, unix.ENOSPC)
		if err != nil && !*step.failed && !errors.Is(err, unix.ENOSPC) {
			return p, fmt.Errorf("disk of %s: probing: %w", d.name, err)
		}
	}
	return p, d.probeRoom(f, &p)
}

// readBack reads past the page cache.
func readBack(f *os.File, want []byte) error {
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		return err
	}
	got := make([]byte, len(want))
	_, err := f.ReadAt(got, 0)
	return err
}

// probeRoom asks what is left, and tries to take of it: a block at the end, which is given back.
func (d *Disk) probeRoom(f *os.File, p *chaos.DiskProbe) error {
	var st unix.Statfs_t
	if err := unix.Statfs(d.dir, &st); err != nil {
		return fmt.Errorf("disk of %s: probing: %w", d.name, err)
	}
	p.Free = int64(st.Bavail) * st.Bsize
	_, err := f.WriteAt(make([]byte, blockSize), sectorSize)
	p.NoSpace = p.NoSpace || errors.Is(err, unix.ENOSPC)
	if err := f.Truncate(sectorSize); err != nil && !errors.Is(err, unix.EIO) {
		return fmt.Errorf("disk of %s: probing: %w", d.name, err)
	}
	return nil
}
