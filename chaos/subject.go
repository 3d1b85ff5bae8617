package chaos

import (
	"context"
	"time"
)

// What some processes can do beyond Process. A fault asks for what it needs, and says which process lacks it.
type (
	// An Answerer is a Process that can be asked something real.
	Answerer interface {
		Process
		// Answers says why it did not answer; nil when it did.
		Answers(context.Context) error
	}

	// A Terminator is a Process that can be asked to end.
	Terminator interface {
		Process
		// Terminate sends the signal, and SIGKILL to what is left after the grace. It returns once the process is gone.
		Terminate(ctx context.Context, s Signal, grace time.Duration) (Ending, error)
	}

	// A CPULimiter is a Process that runs in a control group with the controller cpu, with all that it starts.
	CPULimiter interface {
		Process
		// LimitCPU sets the group's quota in cores; 0 takes it away. The quota stays when the process is started again.
		LimitCPU(ctx context.Context, cores float64) error
		// CPU reads the quota and what it did, cumulatively.
		CPU(context.Context) (CPUUse, error)
	}

	// A MemoryLimiter is a Process that runs in a control group with the controller memory, with all that it starts.
	MemoryLimiter interface {
		Process
		// LimitMemory sets the group's limit in bytes; 0 takes it away. The limit stays when the process is started again.
		LimitMemory(ctx context.Context, bytes int64) error
		// Memory reads the limit and what it did, cumulatively.
		Memory(context.Context) (MemoryUse, error)
	}

	// A FileLimiter is a Process whose limit on open files can be changed while it runs.
	FileLimiter interface {
		Process
		// LimitFiles lowers the soft limit of the process, and of all it started, to a number or, where that is 0, to what
		// leaves each of them so many descriptors more than it has open now.
		LimitFiles(ctx context.Context, number, spare int) error
		// UnlimitFiles gives them the soft limit that the process had before. Twice is no error, and a process that was started
		// since has its own.
		UnlimitFiles(context.Context) error
		// Files reads limits and open descriptors, the process itself first.
		Files(context.Context) ([]FileUse, error)
	}

	// A Crowded is a Process that others can be started beside, to take the processors from it.
	Crowded interface {
		Process
		// Burn starts so many busy processes, in the control group of this one if it has one. They end with the harness.
		Burn(ctx context.Context, processes int) (Burn, error)
	}

	// A Skewable is a Process that takes its time from a clock that can be changed.
	Skewable interface {
		Process
		// CanSkew says why its clock cannot be changed, and what to use instead; it never acts.
		CanSkew() error
		// Skew changes its clock; the zero Skew takes that back. It may take a second until the process notices.
		Skew(context.Context, Skew) error
		// Time asks the process what time it is.
		Time(context.Context) (time.Time, error)
	}
)

// A Subject is a Process that every fault of processes can act on: a process that a run started.
type Subject interface {
	Answerer
	Terminator
	CPULimiter
	MemoryLimiter
	FileLimiter
	Crowded
	Skewable
}

// Signal is a request to end, as kill(1) names it.
type Signal string

// The signals that ask a process to end. The empty Signal is SIGTERM.
const (
	TERM Signal = "TERM" // of init systems and orchestrators; PostgreSQL waits for its clients first
	INT  Signal = "INT"  // of a terminal; PostgreSQL's fast shutdown
	QUIT Signal = "QUIT" // PostgreSQL's immediate shutdown
	HUP  Signal = "HUP"  // of a terminal that is gone
)

// Ending is how a process came to its end.
type Ending struct {
	How    string // "exit status 0", "signal: killed"
	Killed bool   // it did not end within the grace
	Took   time.Duration
}

// CPUUse is what a control group says of a quota.
type CPUUse struct {
	Cores       float64       // the quota; 0 means none
	Periods     int64         // of the quota in which the group wanted to run
	Throttled   int64         // of these, in which it was kept from running
	ThrottledBy time.Duration // for how long, summed over processors
}

// MemoryUse is what a control group says of a limit.
type MemoryUse struct {
	Limit int64 // bytes; 0 means none
	Bytes int64 // held now, caches of files included
	Met   bool  // memory had to be taken back because of a limit
	Kills int64 // processes that the kernel killed for want of memory
}

// FileUse is what the kernel says of the files of one process.
type FileUse struct {
	PID   int // as the harness sees it
	Limit int // the soft limit: one more than the largest descriptor that can be opened
	Open  int
	Spare int // descriptors that can still be opened
}

// A Burn is a number of busy processes.
type Burn interface {
	// CPU is the processor time that they have used so far.
	CPU(context.Context) (time.Duration, error)
	// Stop ends them and returns once they are gone. Twice is no error.
	Stop(context.Context) error
}

// A Skew is a clock that is wrong: at Since, in real time, it is Offset ahead, and from then on it runs at Rate.
type Skew struct {
	Offset time.Duration
	Rate   float64 // seconds of the clock for each real one; 0 means 1
	Since  time.Time
}

// Ahead is how far the clock is ahead of real time at a moment.
func (s Skew) Ahead(at time.Time) time.Duration {
	rate := s.Rate
	if rate == 0 {
		rate = 1
	}
	return s.Offset + time.Duration((rate-1)*float64(at.Sub(s.Since)))
}

// Arrangement is what has to be seen to when a process is started, so that a fault can act on it later. The zero value is
// nothing: a process that no fault needs it for runs as it would without any.
type Arrangement struct {
	CPUGroup    bool // a control group of its own with the controller cpu, and so with a share of the processors
	MemoryGroup bool // one with the controller memory: what a process holds is charged to the group it was in when it took it
	Clock       bool // a clock that can be skewed
}

// An Arranger is a Fault that acts only on processes that were started for it.
type Arranger interface {
	Fault
	// Arrange says which process it acts on, and what that must be started with.
	Arrange() (process string, a Arrangement)
}

// ArrangedFor is what the process, or a process of the role, has to be started with, so that all of the faults can act on it.
func ArrangedFor(faults Faults, process, role string) Arrangement {
	var all Arrangement
	for _, f := range faults {
		a, ok := f.(Arranger)
		if !ok {
			continue
		}
		if name, one := a.Arrange(); name == process || name == role {
			all.CPUGroup = all.CPUGroup || one.CPUGroup
			all.MemoryGroup = all.MemoryGroup || one.MemoryGroup
			all.Clock = all.Clock || one.Clock
		}
	}
	return all
}
