package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// CPUBurn starts busy processes beside a process, as a noisy neighbour does. They share its processors, and its control group
// where it has one, and do nothing but run.
type CPUBurn struct {
	Process string `json:"process"`
	// Processes is their number, beside each process of the name.
	Processes int `json:"processes"`
}

var _ Fault = (*CPUBurn)(nil)

// Kind is "cpu_burn".
func (*CPUBurn) Kind() string { return "cpu_burn" }

func (f *CPUBurn) String() string {
	return fmt.Sprintf("%d busy processes beside %s", f.Processes, f.Process)
}

// Validate wants the name of a process, and a number of busy ones.
func (f *CPUBurn) Validate() error {
	if f.Processes < 1 || f.Processes > 256 {
		return fmt.Errorf("processes is %d; write how many are busy beside it, 1 to 256", f.Processes)
	}
	return checkProcessName(f.Process)
}

const cannotBurn = "have others started beside it"

// Available wants a process of that name that others can be started beside.
func (f *CPUBurn) Available(s Surface) error {
	_, err := ableOf[Crowded](s, f.Process, cannotBurn)
	return err
}

// Inject proves itself by the processor time that the busy processes have taken.
func (f *CPUBurn) Inject(ctx context.Context, s Surface) (Injection, error) {
	return effectFault[Crowded]{fault: f, process: f.Process, lacks: cannotBurn, begin: f.begin}.inject(ctx, s)
}

func (f *CPUBurn) begin(ctx context.Context, p Crowded) (processEffect, error) {
	b := &cpuBurn{name: p.Name(), since: time.Now()}
	var err error
	if b.burn, err = p.Burn(ctx, f.Processes); err != nil {
		return nil, err
	}
	var used time.Duration
	seen, err := seenWithin(ctx, stateTime, func() (bool, error) {
		used, err = b.burn.CPU(ctx)
		return used > 0, err
	})
	b.proof = Evidence{What: "processor time of what is busy beside " + p.Name(), Want: 1, Got: inMillis(used), Unit: "ms", Seen: seen}
	return b, err
}

// cpuBurn is what is busy beside one process.
type cpuBurn struct {
	name  string
	burn  Burn
	since time.Time
	proof Evidence
}

func (b *cpuBurn) landed() Evidence { return b.proof }

func (b *cpuBurn) end(ctx context.Context) (Evidence, error) {
	used, err := b.burn.CPU(ctx)
	took := time.Since(b.since)
	if err := errors.Join(err, b.burn.Stop(ctx)); err != nil {
		return Evidence{}, err
	}
	return Evidence{
		What: fmt.Sprintf("beside %s %v of processor time went in %v", b.name, used.Round(time.Millisecond), took.Round(time.Millisecond)),
		Got:  used.Seconds() / took.Seconds(), Unit: "cores", Seen: used > 0,
	}, nil
}
