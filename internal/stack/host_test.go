package stack

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"net/http"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"shakedown/internal/mysqlurl"
	"shakedown/internal/netns"
	"shakedown/internal/roottest"
)

// askFrom asks a server something real from another host.
var askFrom = map[string]func(ctx context.Context, from *netns.Host, url string) error{
	"postgres": func(ctx context.Context, from *netns.Host, url string) error {
		config, err := pgx.ParseConfig(url)
		if err != nil {
			return err
		}
		config.DialFunc = from.Namespace().DialContext
		c, err := pgx.ConnectConfig(ctx, config)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close(ctx) }()
		return c.Ping(ctx)
	},
	"redis": func(ctx context.Context, from *netns.Host, url string) error {
		options, err := redis.ParseURL(url)
		if err != nil {
			return err
		}
		options.Dialer = from.Namespace().DialContext
		c := redis.NewClient(options)
		defer func() { _ = c.Close() }()
		return c.Ping(ctx).Err()
	},
	"mariadb": func(ctx context.Context, from *netns.Host, url string) error {
		config, err := mysqlurl.Parse(url)
		if err != nil {
			return err
		}
		config.DialFunc = from.Namespace().DialContext
		connector, err := mysql.NewConnector(config)
		if err != nil {
			return err
		}
		db := sql.OpenDB(connector)
		return errors.Join(db.PingContext(ctx), db.Close())
	},
	"etcd": func(ctx context.Context, from *netns.Host, url string) error {
		e, err := etcdAt(url)
		if err != nil {
			return err
		}
		e.client.Transport = &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return from.Namespace().DialContext(ctx, e.network, e.address)
		}}
		_, err = e.askVersion(ctx)
		return err
	},
}

func TestAServerOnAHostIsReachedByItsPeersAndByTheHarness(t *testing.T) {
	roottest.Needs(t, netns.Supported())
	eachKind(t, func(t *testing.T, k Kind) {
		ctx := t.Context()
		n, err := netns.NewNetwork(ctx, []string{"server", "peer"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := n.Close(); err != nil {
				t.Error(err)
			}
		})
		o := options(t)
		o.Host = n.Host("server")
		if askFrom[k.Name()] == nil {
			if _, err := k.Start(ctx, o); !errors.Is(err, errNoHost) {
				t.Errorf("a server without a unix socket, on a host: %v", err)
			}
			return
		}
		in := mustStart(t, k, o)
		for _, when := range []string{"started", "started again"} {
			if err := in.Healthy(ctx); err != nil {
				t.Errorf("%s, over its socket: %v", when, err)
			}
			if err := askFrom[k.Name()](ctx, n.Host("peer"), in.URLVia(in.HostAddr(), "peer")); err != nil {
				t.Errorf("%s, from a peer: %v", when, err)
			}
			if when == "started" {
				if err := in.Process().Kill(ctx); err != nil {
					t.Fatal(err)
				}
				if err := in.Process().Start(ctx); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}
