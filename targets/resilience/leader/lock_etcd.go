package leader

import (
	"context"
	"errors"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"shakedown/bench"
	"shakedown/internal/clock"
	"shakedown/targets/serve"
)

const etcdKey = "shakedown/leader"

// etcdLock is a key that is bound to a lease. Who waits for it watches it.
type etcdLock struct {
	config Config
	client *clientv3.Client
}

var _ lock = (*etcdLock)(nil)

func (l *etcdLock) await(ctx context.Context) error {
	for {
		there, err := l.client.Get(ctx, etcdKey, clientv3.WithCountOnly())
		switch {
		case err == nil && there.Count == 0:
			return nil
		case err == nil:
			l.watch(ctx, there.Header.Revision+1)
		}
		if err := clock.Sleep(ctx, l.config.Retry.D()); err != nil {
			return err
		}
	}
}

// watch returns when the key has been deleted, or nothing more can be learned.
func (l *etcdLock) watch(ctx context.Context, from int64) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for said := range l.client.Watch(ctx, etcdKey, clientv3.WithRev(from), clientv3.WithFilterPut()) {
		if said.Err() != nil || len(said.Events) > 0 {
			return
		}
	}
}

func (l *etcdLock) acquire(ctx context.Context, token string) (*grant, error) {
	lease, err := l.client.Grant(ctx, int64(l.config.TTL.D().Seconds()))
	if err != nil {
		return nil, err
	}
	said, err := l.client.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(etcdKey), "=", 0)).
		Then(clientv3.OpPut(etcdKey, token, clientv3.WithLease(lease.ID))).Commit()
	if err == nil && said.Succeeded {
		return &grant{term: said.Header.Revision, token: token, store: lease.ID}, nil
	}
	_, revoked := l.client.Revoke(context.WithoutCancel(ctx), lease.ID) // else it would expire
	return nil, errors.Join(err, revoked)
}

func (l *etcdLock) renew(ctx context.Context, g *grant) error {
	_, err := l.client.KeepAliveOnce(ctx, g.leaseID())
	return lostLease(err)
}

func (l *etcdLock) release(ctx context.Context, g *grant) error {
	_, err := l.client.Revoke(ctx, g.leaseID())
	return lostLease(err)
}

// unrecorded counts the grants that etcd's own history does not have. One that it has made the key anew, at the revision that is its
// token: so there was no other.
func unrecorded(ctx context.Context, env bench.Env, lines []line) (n float64, err error) {
	at, err := env.URL(storeEtcd)
	if err != nil {
		return 0, err
	}
	client, err := serve.DialEtcd(storeEtcd, at)
	if err != nil {
		return 0, err
	}
	defer func() { _ = client.Close() }()
	for _, l := range lines {
		if l.Kind != kindLease {
			continue
		}
		there, err := client.Get(ctx, etcdKey, clientv3.WithRev(l.Term))
		if err != nil {
			return 0, err
		}
		if len(there.Kvs) != 1 || there.Kvs[0].CreateRevision != l.Term || string(there.Kvs[0].Value) != l.Lease {
			n++
		}
	}
	return n, nil
}

func (g *grant) leaseID() clientv3.LeaseID {
	id, _ := g.store.(clientv3.LeaseID)
	return id
}

func lostLease(err error) error {
	if errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return errLost
	}
	return err
}
