package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Failover ends the primary of an engine and makes a replica the primary in its place. Clients are told nothing: they find the new one
// by asking, at the addresses that they have. Healing makes the former primary a replica, with the new primary's data in place
// of its own; the roles stay swapped, so that injecting it again fails over once more.
type Failover struct {
	Engine string `json:"engine"` // "postgres", whichever of its servers is the primary
	// To is the replica that takes over; empty means the one that is behind least.
	To string `json:"to,omitempty"`
	// Primary is what becomes of the former primary until the fault is healed: "kill" or "pause"; empty means kill. A paused one
	// keeps its connections, and answers nobody. It is killed before it could go on beside the new one.
	Primary string `json:"primary,omitempty"`
}

var _ Fault = (*Failover)(nil)

// Kind is "failover".
func (*Failover) Kind() string { return "failover" }

func (f *Failover) String() string {
	s := "failover of " + f.Engine
	if f.To != "" {
		s += " to " + f.To
	}
	if f.Primary == "pause" {
		s += " from a paused primary"
	}
	return s
}

// Validate wants an engine, and a way to end the primary.
func (f *Failover) Validate() error {
	if f.Primary != "" && f.Primary != "kill" && f.Primary != "pause" {
		return fmt.Errorf("primary is %q; it is kill or pause", f.Primary)
	}
	return checkEngineName(f.Engine)
}

// Available wants an engine of the run that has a replica.
func (f *Failover) Available(s Surface) error {
	if err := availableEngine(s, f, f.Engine, ""); err != nil {
		return err
	}
	replicas := f.Engine + "-replica"
	if f.To != "" {
		replicas = f.To
	}
	if _, err := enginesOf(s, replicas); err != nil {
		return fmt.Errorf("%s has nobody to fail over to; give it replicas: %w", f.Engine, err)
	}
	return nil
}

// Inject proves itself by a write to the new primary, and says for how long there was none.
func (f *Failover) Inject(ctx context.Context, s Surface) (Injection, error) {
	in, err := f.prepare(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f, err)
	}
	if err := in.inject(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", f, err), in.restore(ctx))
	}
	return in, nil
}

// failover is a change of roles in force.
type failover struct {
	fault  *Failover
	group  Group
	former Process
	to     string
	proof  Evidence

	mu     sync.Mutex
	healed bool
	after  Evidence
}

// prepare finds out who is who, and acts on nobody.
func (f *Failover) prepare(ctx context.Context, s Surface) (*failover, error) {
	if err := errors.Join(f.Validate(), f.Available(s)); err != nil {
		return nil, err
	}
	engines, err := enginesOf(s, f.Engine)
	if err != nil {
		return nil, err
	}
	m, ok := engines[0].(Member)
	if !ok || m.Group() == nil {
		return nil, fmt.Errorf("%s has no replicas", f.Engine)
	}
	in := &failover{fault: f, group: m.Group(), to: f.To}
	primary, replicas := in.group.Members()
	procs, err := processesOf(s, primary)
	if err != nil {
		return nil, err
	}
	in.former = procs[0]
	if st, err := in.former.State(ctx); err != nil || st != Running {
		return nil, errors.Join(fmt.Errorf("the primary %s is %q, not running", primary, st), err)
	}
	if in.to == "" {
		in.to, err = nearest(ctx, in.group, replicas)
	}
	if err == nil && !slices.Contains(replicas, in.to) {
		err = fmt.Errorf("%s is the primary already", in.to)
	}
	return in, err
}

// nearest is the replica that follows and is behind least.
func nearest(ctx context.Context, g Group, replicas []string) (best string, err error) {
	var errs []error
	var least int64
	for _, name := range replicas {
		behind, err := g.Behind(ctx, name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if best == "" || behind < least {
			best, least = name, behind
		}
	}
	if best == "" {
		return "", errors.Join(append(errs, errors.New("no replica answers"))...)
	}
	return best, nil
}

func (in *failover) inject(ctx context.Context) error {
	end, want, how := in.former.Kill, Gone, "killed"
	if in.fault.Primary == "pause" {
		end, want, how = in.former.Pause, Stopped, "paused"
	}
	since := time.Now()
	if err := end(ctx); err != nil {
		return err
	}
	if seen, err := observe(ctx, in.former, want); err != nil || !seen.Seen {
		return errors.Join(errors.New(seen.String()), err)
	}
	if err := in.group.Promote(ctx, in.to); err != nil {
		return err
	}
	if err := in.group.Write(ctx, in.to); err != nil {
		return err
	}
	in.proof = Evidence{
		What: fmt.Sprintf("%s was %s, and %v later %s took a write", in.former.Name(), how, time.Since(since).Round(time.Millisecond), in.to),
		Seen: true,
	}
	return nil
}

// Landed is the write to the new primary.
func (in *failover) Landed() Evidence { return in.proof }

// Heal makes the former primary a replica of the new one, also when ctx is done.
func (in *failover) Heal(ctx context.Context) (Evidence, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.healed {
		return in.after, nil
	}
	if err := in.restore(ctx); err != nil {
		return in.after, fmt.Errorf("healing %s: %w", in.fault, err)
	}
	primary, _ := in.group.Members()
	in.after = Evidence{What: fmt.Sprintf("%s follows %s, which stays the primary", in.former.Name(), primary), Seen: true}
	in.healed = true
	return in.after, nil
}

// restore brings the former primary back: as what it was when nobody took its place, and as a replica when somebody did.
func (in *failover) restore(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*restoreTime)
	defer cancel()
	st, err := in.former.State(ctx)
	if err != nil {
		return err
	}
	if primary, _ := in.group.Members(); primary == in.former.Name() {
		switch st {
		case Gone:
			return in.former.Start(ctx)
		default: // a stop may not show yet, and continuing twice does no harm
			return in.former.Resume(ctx)
		}
	}
	if st != Gone { // it must not go on as a second primary
		if err := in.former.Kill(ctx); err != nil {
			return err
		}
	}
	return in.group.Rejoin(ctx, in.former.Name())
}
