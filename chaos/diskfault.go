package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"reflect"
	"slices"
	"sync"
	"time"
)

// A diskFault is what distinguishes one lasting fault of a disk from another.
type diskFault struct {
	fault   Fault
	process string
	effect  DiskEffect
	// landed judges the effect by a probe under it.
	landed func(name string, under DiskProbe) Evidence
	// met judges what real traffic met, summed over all disks, between two readings of the counters.
	met func(DiskCounters) Evidence
}

// diskInjection is a fault in force on every disk of one name.
type diskInjection struct {
	diskFault
	id    string
	disks []Disk
	start []DiskCounters
	proof Evidence

	mu      sync.Mutex
	counted bool // traffic is final
	healed  bool
	traffic Evidence
}

// diskLook is how long to look for an effect, or for its end, with one probe after the other: some show it by chance only.
const diskLook = 20 * time.Second

// disksOf resolves the name of a process to the disks that its data is on.
func disksOf(s Surface, name string) ([]Disk, error) {
	if _, err := processesOf(s, name); err != nil {
		return nil, err
	}
	if has, ok := s.(DiskSurface); ok {
		if disks := has.Disks(name); len(disks) > 0 {
			return disks, nil
		}
	}
	return nil, fmt.Errorf("no disk of %s that faults can act on; give the engine one with disk: true", name)
}

// injectDisks puts the fault in force on all its disks and proves it on each. When it fails, it has undone what it did.
func injectDisks(ctx context.Context, s Surface, f diskFault) (Injection, error) {
	if err := f.fault.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", f.fault.Kind(), err)
	}
	disks, err := disksOf(s, f.process)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.fault, err)
	}
	in := &diskInjection{diskFault: f, disks: disks, id: fmt.Sprintf("%s-%016x", f.fault.Kind(), rand.Uint64())}
	if err := in.inject(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", f.fault, err), in.clear(ctx))
	}
	return in, nil
}

func (in *diskInjection) inject(ctx context.Context) (err error) {
	if in.start, err = in.counters(ctx); err != nil {
		return err
	}
	var proofs []Evidence
	for _, d := range in.disks {
		if err := d.Shape(ctx, in.id, in.effect); err != nil {
			return err
		}
		proof, err := in.look(ctx, d)
		if err != nil {
			return err
		}
		proofs = append(proofs, proof)
	}
	in.proof = worst(proofs)
	return nil
}

// look probes a disk until it shows the effect.
func (in *diskInjection) look(ctx context.Context, d Disk) (Evidence, error) {
	for until := time.Now().Add(diskLook); ; {
		p, err := d.Probe(ctx)
		if err != nil {
			return Evidence{}, fmt.Errorf("probing for the effect: %w", err)
		}
		if e := in.landed(d.Name(), p); e.Seen || time.Now().After(until) {
			return e, nil
		}
	}
}

// Landed is the weakest observation among the disks.
func (in *diskInjection) Landed() Evidence { return in.proof }

// Heal takes the effect away, even when ctx is done, and then proves it gone. The evidence is what real traffic met.
func (in *diskInjection) Heal(ctx context.Context) (Evidence, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.healed {
		return in.traffic, nil
	}
	counting := in.count(context.WithoutCancel(ctx))
	err := errors.Join(counting, in.clear(ctx))
	for _, d := range in.disks {
		if err == nil {
			err = in.proveGone(ctx, d)
		}
	}
	if err != nil {
		return in.traffic, fmt.Errorf("healing %s: %w", in.fault, err)
	}
	in.healed = true
	return in.traffic, nil
}

// count settles the evidence, once, just before the effect is first cleared.
func (in *diskInjection) count(ctx context.Context) error {
	if in.counted {
		return nil
	}
	now, err := in.counters(ctx)
	if err != nil {
		return err
	}
	var sum DiskCounters
	for i, c := range now {
		sum = sum.plus(c, 1).plus(in.start[i], -1)
	}
	in.traffic, in.counted = in.met(sum), true
	return nil
}

// plus adds another reading so many times.
func (c DiskCounters) plus(o DiskCounters, times int64) DiskCounters {
	sum, add := reflect.ValueOf(&c).Elem(), reflect.ValueOf(o)
	for i := range sum.NumField() {
		sum.Field(i).SetInt(sum.Field(i).Int() + times*add.Field(i).Int())
	}
	return c
}

func (in *diskInjection) counters(ctx context.Context) (all []DiskCounters, err error) {
	for _, d := range in.disks {
		c, err := d.Counters(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

func (in *diskInjection) clear(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	var errs []error
	for _, d := range in.disks {
		errs = append(errs, d.Clear(ctx, in.id))
	}
	return errors.Join(errs...)
}

// proveGone probes until the disk does not show the effect. Where another fault in force shows the same, it is enough that the
// disk no longer has this one.
func (in *diskInjection) proveGone(ctx context.Context, d Disk) error {
	for until := time.Now().Add(diskLook); ; {
		p, err := d.Probe(ctx)
		if err != nil {
			return fmt.Errorf("probing for its end: %w", err)
		}
		ids, err := d.InForce(ctx)
		switch {
		case err != nil:
			return err
		case slices.Contains(ids, in.id):
			return fmt.Errorf("the disk of %s still has %s in force after clearing it", d.Name(), in.id)
		case len(ids) > 0 || !in.landed(d.Name(), p).Seen:
			return nil
		case time.Now().After(until):
			return fmt.Errorf("the disk of %s still shows it: %+v", d.Name(), p)
		}
	}
}

// metCalls is the evidence that effects acted on real system calls.
func metCalls(what, process string, n int64) Evidence {
	return Evidence{What: what + " on the disk of " + process, Got: float64(n), Want: 1, Unit: "calls", Seen: n > 0}
}

// checkFiles says what is wrong with a pattern for files.
func checkFiles(pattern string) error {
	if _, err := path.Match(pattern, ""); err != nil {
		return fmt.Errorf("files %q is no pattern: %w; write it as pg_wal/* or *.aof", pattern, err)
	}
	return nil
}
