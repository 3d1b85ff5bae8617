package chaos

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// PowerLoss takes the power from the machine that a process runs on: the process ends as by SIGKILL, and everything that it has
// written and not synced is gone from its disk, which a killed process alone would leave in the page cache. Healing starts the process
// again on what the disk holds.
type PowerLoss struct {
	Process string `json:"process"`
	// Torn lets sectors of unsynced writes reach the disk or not, each by itself, decided by Seed; left out, none does.
	Torn bool   `json:"torn,omitempty"`
	Seed uint64 `json:"seed,omitempty"`
	// Strict loses names whose directory was not synced; left out, names are kept in the order of their changes, as ext4 and XFS do.
	Strict bool `json:"strict,omitempty"`
}

var _ Needer = (*PowerLoss)(nil)

// Kind is "power_loss".
func (*PowerLoss) Kind() string { return "power_loss" }

func (f *PowerLoss) String() string {
	s := "power loss of " + f.Process
	if f.Torn {
		s += ", torn writes"
	}
	if f.Strict {
		s += ", strict names"
	}
	return s
}

// Validate wants the name of a process, and a seed only where something is drawn.
func (f *PowerLoss) Validate() error {
	if err := checkProcessName(f.Process); err != nil {
		return err
	}
	if f.Seed != 0 && !f.Torn {
		return errors.New("seed is set, but nothing is drawn without torn; add torn: true")
	}
	return nil
}

// Available wants a process of that name whose data is on a disk of the run's own.
func (f *PowerLoss) Available(s Surface) error {
	_, err := disksOf(s, f.Process)
	return err
}

// Needs is FUSE.
func (*PowerLoss) Needs() []Need { return []Need{NeedFUSE} }

// Inject proves itself by a canary on the same disk: what it had synced is there, and what it wrote without a sync is not. It also
// says what the process has lost, which may be nothing.
func (f *PowerLoss) Inject(ctx context.Context, s Surface) (Injection, error) {
	if err := f.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Kind(), err)
	}
	disks, err := disksOf(s, f.Process)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f, err)
	}
	byName := map[string]Disk{}
	for _, d := range disks {
		byName[d.Name()] = d
	}
	var proofs []Evidence
	down, err := injectProcesses(ctx, s, processFault{
		fault: f, process: f.Process, undo: Process.Start, during: Gone,
		act: func(p Process, ctx context.Context) error {
			if err := p.Kill(ctx); err != nil {
				return err
			}
			d := byName[p.Name()]
			if d == nil {
				return fmt.Errorf("its data is on no disk of the run's own")
			}
			lost, err := d.Lose(ctx, DiskLoss{Torn: f.Torn, Seed: f.Seed, Strict: f.Strict})
			if err != nil {
				return err
			}
			proofs = append(proofs, lost.evidence(p.Name()))
			return nil
		},
	})
	if err != nil {
		return nil, err
	}
	if gone := down.Landed(); !gone.Seen {
		proofs = append(proofs, gone)
	}
	return &powerInjection{Injection: down, proof: worst(proofs)}, nil
}

// powerInjection is a process that is gone, and what went with it.
type powerInjection struct {
	Injection
	proof Evidence
}

// Landed is what was lost.
func (in *powerInjection) Landed() Evidence { return in.proof }

// evidence says what was lost; it counts as seen when the probe lost what it had to, and nothing else.
func (l DiskLost) evidence(name string) Evidence {
	what := fmt.Sprintf("%s lost %d unsynced writes of %d B in %d files, and %d names", name, l.Writes, l.Bytes, l.Files, l.Names)
	var worst []string
	for _, f := range l.Worst[:min(3, len(l.Worst))] {
		worst = append(worst, fmt.Sprintf("%s %d B", f.Name, f.Bytes))
	}
	if len(worst) > 0 {
		what += " (" + strings.Join(worst, ", ") + ")"
	}
	switch {
	case !l.CanaryGone:
		what += "; the canary's unsynced write is still there"
	case !l.CanaryKept:
		what += "; the canary's synced write is gone"
	}
	return Evidence{What: what, Got: float64(l.Bytes), Seen: l.CanaryGone && l.CanaryKept}
}
