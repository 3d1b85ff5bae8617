package stack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
)

var _ replicated = (*redisServer)(nil)

// StartReplica starts a Redis that follows the primary. It gets the primary's data whole, and then its writes.
func (k redisKind) StartReplica(ctx context.Context, primary Instance, via string, o StartOptions) (Instance, error) {
	if _, err := ownInstance[*redisServer](o.Name, primary); err != nil {
		return nil, err
	}
	r, err := k.start(ctx, o, via)
	if err != nil {
		return nil, err
	}
	if err := awaitFollowing(ctx, r); err != nil {
		return nil, errors.Join(err, r.Stop(context.WithoutCancel(ctx)))
	}
	return r, nil
}

func (r *redisServer) process() *own { return r.own }

// position is the offset in the stream of replication: that of what was written, or on a replica of what was applied.
func (r *redisServer) position(ctx context.Context) (int64, error) {
	info, err := r.info(ctx)
	if err != nil {
		return 0, fmt.Errorf("%s: its position: %w", r.name, err)
	}
	field := "master_repl_offset"
	if info["role"] == "slave" {
		field = "slave_repl_offset"
	}
	at, err := strconv.ParseInt(info[field], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: its position is %q", r.name, info[field])
	}
	return at, nil
}

func (r *redisServer) follows(ctx context.Context) (bool, error) {
	info, err := r.info(ctx)
	if err != nil {
		return false, fmt.Errorf("%s: whether it follows: %w", r.name, err)
	}
	return info["role"] == "slave" && info["master_link_status"] == "up", nil
}

func (r *redisServer) follow(ctx context.Context, primary replicated, via string) error {
	if _, err := ownInstance[*redisServer](r.name, primary); err != nil {
		return err
	}
	if err := r.replicaOf(ctx, via); err != nil {
		return err
	}
	return awaitFollowing(ctx, r)
}

// nowhere is an address at which nobody listens: a replica that follows it stays one, and serves what it has.
const nowhere = "127.0.0.1:1"

func (r *redisServer) unfollow(ctx context.Context) error {
	if err := r.replicaOf(ctx, nowhere); err != nil {
		return err
	}
	return await(ctx, r.name+" to let go of its primary", func(ctx context.Context) (bool, error) {
		follows, err := r.follows(ctx)
		return !follows, err
	})
}

// replicaOf tells the server, now and for its next start, whom to follow; nobody when the address is empty.
func (r *redisServer) replicaOf(ctx context.Context, via string) error {
	host, port := "NO", "ONE"
	if via != "" {
		var err error
		if host, port, err = net.SplitHostPort(via); err != nil {
			return fmt.Errorf("%s: whom to follow: %w", r.name, err)
		}
	}
	if err := r.configure(via); err != nil {
		return err
	}
	if err := r.client.Do(ctx, "REPLICAOF", host, port).Err(); err != nil {
		return fmt.Errorf("%s: whom to follow: %w", r.name, err)
	}
	return nil
}

func (r *redisServer) promote(ctx context.Context) error {
	if err := r.replicaOf(ctx, ""); err != nil {
		return err
	}
	return r.write(ctx)
}

// rejoin starts the server as a replica at once, so that it never takes writes of its own.
func (r *redisServer) rejoin(ctx context.Context, primary replicated, via string) error {
	if _, err := ownInstance[*redisServer](r.name, primary); err != nil {
		return err
	}
	if err := notRunning(ctx, r.own); err != nil {
		return err
	}
	if err := r.configure(via); err != nil {
		return err
	}
	return startFollowing(ctx, r)
}

// write removes a key that is not there: a replica refuses that too.
func (r *redisServer) write(ctx context.Context) error {
	if err := r.client.Unlink(ctx, "shakedown:it-takes-writes").Err(); err != nil {
		return fmt.Errorf("%s takes no writes: %w", r.name, err)
	}
	return nil
}
