package disk

import (
	"context"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"shakedown/chaos"
)

// op is one kind of system call that effects act on.
type op int

const (
	reading op = iota
	writing
	syncing
)

// effects are those in force. Without any, a system call pays for one atomic load.
type effects struct {
	now atomic.Pointer[[]*inForce]

	mu   sync.Mutex
	byID map[string]*inForce

	count counters
}

// counters are chaos.DiskCounters under way.
type counters struct {
	reads, writes, syncs, bytes                     atomic.Int64
	delayedReads, delayedWrites, delayedSyncs       atomic.Int64
	failedReads, failedWrites, failedSyncs, refused atomic.Int64
}

// inForce is an effect with what it has counted.
type inForce struct {
	chaos.DiskEffect
	syncs, reads, writes atomic.Int64 // that it looked at
	probed               atomic.Int64 // likewise, of the probe
}

// set puts an effect in force, or takes it away with nil.
func (e *effects) set(id string, effect *chaos.DiskEffect) {
	e.mu.Lock()
	defer e.mu.Unlock()
	byID := maps.Clone(e.byID)
	if byID == nil {
		byID = map[string]*inForce{}
	}
	delete(byID, id)
	if effect != nil {
		byID[id] = &inForce{DiskEffect: *effect}
	}
	e.byID = byID
	if len(byID) == 0 {
		e.now.Store(nil)
		return
	}
	list := make([]*inForce, 0, len(byID))
	for _, f := range byID {
		list = append(list, f)
	}
	e.now.Store(&list)
}

// ids are those in force.
func (e *effects) ids() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Sorted(maps.Keys(e.byID))
}

// room is the smallest room of the effects in force.
func (e *effects) room() (left int64, bound bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, f := range e.byID {
		if f.Full && (!bound || f.Room < left) {
			left, bound = f.Room, true
		}
	}
	return left, bound
}

// meet is called before a system call on a file. It waits for the delays of all effects, and says whether one of them fails the call.
func (e *effects) meet(ctx context.Context, o op, name string) (fails bool) {
	list := e.now.Load()
	if list == nil || name == canaryFile {
		return false
	}
	probe := name == chaos.DiskProbeFile
	var delay time.Duration
	for _, f := range *list {
		if !probe && !matches(f.Files, name) {
			continue
		}
		delay += f.delay(o)
		fails = f.fails(o, probe) || fails
	}
	e.wait(ctx, o, delay, probe)
	if fails && !probe {
		e.failed(o).Add(1)
	}
	return fails
}

func (e *effects) wait(ctx context.Context, o op, delay time.Duration, probe bool) {
	if delay <= 0 {
		return
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	if !probe {
		[...]*atomic.Int64{&e.count.delayedReads, &e.count.delayedWrites, &e.count.delayedSyncs}[o].Add(1)
	}
}

func (e *effects) failed(o op) *atomic.Int64 {
	return [...]*atomic.Int64{&e.count.failedReads, &e.count.failedWrites, &e.count.failedSyncs}[o]
}

func (f *inForce) delay(o op) time.Duration {
	return [...]time.Duration{f.ReadDelay.D(), f.WriteDelay.D(), f.SyncDelay.D()}[o]
}

// fails decides by the number of the call. The probe is counted apart, so that it neither uses up nor waits for the sync that fails.
func (f *inForce) fails(o op, probe bool) bool {
	switch {
	case o == syncing && probe:
		return f.FailSync > 0
	case o == syncing:
		return f.FailSync > 0 && f.syncs.Add(1) == f.FailSync
	case o == reading:
		return f.chance(f.FailReads, &f.reads, probe)
	default:
		return f.chance(f.FailWrites, &f.writes, probe)
	}
}

func (f *inForce) chance(share float64, calls *atomic.Int64, probe bool) bool {
	if share <= 0 {
		return false
	}
	if probe {
		calls = &f.probed
	}
	rng := rand.New(rand.NewPCG(f.Seed, uint64(calls.Add(1))))
	return rng.Float64() < share
}

// matches says whether an effect's pattern is about a file: it has to match as many of the last parts of the file's path as it has.
func matches(pattern, name string) bool {
	if pattern == "" {
		return true
	}
	parts := strings.Split(name, "/")
	from := len(parts) - 1 - strings.Count(pattern, "/")
	if from < 0 {
		return false
	}
	ok, err := path.Match(pattern, strings.Join(parts[from:], "/"))
	return ok && err == nil
}

// eio is what a failing disk says.
const eio = unix.EIO

func (c *counters) now() chaos.DiskCounters {
	return chaos.DiskCounters{
		Reads: c.reads.Load(), Writes: c.writes.Load(), Syncs: c.syncs.Load(), BytesWritten: c.bytes.Load(),
		DelayedReads: c.delayedReads.Load(), DelayedWrites: c.delayedWrites.Load(), DelayedSyncs: c.delayedSyncs.Load(),
		Refused: c.refused.Load(), FailedReads: c.failedReads.Load(), FailedWrites: c.failedWrites.Load(),
		FailedSyncs: c.failedSyncs.Load(),
	}
}
