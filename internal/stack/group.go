package stack

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"shakedown/chaos"
	"shakedown/internal/clock"
)

// A Group is a primary of the run and the replicas that follow it. Who is the primary may change; names do not.
type Group struct {
	members []replicated
	via     func(from, to string) string

	changing sync.Mutex // held while roles change
	mu       sync.Mutex
	primary  int
	written  []progress // by the present primary, oldest first, as far back as a replica lags
}

// progress says how far the primary had come at a moment.
type progress struct {
	at       time.Duration
	position int64
}

// NewGroup groups a primary with replicas that follow it already. via is the address of the link by which one member reaches another.
func NewGroup(primary Instance, replicas []Instance, via func(from, to string) string) (*Group, error) {
	g := &Group{via: via}
	for _, in := range append([]Instance{primary}, replicas...) {
		m, ok := in.(replicated)
		if !ok {
			return nil, fmt.Errorf("%s knows no replicas", in.Name())
		}
		g.members = append(g.members, m)
	}
	for _, m := range g.members {
		m.joined(g)
	}
	return g, nil
}

// orNil keeps a server without a group from having one that is a nil pointer.
func (g *Group) orNil() chaos.Group {
	if g == nil {
		return nil
	}
	return g
}

// Members are the names of the primary, and of those that are not.
func (g *Group) Members() (primary string, replicas []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, m := range g.members {
		if i == g.primary {
			primary = m.Name()
		} else {
			replicas = append(replicas, m.Name())
		}
	}
	return primary, replicas
}

// Name is that of the member that was the primary first.
func (g *Group) Name() string { return g.members[0].Name() }

// Has says whether a server is a member.
func (g *Group) Has(name string) bool {
	_, _, err := g.member(name)
	return err == nil
}

func (g *Group) head() replicated {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.members[g.primary]
}

func (g *Group) member(name string) (int, replicated, error) {
	i := slices.IndexFunc(g.members, func(m replicated) bool { return m.Name() == name })
	if i < 0 {
		return i, nil, fmt.Errorf("%s is no member of the group of %s", name, g.Name())
	}
	return i, g.members[i], nil
}

// Promote makes a replica the primary, and every other replica that runs follow it. The former primary must not run: one that does would
// go on taking writes.
func (g *Group) Promote(ctx context.Context, replica string) error {
	g.changing.Lock()
	defer g.changing.Unlock()
	at, next, err := g.member(replica)
	if err != nil {
		return err
	}
	former := g.head()
	if st, err := former.process().State(ctx); err != nil || st == chaos.Running {
		return errors.Join(fmt.Errorf("promoting %s: %s is %q, and would go on as a primary beside it", replica, former.Name(), st), err)
	}
	if err := next.promote(ctx); err != nil {
		return err
	}
	g.mu.Lock()
	g.primary, g.written = at, nil
	g.mu.Unlock()
	var errs []error
	for _, m := range g.members {
		if m == former || m == next {
			continue
		}
		if st, err := m.process().State(ctx); err != nil || st != chaos.Running {
			errs = append(errs, err) // it is brought back by whoever ended it, and will look for the former primary
			continue
		}
		errs = append(errs, g.turn(ctx, m, next))
	}
	return errors.Join(errs...)
}

// turn makes a replica follow the new primary. One that has got more of the former's log than the new primary has is made anew.
func (g *Group) turn(ctx context.Context, m, primary replicated) error {
	has, err := m.position(ctx)
	if err != nil {
		return err
	}
	kept, err := primary.position(ctx)
	if err != nil {
		return err
	}
	if has <= kept {
		return m.follow(ctx, primary, g.via(m.Name(), primary.Name()))
	}
	if err := m.process().Kill(ctx); err != nil {
		return err
	}
	return m.rejoin(ctx, primary, g.via(m.Name(), primary.Name()))
}

// Rejoin makes a member that does not run a replica of the present primary. Its own data is replaced by the primary's.
func (g *Group) Rejoin(ctx context.Context, name string) error {
	g.changing.Lock()
	defer g.changing.Unlock()
	_, m, err := g.member(name)
	if err != nil {
		return err
	}
	primary := g.head()
	if m == primary {
		return fmt.Errorf("%s is the primary, and cannot follow itself", name)
	}
	return m.rejoin(ctx, primary, g.via(name, primary.Name()))
}

// Detach makes a replica follow nobody, and stay a replica.
func (g *Group) Detach(ctx context.Context, replica string) error {
	g.changing.Lock()
	defer g.changing.Unlock()
	m, err := g.follower(replica)
	if err != nil {
		return err
	}
	return m.unfollow(ctx)
}

// Attach makes a detached replica follow the primary again, and waits until it has what the primary had written by then.
func (g *Group) Attach(ctx context.Context, replica string) error {
	g.changing.Lock()
	defer g.changing.Unlock()
	m, err := g.follower(replica)
	if err != nil {
		return err
	}
	primary := g.head()
	if err := m.follow(ctx, primary, g.via(replica, primary.Name())); err != nil {
		return err
	}
	return g.catchUp(ctx, m)
}

func (g *Group) follower(replica string) (replicated, error) {
	_, m, err := g.member(replica)
	if err == nil && m == g.head() {
		err = fmt.Errorf("%s is the primary, and follows nobody", replica)
	}
	return m, err
}

// Follows says whether a replica gets what the primary writes.
func (g *Group) Follows(ctx context.Context, replica string) (bool, error) {
	_, m, err := g.member(replica)
	if err != nil {
		return false, err
	}
	return m.follows(ctx)
}

// Write proves that a member takes writes, by one that leaves nothing.
func (g *Group) Write(ctx context.Context, name string) error {
	_, m, err := g.member(name)
	if err != nil {
		return err
	}
	return m.write(ctx)
}

// Behind is how many bytes of its log the primary has written and a replica has not replayed.
func (g *Group) Behind(ctx context.Context, replica string) (int64, error) {
	_, m, err := g.member(replica)
	if err != nil {
		return 0, err
	}
	written, err := g.head().position(ctx)
	if err != nil {
		return 0, err
	}
	replayed, err := m.position(ctx)
	return max(0, written-replayed), err
}

// CatchUp waits until every replica has what the primary has written so far.
func (g *Group) CatchUp(ctx context.Context) error {
	_, replicas := g.Members()
	for _, name := range replicas {
		_, m, err := g.member(name)
		if err == nil {
			err = g.catchUp(ctx, m)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (g *Group) catchUp(ctx context.Context, m replicated) error {
	primary := g.head()
	want, err := primary.position(ctx)
	if err != nil {
		return err
	}
	return await(ctx, m.Name()+" to have what "+primary.Name()+" has", func(ctx context.Context) (bool, error) {
		have, err := m.position(ctx)
		return have >= want, err
	})
}

// Stats say how far each replica is behind, in bytes of the primary's log and in time: how long ago the primary first was farther
// than the replica is now, as far as earlier calls saw it. Both are asked directly, so that what happens to their links does not matter.
func (g *Group) Stats(ctx context.Context) ([]Stat, error) {
	primary := g.head()
	now := clock.Now()
	written, err := primary.position(ctx)
	if err != nil {
		return nil, fmt.Errorf("lag of replicas: %w", err)
	}
	lagBytes, lagSeconds := map[string]float64{}, map[string]float64{}
	least := written
	var errs []error
	for _, m := range g.members {
		if m == primary {
			continue
		}
		replayed, err := m.position(ctx)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		least = min(least, replayed)
		lagBytes[m.Name()] = float64(max(0, written-replayed))
		lagSeconds[m.Name()] = g.since(replayed, now).Seconds()
	}
	g.note(primary, progress{now, written}, least)
	if len(lagBytes) == 0 {
		return nil, errors.Join(errs...)
	}
	return slices.Concat(gauges("shakedown_replication_lag_bytes", "replica", lagBytes),
		gauges("shakedown_replication_lag_seconds", "replica", lagSeconds)), nil
}

// since is how long ago the primary was first seen farther than a replica is now.
func (g *Group) since(replayed int64, now time.Duration) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.written {
		if p.position > replayed {
			return now - p.at
		}
	}
	return 0
}

// note keeps how far the primary is, and forgets what every replica has.
func (g *Group) note(primary replicated, p progress, replayedByAll int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.members[g.primary] != primary {
		return // it has changed since it was asked
	}
	g.written = slices.DeleteFunc(append(g.written, p), func(p progress) bool { return p.position <= replayedByAll })
}

// A primaryFinder has clients that, given the addresses of all members, find the primary by themselves.
type primaryFinder interface {
	urlOfPrimary(addrs []string, client string) string
}

// URLOfPrimary leads a client to the primary, whichever member it is, given the address of its link to each. It is empty for an
// engine whose clients cannot be told so.
func (g *Group) URLOfPrimary(links map[string]string, client string) string {
	f, ok := g.members[0].(primaryFinder)
	if !ok {
		return ""
	}
	var addrs []string
	for _, m := range g.members {
		addrs = append(addrs, links[m.Name()])
	}
	return f.urlOfPrimary(addrs, client)
}
