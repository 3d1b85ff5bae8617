package stack

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"

	"shakedown/chaos"
)

// forward is the chaos proxy at its plainest: it passes bytes between a TCP address and the server.
func forward(t *testing.T, in Instance) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	network, address := in.Dial()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial(network, address)
			if err != nil {
				_ = client.Close()
				continue
			}
			both := func() { _ = client.Close(); _ = server.Close() }
			context.AfterFunc(ctx, both)
			wg.Go(func() { _, _ = io.Copy(server, client); both() })
			wg.Go(func() { _, _ = io.Copy(client, server); both() })
		}
	})
	t.Cleanup(func() { cancel(); _ = ln.Close(); wg.Wait() })
	return ln.Addr().String()
}

// TestAttachedServersAreAskedButNeverTouched uses a server of the test's own, through a proxy, as the user's.
func TestAttachedServersAreAskedButNeverTouched(t *testing.T) {
	eachKind(t, func(t *testing.T, k Kind) {
		ctx := t.Context()
		own := mustStart(t, k, options(t))
		addr := forward(t, own)
		in, err := k.Attach(ctx, own.URLVia(addr, ""))
		if err != nil {
			t.Fatal(err)
		}
		if network, address := in.Dial(); network != "tcp" || address != addr {
			t.Errorf("dial %s %s, want tcp %s", network, address, addr)
		}
		if in.Version() != own.Version() || in.Healthy(ctx) != nil || in.Crashed() != nil {
			t.Errorf("version %q, healthy %v, crashed %v", in.Version(), in.Healthy(ctx), in.Crashed())
		}
		if u, _ := url.Parse(own.URL()); u.User != nil {
			if password, _ := u.User.Password(); strings.Contains(in.Source(), password) {
				t.Errorf("the source %s shows the password", in.Source())
			}
		}
		if err := put[k.Name()](ctx, in.URL(), "precious"); err != nil {
			t.Fatal(err)
		}
		p := in.Process()
		_, stateErr := p.State(ctx)
		for what, err := range map[string]error{
			"kill": p.Kill(ctx), "start": p.Start(ctx), "pause": p.Pause(ctx), "resume": p.Resume(ctx), "state": stateErr,
		} {
			if !errors.Is(err, ErrNotOurs) {
				t.Errorf("%s: %v, want ErrNotOurs", what, err)
			}
		}
		if err := errors.Join(in.Reset(ctx), in.Stop(ctx)); err != nil {
			t.Error(err)
		}
		if v, err := get[k.Name()](ctx, own.URL()); v != "precious" || err != nil {
			t.Errorf("after Reset and Stop the user's server holds %q, %v", v, err)
		}
		wantState(t, own.Process(), chaos.Running)
	})
}

func TestAttachSaysInOneLineWhatIsWrong(t *testing.T) {
	pg := mustStart(t, postgres{}, options(t))
	via, err := url.Parse(pg.URLVia(forward(t, pg), ""))
	if err != nil {
		t.Fatal(err)
	}
	wrongPassword, missing := *via, *via
	wrongPassword.User = url.UserPassword(pgUser, "s3cret-guess")
	missing.Path = "/nowhere"
	o := options(t)
	rd := mustStart(t, redisKind{}, o)
	redisVia := forward(t, rd)
	closed, err := net.Listen("tcp", "127.0.0.1:0") // a port that nobody listens on
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.Addr().String()
	_ = closed.Close()
	mariadbVia := brokenMariaDB(t)
	for name, tc := range map[string]struct {
		kind          Kind
		address, want string
	}{
		"postgres, wrong password":   {postgres{}, wrongPassword.String(), "wrong user or password"},
		"postgres, missing database": {postgres{}, missing.String(), "no such database"},
		"postgres, unreachable":      {postgres{}, "postgres://u:s3cret-guess@" + nobody + "/d?sslmode=disable", "cannot be reached"},
		"postgres, not an address":   {postgres{}, "postgres://u:s3cret-guess@h:port/d", "should look like"},
		"postgres, something else":   {postgres{}, "mysql://u:s3cret-guess@h/d", "should look like"},
		"redis, wrong password":      {redisKind{}, "redis://u:s3cret-guess@" + redisVia + "/0", "WRONGPASS"},
		"redis, missing database":    {redisKind{}, "redis://" + redisVia + "/99", "out of range"},
		"redis, unreachable":         {redisKind{}, "redis://u:s3cret-guess@" + nobody, "connection refused"},
		"redis, something else":      {redisKind{}, "http://u:s3cret-guess@h", "--redis-url"},
		"redis, not an address":      {redisKind{}, "redis://u:s3cret-guess@h:po rt", "--redis-url"},
		"mariadb, wrong password":    {mariadbKind{}, mariadbVia("s3cret-guess", mariadbDB), "wrong user or password"},
		"mariadb, missing database":  {mariadbKind{}, mariadbVia("", "nowhere"), "no such database"},
		"mariadb, unreachable":       {mariadbKind{}, "mariadb://u:s3cret-guess@" + nobody + "/d", "connection refused"},
		"mariadb, not an address":    {mariadbKind{}, "mysql://u:s3cret-guess@h:port/d", "should look like"},
		"etcd, unreachable":          {etcdKind{}, "http://" + nobody, "connection refused"},
		"etcd, with a password":      {etcdKind{}, "http://u:s3cret-guess@" + nobody, "should look like"},
		"etcd, without a port":       {etcdKind{}, "http://h", "--etcd-url"},
	} {
		in, err := tc.kind.Attach(t.Context(), tc.address)
		switch {
		case err == nil:
			t.Errorf("%s: no error", name)
			_ = in.Stop(t.Context())
		case !strings.Contains(err.Error(), tc.want), strings.Contains(err.Error(), "\n"), strings.Contains(err.Error(), "s3cret"):
			t.Errorf("%s: got %q, want one line with %q and without the password", name, err, tc.want)
		}
	}
}
