package chaos

import (
	"context"
	"fmt"
	"math"
	"time"
)

// CPUQuota gives a process, and all it starts, a share of the processors: in each tenth of a second it may run for so much of
// it and then stands still, which a latency shows as a tail and not as a slower machine.
type CPUQuota struct {
	Process string `json:"process"`
	// Cores is the share: 0.2 is a fifth of one core.
	Cores float64 `json:"cores"`
}

var (
	_ Arranger = (*CPUQuota)(nil)
	_ Needer   = (*CPUQuota)(nil)
)

// Kind is "cpu_quota".
func (*CPUQuota) Kind() string { return "cpu_quota" }

func (f *CPUQuota) String() string {
	return fmt.Sprintf("quota of %g cores for %s", f.Cores, f.Process)
}

// Needs are control groups.
func (*CPUQuota) Needs() []Need { return []Need{NeedCPUGroups} }

// Arrange wants the process in a group of its own.
func (f *CPUQuota) Arrange() (string, Arrangement) { return f.Process, Arrangement{CPUGroup: true} }

// Validate wants the name of a process and a quota that the kernel can keep: it takes at least a millisecond in 100.
func (f *CPUQuota) Validate() error {
	if !(f.Cores >= 0.01 && f.Cores <= 1024) {
		return fmt.Errorf("cores is %g; write the share of a core, 0.01 or more, such as 0.25", f.Cores)
	}
	return checkProcessName(f.Process)
}

const cannotLimitCPU = "be given a quota of the processors"

// Available wants a process of that name that can be given a quota.
func (f *CPUQuota) Available(s Surface) error {
	_, err := ableOf[CPULimiter](s, f.Process, cannotLimitCPU)
	return err
}

// Inject proves itself by the quota that the kernel reads back. That the process wanted more shows when it is healed.
func (f *CPUQuota) Inject(ctx context.Context, s Surface) (Injection, error) {
	return effectFault[CPULimiter]{fault: f, process: f.Process, lacks: cannotLimitCPU, begin: f.begin}.inject(ctx, s)
}

func (f *CPUQuota) begin(ctx context.Context, p CPULimiter) (processEffect, error) {
	before, err := p.CPU(ctx)
	if err != nil {
		return nil, err
	}
	if before.Cores != 0 {
		return nil, fmt.Errorf("it has a quota of %g cores already; heal that first", before.Cores)
	}
	q := &cpuQuota{process: p, before: before}
	if err := p.LimitCPU(ctx, f.Cores); err != nil {
		return q, err
	}
	now, err := p.CPU(ctx)
	if err != nil {
		return q, err
	}
	q.proof = Evidence{
		What: "quota of " + p.Name() + ", read back", Want: f.Cores, Got: now.Cores, Unit: "cores",
		Seen: math.Abs(now.Cores-f.Cores) < 0.001, // the kernel counts in µs of 100 ms
	}
	return q, nil
}

// cpuQuota is a quota in force on one process.
type cpuQuota struct {
	process CPULimiter
	before  CPUUse
	proof   Evidence
}

func (q *cpuQuota) landed() Evidence { return q.proof }

func (q *cpuQuota) end(ctx context.Context) (Evidence, error) {
	during, err := q.process.CPU(ctx)
	if err != nil {
		return Evidence{}, err
	}
	if err := q.process.LimitCPU(ctx, 0); err != nil {
		return Evidence{}, err
	}
	after, err := q.process.CPU(ctx)
	if err != nil {
		return Evidence{}, err
	}
	if after.Cores != 0 {
		return Evidence{}, fmt.Errorf("it still has a quota of %g cores", after.Cores)
	}
	stood := during.Throttled - q.before.Throttled
	return Evidence{
		What: fmt.Sprintf("%s wanted more than its quota in %d of %d periods, and stood still for %v", q.process.Name(), stood,
			during.Periods-q.before.Periods, (during.ThrottledBy - q.before.ThrottledBy).Round(time.Millisecond)),
		Want: 1, Got: float64(stood), Unit: "throttled periods", Seen: stood > 0,
	}, nil
}
