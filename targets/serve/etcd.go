package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// etcdBackoff is how long a client waits before it dials again; of the seconds and minutes that gRPC waits, a trial has few.
var etcdBackoff = backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 500 * time.Millisecond}

// Etcd is a client of the trial's etcd, of which env.URLs says where it is; see NewEtcd.
func (s *Server) Etcd() (*clientv3.Client, error) {
	at, err := s.env.URL("etcd")
	if err != nil {
		return nil, err
	}
	return NewEtcd(s, "etcd", at)
}

// NewEtcd makes a client as DialEtcd does. Readiness waits for a read that needs a quorum, and the client is closed when the server stops.
func NewEtcd(s *Server, name, at string) (*clientv3.Client, error) {
	client, err := DialEtcd(name, at)
	if err != nil {
		return nil, err
	}
	s.OnStop("etcd "+name, func(context.Context) error {
		if err := client.Close(); err != nil && !errors.Is(err, context.Canceled) { // which is how it ends
			return err
		}
		return nil
	})
	s.Ready(name, func(ctx context.Context) error {
		_, err := client.Get(ctx, "shakedown/ready", clientv3.WithCountOnly())
		return err
	})
	return client, nil
}

// DialEtcd makes a client of the member at http://host:port, or at the unix socket etcd:///path, for somebody who closes it. It does not
// connect yet: an error is about the URL.
func DialEtcd(name, at string) (*clientv3.Client, error) {
	u, err := url.Parse(at)
	if err != nil || u.Host == "" && u.Path == "" {
		return nil, fmt.Errorf("etcd %s: the address should look like http://127.0.0.1:2379", name)
	}
	network, address := "tcp", u.Host
	if u.Host == "" {
		network, address = "unix", u.Path
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints: []string{"http://" + name}, // where it is, the dialer knows
		Logger:    zap.NewNop(),
		DialOptions: []grpc.DialOption{
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, address)
			}),
			grpc.WithConnectParams(grpc.ConnectParams{Backoff: etcdBackoff, MinConnectTimeout: time.Second}),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("etcd %s: %w", name, err)
	}
	return client, nil
}
