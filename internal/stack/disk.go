package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"shakedown/chaos/disk"
	"shakedown/internal/proc"
	"shakedown/internal/workdir"
)

// Disked is an Instance that may keep its data on a disk of its own.
type Disked interface {
	// Disk is that disk; nil when its data is where the run is.
	Disk() *disk.Disk
}

// DiskCommand are the arguments by which the program that StartOptions.Disk names serves the disk in a folder. The control socket is
// its descriptor 3.
func DiskCommand(base string) []string { return []string{"chaos", "disk", base} }

// dataDisk is the disk of one server: the process that serves it, and its mount.
type dataDisk struct {
	*disk.Disk
	process *proc.Process
	journal *workdir.Journal
	entry   int
}

// dataDir makes the folder that a server in dir keeps its data in, and says where fill puts what is there from the beginning: with a
// disk that is below the mount that is yet to come.
func (o StartOptions) dataDir(dir string) (data, fill string, err error) {
	data = filepath.Join(dir, "data")
	if o.Disk == "" {
		return data, data, nil
	}
	if err := disk.Available(); err != nil {
		return "", "", err
	}
	for _, d := range []string{mountOf(dir), filepath.Join(storeOf(dir), "data")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return "", "", err
		}
		if err := giveAway(d); err != nil {
			return "", "", err
		}
	}
	return filepath.Join(mountOf(dir), "data"), filepath.Join(storeOf(dir), "data", "data"), nil
}

func mountOf(dir string) string { return filepath.Join(dir, "disk") }
func storeOf(dir string) string { return filepath.Join(dir, "store") }

// mountDisk mounts the disk of a server in dir, if it is to have one. What is in its folder by now is on the disk.
func (o StartOptions) mountDisk(ctx context.Context, dir string) (*dataDisk, error) {
	if o.Disk == "" {
		return nil, nil
	}
	d := &dataDisk{journal: o.Run.Journal()}
	var err error
	if d.entry, err = d.journal.Fault("mounted the disk of "+o.Name, disk.UndoKind, mountOf(dir)); err != nil {
		return nil, err
	}
	conn, theirs, err := disk.Pair()
	if err != nil {
		return nil, err
	}
	d.process, err = o.Keeper.Start(ctx, proc.Spec{
		Name: o.Name + "-disk", Path: o.Disk, Args: DiskCommand(storeOf(dir)), ExtraFiles: []*os.File{theirs},
		Log: filepath.Join(o.LogDir, o.Name+"-disk.log"),
	})
	_ = theirs.Close()
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if d.Disk, err = disk.New(ctx, o.Name, mountOf(dir), conn); err != nil {
		return nil, errors.Join(fmt.Errorf("%w%s", err, lastSaid(d.process)), d.close(ctx))
	}
	return d, nil
}

func lastSaid(p *proc.Process) string {
	if said := oneLine(p.Tail(3)); said != "" {
		return "; it last said: " + said
	}
	return ""
}

// close takes the mount away and ends its process.
func (d *dataDisk) close(ctx context.Context) error {
	if d == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
	defer cancel()
	var errs []error
	if d.Disk != nil {
		errs = append(errs, d.Close(ctx))
	}
	errs = append(errs, d.process.Stop(ctx, syscall.SIGTERM, 2*time.Second))
	if err := errors.Join(errs...); err != nil {
		return err // the sweep will try again
	}
	return d.journal.Healed(d.entry)
}

// crashed says whether the process of the disk ended by itself.
func (d *dataDisk) crashed() error {
	if d == nil {
		return nil
	}
	select {
	case <-d.process.Done():
		if !d.process.Expected() {
			return fmt.Errorf("the disk of %s died (%s)%s", d.Name(), d.process.ExitState(), lastSaid(d.process))
		}
	default:
	}
	return nil
}
