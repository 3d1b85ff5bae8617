package chaostest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"shakedown/chaos"
	"shakedown/chaos/disk"
)

const (
	diskEnv  = "SHAKEDOWN_CHAOSTEST_DISK"  // the folder whose disk this process serves
	writeEnv = "SHAKEDOWN_CHAOSTEST_WRITE" // the folder on a mount that this process writes in
)

// beDisk serves a disk.
func beDisk(base string) {
	conn, err := disk.Inherited(os.NewFile(3, "control"))
	if err == nil {
		err = disk.Serve(context.Background(), base, conn)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// beWriter grows a file and cuts a bit off it now and then, overwrites, syncs, and reads past the page cache; whatever a disk says to that.
// The file grows without an end, because what is cut off is room again. It ends with its standard input, as its parent does at the latest.
func beWriter(dir string) {
	fmt.Println("up")
	ended := make(chan struct{})
	go func() { defer close(ended); _, _ = io.Copy(io.Discard, os.Stdin) }()
	block := make([]byte, 4096)
	for round := int64(0); ; round++ {
		select {
		case <-ended:
			return
		default:
		}
		f, err := os.OpenFile(filepath.Join(dir, "data"), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			continue
		}
		size := int64(len(block))
		_, _ = f.WriteAt(block, round*size)
		_, _ = f.WriteAt(block, round/2*size)
		if round%4 == 0 {
			_ = f.Sync()
		}
		_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
		_, _ = f.ReadAt(block, 0)
		if round%64 == 63 {
			_ = f.Truncate((round - 3) * size)
		}
		_ = f.Close()
		time.Sleep(pace)
	}
}

// disks is a surface with processes that write to disks of their own.
type disks struct {
	processes
	of []*disk.Disk
}

func (s disks) Disks(name string) (found []chaos.Disk) {
	for _, p := range s.Processes(name) {
		for _, d := range s.of {
			if d.Name() == p.Name() {
				found = append(found, d)
			}
		}
	}
	return found
}

// onDisks has a process of the role, and one beside it whose power can be lost while others come and go.
var onDisks = &Stand{
	Name: "disks",
	Missing: func() string {
		if err := disk.Available(); err != nil {
			return err.Error()
		}
		return ""
	},
	Build: func(t *testing.T) Rig {
		t.Helper()
		s := disks{}
		for _, name := range []string{"worker-0", neighbour("power_loss")} {
			d, mnt := newDisk(t, name)
			p := &child{name: name, env: writeEnv + "=" + mnt}
			if err := p.Start(t.Context()); err != nil {
				t.Fatalf("starting %s: %v", name, err)
			}
			t.Cleanup(func() {
				if err := p.Kill(context.Background()); err != nil {
					t.Errorf("ending %s: %v", name, err)
				}
			})
			s.processes, s.of = append(s.processes, p), append(s.of, d)
		}
		return Rig{
			Surface: s,
			Start:   func(*testing.T, Harm) Traffic { return &calls{s: s} },
			Clean:   s.clean,
		}
	},
}

// newDisk mounts a disk that another process of this test binary serves.
func newDisk(t *testing.T, name string) (d *disk.Disk, mnt string) {
	t.Helper()
	harness, process, err := disk.Pair()
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	base := t.TempDir()
	mnt = filepath.Join(base, "disk")
	if err := os.Mkdir(mnt, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), diskEnv+"="+filepath.Join(base, "store"))
	cmd.ExtraFiles, cmd.Stderr = []*os.File{process}, os.Stderr
	err = cmd.Start()
	_ = process.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Wait(); err != nil { // it ends with its connection
			t.Errorf("the process of the disk: %v", err)
		}
		if _, err := os.Lstat(filepath.Join(mnt, chaos.DiskProbeFile)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the mount is still there: %v", err)
		}
	})
	if d, err = disk.New(t.Context(), name, mnt, harness); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(context.Background()); err != nil {
			t.Errorf("closing the disk: %v", err)
		}
	})
	return d, mnt
}

// clean says which effects are left.
func (s disks) clean(ctx context.Context) error {
	for _, d := range s.of {
		if ids, err := d.InForce(ctx); err != nil || len(ids) > 0 {
			return errors.Join(err, fmt.Errorf("%s still has %q in force", d.Name(), ids))
		}
	}
	return nil
}

// calls are the system calls of the processes.
type calls struct {
	s    disks
	mark int64
}

func (c *calls) met(ctx context.Context) (n int64, err error) {
	for _, d := range c.s.of {
		now, err := d.Counters(ctx)
		if err != nil {
			return 0, err
		}
		n += now.DelayedReads + now.DelayedWrites + now.DelayedSyncs + now.Refused + now.FailedReads + now.FailedWrites + now.FailedSyncs
	}
	return n, nil
}

func (c *calls) Mark(ctx context.Context) (err error) {
	c.mark, err = c.met(ctx)
	return err
}

// Meet returns once a call has met an effect, or a process is gone.
func (c *calls) Meet(ctx context.Context) error {
	return poll(ctx, func() (bool, error) {
		for _, p := range c.s.processes {
			if st, err := p.State(ctx); err != nil || st == chaos.Gone {
				return true, err
			}
		}
		n, err := c.met(ctx)
		return n > c.mark, err
	})
}

func (*calls) Stop(context.Context) error { return nil }
