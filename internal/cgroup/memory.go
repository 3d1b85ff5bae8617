package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// MemoryUse is what the memory controller says of a group. What a process held before it came into the group is not counted.
type MemoryUse struct {
	Limit int64 // bytes; 0 means none
	Bytes int64 // held now, caches of files included
	Peak  int64 // the most that was held, with version 1 since the limit was set; 0 where the kernel does not keep it
	Hits  int64 // how often the limit was met, where the kernel counts that; with version 1 it need not
	Kills int64 // processes that the kernel killed because nothing could be taken back
}

// Met says whether the limit was met, so that memory had to be taken back.
func (u MemoryUse) Met() bool {
	return u.Hits > 0 || u.Kills > 0 || u.Limit > 0 && u.Peak > u.Limit-charges
}

// charges is how far below its limit a group that meets it may stay: the kernel charges memory ahead, in batches for each
// processor, and gives a batch up when it does not fit.
const charges = 1 << 20

// LimitMemory gives the group a limit of so many bytes, memory and swap together; 0 means none. A limit below what is held
// makes the kernel take back what it can, caches first: when that is not enough, version 1 refuses, and version 2 kills.
func (g *Group) LimitMemory(bytes int64) error {
	p, err := g.place(Memory)
	if err != nil {
		return err
	}
	if p.Version == 2 {
		limit, swap := strconv.FormatInt(bytes, 10), "0"
		if bytes == 0 {
			limit, swap = "max", "max"
		}
		return errors.Join(optional(write(p.Dir, "memory.swap.max", swap)), write(p.Dir, "memory.max", limit))
	}
	const memory, both = "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"
	if bytes == 0 { // the sum may never be below the memory's limit
		return errors.Join(optional(write(p.Dir, both, "-1")), write(p.Dir, memory, "-1"))
	}
	limit := strconv.FormatInt(bytes, 10)
	if err := write(p.Dir, memory, limit); err != nil {
		if errors.Is(err, syscall.EBUSY) {
			use, _ := g.Memory()
			return fmt.Errorf("%d bytes are held, of which the kernel cannot take enough back for a limit of %d: %w", use.Bytes, bytes, err)
		}
		return err
	}
	return errors.Join(optional(write(p.Dir, both, limit)), write(p.Dir, "memory.max_usage_in_bytes", "0"))
}

// optional forgives a file that is not there: kernels without accounting of swap have none for it.
func optional(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Memory reads the limit and what it did, cumulatively since the group was made.
func (g *Group) Memory() (MemoryUse, error) {
	p, err := g.place(Memory)
	if err != nil {
		return MemoryUse{}, err
	}
	if p.Version == 2 {
		return memory2(p.Dir)
	}
	return memory1(p.Dir)
}

func memory1(dir string) (MemoryUse, error) {
	limit, err1 := number(dir, "memory.limit_in_bytes")
	bytes, err2 := number(dir, "memory.usage_in_bytes")
	hits, err3 := number(dir, "memory.failcnt")
	oom, err4 := numbers(dir, "memory.oom_control")
	peak, err5 := number(dir, "memory.max_usage_in_bytes")
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return MemoryUse{}, err
	}
	both, err := number(dir, "memory.memsw.failcnt") // where memory and swap have the same limit, it is met here
	if optional(err) != nil {
		return MemoryUse{}, err
	}
	if limit > math.MaxInt64/2 { // no limit is the largest multiple of a page
		limit = 0
	}
	return MemoryUse{Limit: limit, Bytes: bytes, Peak: peak, Hits: hits + both, Kills: oom["oom_kill"]}, nil
}

func memory2(dir string) (MemoryUse, error) {
	text, err1 := read(dir, "memory.max")
	bytes, err2 := number(dir, "memory.current")
	events, err3 := numbers(dir, "memory.events")
	if err := errors.Join(err1, err2, err3); err != nil {
		return MemoryUse{}, err
	}
	peak, err := number(dir, "memory.peak") // since Linux 5.19
	if optional(err) != nil {
		return MemoryUse{}, err
	}
	u := MemoryUse{Bytes: bytes, Peak: peak, Hits: events["max"], Kills: events["oom_kill"]}
	if text == "max" {
		return u, nil
	}
	u.Limit, err = strconv.ParseInt(text, 10, 64)
	return u, err
}

func (g *Group) place(c Controller) (Place, error) {
	p, ok := g.dirs[c]
	if !ok {
		return Place{}, fmt.Errorf("the control group was made without the controller %s", c)
	}
	return p, nil
}

func read(dir, file string) (string, error) {
	raw, err := os.ReadFile(filepath.Join(dir, file))
	return strings.TrimSpace(string(raw)), err
}

func number(dir, file string) (int64, error) {
	text, err := read(dir, file)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(text, 10, 64) // some kernels say 2^64 - 1 for no limit
	if err != nil {
		return 0, fmt.Errorf("%s/%s: %w", dir, file, err)
	}
	return int64(min(n, math.MaxInt64)), nil
}

// numbers reads a file of lines with a name and a number each.
func numbers(dir, file string) (map[string]int64, error) {
	text, err := read(dir, file)
	if err != nil {
		return nil, err
	}
	found := map[string]int64{}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.ParseInt(value, 10, 64)
		if !ok || err != nil {
			return nil, fmt.Errorf("%s/%s: malformed line %q", dir, file, line)
		}
		found[name] = n
	}
	return found, nil
}
