package chaos

import (
	"context"
	"fmt"
)

// MemoryLimit limits what a process and all it starts may hold, caches of files included. The kernel takes back what it can,
// and kills one of them when that is not enough. Healing lifts the limit and starts what was killed.
type MemoryLimit struct {
	Process string `json:"process"`
	// Bytes is the limit. A process that holds more already, and nothing that can be taken back, is an error where the kernel
	// has version 1 of control groups, and is killed where it has version 2.
	Bytes int64 `json:"bytes"`
}

var (
	_ Arranger = (*MemoryLimit)(nil)
	_ Needer   = (*MemoryLimit)(nil)
)

// Kind is "memory_limit".
func (*MemoryLimit) Kind() string { return "memory_limit" }

func (f *MemoryLimit) String() string {
	return fmt.Sprintf("limit of %.4g MiB for %s", float64(f.Bytes)/(1<<20), f.Process)
}

// Needs are control groups.
func (*MemoryLimit) Needs() []Need { return []Need{NeedMemoryGroups} }

// Arrange wants the process in a group from its start: what it took before would count elsewhere.
func (f *MemoryLimit) Arrange() (string, Arrangement) {
	return f.Process, Arrangement{MemoryGroup: true}
}

// Validate wants the name of a process and a limit in which a program can run at all.
func (f *MemoryLimit) Validate() error {
	if f.Bytes < 1<<20 {
		return fmt.Errorf("bytes is %d; write a limit of at least a mebibyte, such as 67108864", f.Bytes)
	}
	return checkProcessName(f.Process)
}

const cannotLimitMemory = "be given a limit of memory"

// Available wants a process of that name that can be given a limit.
func (f *MemoryLimit) Available(s Surface) error {
	_, err := ableOf[MemoryLimiter](s, f.Process, cannotLimitMemory)
	return err
}

// Inject proves itself by the limit that the kernel reads back. That it was met shows when it is healed.
func (f *MemoryLimit) Inject(ctx context.Context, s Surface) (Injection, error) {
	return effectFault[MemoryLimiter]{fault: f, process: f.Process, lacks: cannotLimitMemory, begin: f.begin}.inject(ctx, s)
}

func (f *MemoryLimit) begin(ctx context.Context, p MemoryLimiter) (processEffect, error) {
	before, err := p.Memory(ctx)
	if err != nil {
		return nil, err
	}
	if before.Limit != 0 {
		return nil, fmt.Errorf("it has a limit of %d bytes already; heal that first", before.Limit)
	}
	l := &memoryLimit{process: p, before: before}
	if err := p.LimitMemory(ctx, f.Bytes); err != nil {
		return l, err
	}
	now, err := p.Memory(ctx)
	if err != nil {
		return l, err
	}
	const page = 64 << 10 // the largest that a kernel rounds to
	l.proof = Evidence{
		What: "limit of " + p.Name() + ", read back", Want: float64(f.Bytes), Got: float64(now.Limit), Unit: "B",
		Seen: now.Limit > f.Bytes-page && now.Limit < f.Bytes+page,
	}
	return l, nil
}

// memoryLimit is a limit in force on one process.
type memoryLimit struct {
	process MemoryLimiter
	before  MemoryUse
	proof   Evidence
	during  MemoryUse
	counted bool
}

func (l *memoryLimit) landed() Evidence { return l.proof }

func (l *memoryLimit) end(ctx context.Context) (Evidence, error) {
	var err error
	if !l.counted { // once the limit is lifted, the kernel no longer says whether it was met
		if l.during, err = l.process.Memory(ctx); err != nil {
			return Evidence{}, err
		}
		l.counted = true
	}
	if err := l.process.LimitMemory(ctx, 0); err != nil {
		return Evidence{}, err
	}
	after, err := l.process.Memory(ctx)
	if err != nil {
		return Evidence{}, err
	}
	if after.Limit != 0 {
		return Evidence{}, fmt.Errorf("it still has a limit of %d bytes", after.Limit)
	}
	if err := running(ctx, l.process); err != nil {
		return Evidence{}, err
	}
	return l.did(), nil
}

func (l *memoryLimit) did() Evidence {
	kills := l.during.Kills - l.before.Kills
	e := Evidence{What: l.process.Name() + " did not meet its limit", Got: float64(kills), Unit: "OOM kills"}
	switch {
	case kills > 0:
		e.What, e.Seen = l.process.Name()+" ran out of memory", true
	case l.during.Met:
		e.What, e.Seen = l.process.Name()+" met its limit, and memory was taken back", true
	}
	return e
}
