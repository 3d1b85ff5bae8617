package stack

import (
	"context"
	"testing"

	"golang.org/x/sync/errgroup"

	"shakedown/internal/netns"
	"shakedown/internal/roottest"
)

// TestAGroupDecidesByMajority: what one member was told the others know; without two of the three nobody decides.
func TestAGroupDecidesByMajority(t *testing.T) {
	roottest.Needs(t, netns.Supported())
	ctx := t.Context()
	var names []string
	for n := range 3 {
		names = append(names, MemberName("etcd", n))
	}
	network, err := netns.NewNetwork(ctx, names)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := network.Close(); err != nil {
			t.Error(err)
		}
	})
	members := make([]Member, len(names))
	for n, name := range names {
		members[n] = Member{Name: name, Host: network.Host(name)}
	}
	group := make([]Instance, len(names))
	var g errgroup.Group
	for n, m := range members {
		o := options(t)
		o.Name, o.Host = m.Name, m.Host
		g.Go(func() (err error) {
			group[n], err = etcdKind{}.StartMember(ctx, o, members)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := putEtcd(ctx, group[0].URL(), "kept"); err != nil {
		t.Fatal(err)
	}
	for _, in := range group {
		if v, err := getEtcd(ctx, in.URL()); v != "kept" || err != nil {
			t.Errorf("%s knows %q, %v", in.Name(), v, err)
		}
	}
	if err := group[0].Process().Kill(ctx); err != nil {
		t.Fatal(err)
	}
	if err := await(ctx, "the other two", func(ctx context.Context) (bool, error) { return true, group[1].Healthy(ctx) }); err != nil {
		t.Error(err)
	}
	if err := group[1].Process().Kill(ctx); err != nil {
		t.Fatal(err)
	}
	if err := group[2].Healthy(ctx); err == nil {
		t.Error("one of three is healthy")
	}
}
