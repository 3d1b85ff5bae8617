package main

import (
	"context"
	"errors"
	"net"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"shakedown/internal/proc"
	"shakedown/internal/stack"
	"shakedown/internal/workdir"
)

// foreign starts a server that is not the run's own, and says where it is.
func foreign(t *testing.T, name string) string {
	t.Helper()
	base, err := openDir("ska")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	root, err := workdir.OpenAt(base)
	if err != nil {
		t.Fatal(err)
	}
	work, err := root.NewRun(workdir.NewID())
	if err != nil {
		t.Fatal(err)
	}
	keeper := proc.NewKeeper(work.Journal())
	t.Cleanup(func() {
		if err := errors.Join(keeper.Close(), work.Close()); err != nil {
			t.Error(err)
		}
	})
	kind, err := stack.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	instance, err := kind.Start(ctx, stack.StartOptions{Keeper: keeper, Run: work, LogDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := instance.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return instance.URL()
}

// closed is a loopback address at which nobody listens.
func closed(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	return ln.Addr().String()
}

func TestAServerThatCannotBeUsedIsRefused(t *testing.T) {
	postgres, redis := foreign(t, "postgres"), foreign(t, "redis")
	u, err := url.Parse(postgres)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(u.User.Username(), "guessed")
	wrong := u.String()
	u.User, u.Path = must(url.Parse(postgres)).User, "/nowhere"
	nowhere := u.String()
	kill := func(process string) func(*testing.T, *sandbox) {
		return edit("    judged: true\n", "    judged: true\n    faults: [{kind: kill, process: "+process+"}]\n")
	}
	refuse(t, []refusal{
		{"postgres: malformed", "run tiny.yaml --postgres-url postgres//here", nil, 2, `--postgres-url: the address cannot be read`},
		{"postgres: of another sort", "run tiny.yaml --postgres-url mysql://127.0.0.1/db", nil, 2, `--postgres-url: the address cannot be read`},
		{"postgres: unreachable", "run tiny.yaml --postgres-url postgres://u:hidden@" + closed(t) + "/db", nil, 2, `it cannot be reached: .*connection refused`},
		{"postgres: wrong password", "run tiny.yaml --postgres-url " + wrong, nil, 2, `wrong user or password`},
		{"postgres: no such database", "run tiny.yaml --postgres-url " + nowhere, nil, 2, `there is no such database`},
		{"postgres: another machine", "run tiny.yaml --postgres-url postgres://u@db.example.com/db", nil, 2, `add --allow-target db.example.com`},
		{"postgres: not the run's to kill", "run bad.yaml --postgres-url " + postgres, kill("postgres"), 2, `no process postgres`},
		{"redis: malformed", "run tiny.yaml --redis-url 127.0.0.1:6379", nil, 2, `--redis-url: the address cannot be read`},
		{"redis: unreachable", "run tiny.yaml --redis-url redis://u:hidden@" + closed(t), nil, 2, `redis at redis://u@.*connection refused`},
		{"redis: another machine", "run tiny.yaml --redis-url redis://cache.example.com", nil, 2, `add --allow-target cache.example.com`},
		{"redis: not the run's to kill", "run bad.yaml --redis-url " + redis, kill("redis"), 2, `no process redis`},
		{"redis: a user it does not know", "run tiny.yaml --redis-url " + strings.Replace(redis, "unix://", "unix://who:hidden@", 1), nil, 2, `redis at unix://who@.*WRONGPASS`},
		{"a server that nobody uses", "run resilience/retry/storm --redis-url " + redis, nil, 2, `none of the experiments uses redis`},
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
