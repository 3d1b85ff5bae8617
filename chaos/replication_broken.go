package chaos

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ReplicationBroken detaches a replica: it follows nobody and serves what it has, older from moment to moment. Healing attaches it
// again, and waits until it has what it lacked.
type ReplicationBroken struct {
	Engine string `json:"engine"` // "redis-replica-0", or "redis-replica" for every one
}

var _ Fault = (*ReplicationBroken)(nil)

// Kind is "replication_broken".
func (*ReplicationBroken) Kind() string { return "replication_broken" }

func (f *ReplicationBroken) String() string { return "replication broken on " + f.Engine }

// Validate wants the name of an engine.
func (f *ReplicationBroken) Validate() error { return checkEngineName(f.Engine) }

// Available wants a replica of the run.
func (f *ReplicationBroken) Available(s Surface) error { return availableReplica(s, f, f.Engine, "") }

// Inject proves itself by the replica, which says that it is connected to no primary.
func (f *ReplicationBroken) Inject(ctx context.Context, s Surface) (Injection, error) {
	return injectEngines(ctx, s, engineFault{fault: f, engine: f.Engine, pull: f.pull})
}

func (f *ReplicationBroken) pull(ctx context.Context, e Engine) (lever, Evidence, error) {
	m, ok := e.(Member)
	if !ok || m.Group() == nil {
		return nil, Evidence{}, errors.New("it follows nobody")
	}
	l := &detached{name: e.Name(), group: m.Group()}
	follows, err := l.group.Follows(ctx, l.name)
	if err == nil && !follows {
		err = errors.New("it did not follow its primary before")
	}
	if err != nil {
		return nil, Evidence{}, err
	}
	err = l.group.Detach(ctx, l.name)
	if err == nil {
		follows, err = l.group.Follows(ctx, l.name)
	}
	if err != nil {
		return nil, Evidence{}, errors.Join(err, l.release(ctx))
	}
	l.watch = watching(lookEvery, l.lookAtLag)
	return l, Evidence{What: e.Name() + " follows nobody", Seen: !follows}, nil
}

// detached is a replica that follows nobody.
type detached struct {
	name  string
	group Group
	watch *watch

	mu   sync.Mutex
	most int64 // bytes behind
	done bool
}

func (l *detached) lookAtLag(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if behind, err := l.group.Behind(ctx, l.name); err == nil {
		l.mu.Lock()
		l.most = max(l.most, behind)
		l.mu.Unlock()
	}
}

func (l *detached) met(ctx context.Context) Evidence {
	l.watch.stop()
	l.lookAtLag(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	return Evidence{
		What: "most bytes that " + l.name + " was behind its primary", Got: float64(l.most), Want: 1, Unit: "B", Seen: l.most > 0,
	}
}

func (l *detached) release(ctx context.Context) error {
	if l.watch != nil {
		l.watch.stop()
	}
	if primary, _ := l.group.Members(); primary == l.name || l.done { // a primary follows nobody
		return nil
	}
	if err := l.group.Attach(ctx, l.name); err != nil {
		return err
	}
	follows, err := l.group.Follows(ctx, l.name)
	if err == nil && !follows {
		err = fmt.Errorf("%s does not follow its primary", l.name)
	}
	l.done = err == nil
	return err
}
