package stack

import (
	"context"
	"errors"
	"fmt"
	"time"

	"shakedown/chaos"
)

// A Replicator is a Kind whose servers can be followed by replicas.
type Replicator interface {
	// StartReplica starts a replica of a primary that this kind started, and returns once it answers and follows. It
	// finds the primary at via, the address of the link between the two: "127.0.0.1:4711".
	StartReplica(ctx context.Context, primary Instance, via string, o StartOptions) (Instance, error)
}

var (
	_ Replicator = postgres{}
	_ Replicator = redisKind{}
)

// ReplicaName is the name of the nth replica of an engine: "postgres-replica-0".
func ReplicaName(engine string, n int) string { return fmt.Sprintf("%s-replica-%d", engine, n) }

// A replicated instance can be the primary of others, or follow one.
type replicated interface {
	Instance
	// position is how far the server has come, in bytes of its log: what it has written as a primary, replayed as a replica.
	position(ctx context.Context) (int64, error)
	// follows says whether the server is connected to a primary and gets what that writes.
	follows(ctx context.Context) (bool, error)
	// follow makes a replica that runs follow a primary at an address; unfollow makes it follow nobody, and stay a replica.
	follow(ctx context.Context, primary replicated, via string) error
	unfollow(ctx context.Context) error
	// promote makes a replica a primary, and returns once it takes writes.
	promote(ctx context.Context) error
	// rejoin starts a server that does not run as a replica of the primary, whose data replaces its own.
	rejoin(ctx context.Context, primary replicated, via string) error
	// write proves that the server takes writes, by one that leaves nothing.
	write(ctx context.Context) error
	// joined tells the server its group, before anybody else uses it.
	joined(g *Group)
	process() *own // nil when the server is not the run's own
}

// followWait bounds how long a replica may take to find its primary, and to get what it lacks.
const followWait = time.Minute

// ownInstance is the primary as its kind knows it.
func ownInstance[T replicated](name string, primary Instance) (T, error) {
	p, ok := primary.(T)
	if !ok || p.process() == nil {
		return p, fmt.Errorf("%s cannot follow %s, which was %w", name, primary.Name(), ErrNotOurs)
	}
	return p, nil
}

// await asks until the answer is yes. An error counts as no: the server may be about to start.
func await(ctx context.Context, what string, ask func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, followWait, fmt.Errorf("it did not within %v", followWait))
	defer cancel()
	for {
		yes, err := ask(ctx)
		if yes && err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("waiting for %s: %w", what, context.Cause(ctx)), err)
		case <-time.After(askEvery):
		}
	}
}

// awaitFollowing waits until the replica gets what its primary writes.
func awaitFollowing(ctx context.Context, r replicated) error {
	return await(ctx, r.Name()+" to follow its primary", r.follows)
}

// startFollowing starts the process of a replica, which must then follow.
func startFollowing(ctx context.Context, r replicated) error {
	if err := r.process().Start(ctx); err != nil {
		return err
	}
	return awaitFollowing(ctx, r)
}

// notRunning wants a process that is gone.
func notRunning(ctx context.Context, o *own) error {
	if st, err := o.State(ctx); err != nil || st != chaos.Gone {
		return errors.Join(fmt.Errorf("%s is %q, not gone", o.Name(), st), err)
	}
	return nil
}
