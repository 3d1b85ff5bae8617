package serve_test

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

// startRedis runs a redis-server for the test and returns its URL.
func startRedis(t *testing.T) string {
	t.Helper()
	path := look(t, "redis-server", "redis-server")
	port := freePort(t)
	launch(t, nil, path, "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir())
	url := "redis://127.0.0.1:" + port
	opt, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(opt)
	defer func() { _ = client.Close() }()
	await(t, func(ctx context.Context) error { return client.Ping(ctx).Err() })
	return url
}

// startPostgres runs a PostgreSQL server for the test and returns its URL. The server refuses to run as root.
func startPostgres(t *testing.T) string {
	t.Helper()
	initdb, postgres := look(t, "initdb", "postgresql"), look(t, "postgres", "postgresql")
	dir, err := os.MkdirTemp("", "serve-postgres-") // t.TempDir's parents are closed to other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	attr := new(syscall.SysProcAttr)
	if os.Geteuid() == 0 {
		attr.Credential = credential(t, "postgres")
		if err := os.Chown(dir, int(attr.Credential.Uid), int(attr.Credential.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	init := exec.Command(initdb, "-D", filepath.Join(dir, "data"), "-U", "shakedown", "-A", "trust", "--no-sync")
	init.Dir, init.SysProcAttr = dir, attr
	if out, err := init.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	port := freePort(t)
	launch(t, attr.Credential, postgres, "-D", filepath.Join(dir, "data"), "-p", port, "-h", "127.0.0.1", "-k", "", "-c", "fsync=off")
	url := "postgres://shakedown@127.0.0.1:" + port + "/postgres?sslmode=disable"
	await(t, func(ctx context.Context) error {
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	})
	return url
}

// launch starts a server that ends with the test.
func launch(t *testing.T, as *syscall.Credential, path string, args ...string) {
	t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as, Pdeathsig: syscall.SIGQUIT}
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGQUIT)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s:\n%s", filepath.Base(path), log.String())
		}
	})
}

// look finds a program, also where Debian keeps PostgreSQL's.
func look(t *testing.T, name, pkg string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	if found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name); err == nil && len(found) > 0 {
		return found[len(found)-1]
	}
	t.Fatalf("%s is not installed; on Debian: apt-get install %s", name, pkg)
	return ""
}

func credential(t *testing.T, name string) *syscall.Credential {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// await asks until the answer is nil. Its bound is there to end a hang, not to measure.
func await(t *testing.T, ask func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("never: %v", err)
		case <-tick.C:
		}
	}
}
