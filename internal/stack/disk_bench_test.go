package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"shakedown/chaos/disk"
	"shakedown/internal/proc"
	"shakedown/internal/workdir"
)

// The benchmarks of this file say what a disk of its own costs a server, beside the machine's own in the same run: `make bench-disk`.

// BenchmarkRedisSets measures SET of 100 bytes.
func BenchmarkRedisSets(b *testing.B) {
	value := string(make([]byte, 100))
	for _, policy := range []string{"everysec", "always"} {
		benchDisk(b, redisKind{}, policy, map[string]string{"appendonly": "yes", "appendfsync": policy}, func(ctx context.Context, url string) (func() error, func(), error) {
			o, err := redis.ParseURL(url)
			if err != nil {
				return nil, nil, err
			}
			c := newClient(o)
			return func() error { return c.Set(ctx, "key", value, 0).Err() }, func() { _ = c.Close() }, nil
		})
	}
}

// BenchmarkPostgresCommits measures a commit of one row.
func BenchmarkPostgresCommits(b *testing.B) {
	benchDisk(b, postgres{}, "default", nil, func(ctx context.Context, url string) (func() error, func(), error) {
		c, err := pgx.Connect(ctx, url)
		if err != nil {
			return nil, nil, err
		}
		_, err = c.Exec(ctx, "CREATE TABLE IF NOT EXISTS bench (v text)")
		return func() error {
			_, err := c.Exec(ctx, "INSERT INTO bench VALUES ('a row of some length, as rows are')")
			return err
		}, func() { _ = c.Close(ctx) }, err
	})
}

type connect func(ctx context.Context, url string) (op func() error, end func(), err error)

// benchDisk measures operations of 1 and of 16 clients, on the machine's own disk and on one of ours.
func benchDisk(b *testing.B, k Kind, name string, settings map[string]string, dial connect) {
	for _, clients := range []int{1, 16} {
		for _, on := range []string{"direct", "disk"} {
			b.Run(fmt.Sprintf("%s/clients=%d/%s", name, clients, on), func(b *testing.B) {
				o := benchOptions(b)
				o.Settings = settings
				if on == "disk" {
					if err := disk.Available(); err != nil {
						b.Skip(err)
					}
					var err error
					if o.Disk, err = os.Executable(); err != nil {
						b.Fatal(err)
					}
				}
				in, err := k.Start(b.Context(), o)
				if err != nil {
					b.Fatal(err)
				}
				benchClients(b, in.URL(), clients, dial)
				if err := in.Stop(context.WithoutCancel(b.Context())); err != nil {
					b.Error(err)
				}
			})
		}
	}
}

// benchClients shares b.N operations among clients that each wait for an answer.
func benchClients(b *testing.B, url string, clients int, dial connect) {
	b.Helper()
	ops, ends := make([]func() error, clients), make([]func(), clients)
	for i := range clients {
		var err error
		if ops[i], ends[i], err = dial(b.Context(), url); err != nil {
			b.Fatal(err)
		}
	}
	var next, failed atomic.Int64
	b.ResetTimer()
	done := make(chan struct{})
	for _, op := range ops {
		go func() {
			defer func() { done <- struct{}{} }()
			for next.Add(1) <= int64(b.N) {
				if op() != nil {
					failed.Add(1)
				}
			}
		}()
	}
	for range ops {
		<-done
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
	for _, end := range ends {
		end()
	}
	if n := failed.Load(); n > 0 {
		b.Errorf("%d operations failed", n)
	}
}

// benchOptions are those of a run of the benchmark's own.
func benchOptions(b *testing.B) StartOptions {
	b.Helper()
	dir, err := os.MkdirTemp("", "st") //nolint:usetesting // b.TempDir is closed to other users, and its path too long
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		b.Fatal(err)
	}
	root, err := workdir.OpenAt(dir)
	if err != nil {
		b.Fatal(err)
	}
	run, err := root.NewRun(workdir.NewID())
	if err != nil {
		b.Fatal(err)
	}
	o := StartOptions{Keeper: proc.NewKeeper(run.Journal()), Run: run, LogDir: b.TempDir()}
	b.Cleanup(func() {
		if err := errors.Join(o.Keeper.Close(), run.Close(), os.RemoveAll(dir)); err != nil {
			b.Error(err)
		}
	})
	return o
}
