package serve_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"shakedown/targets/serve"
)

func TestAPostgresPoolTellsHowManyCallersWait(t *testing.T) {
	url := startPostgres(t)
	s := serve.New(env, quiet)
	pool, err := serve.NewPostgresPool(t.Context(), s, "db", url, serve.PoolOptions{Max: 2, Min: 2})
	if err != nil {
		t.Fatal(err)
	}
	svc := start(t, s)
	await(t, serve.AnswersReady(svc.url))
	held, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	second, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	before := svc.metric(t, "shakedown_pool_acquires_total{pool=db}")
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if _, err := pool.Exec(t.Context(), "select 1"); err != nil {
				t.Errorf("a query that waited: %v", err)
			}
		})
	}
	await(t, func(context.Context) error {
		if n := svc.metric(t, "shakedown_pool_waiting{pool=db}"); n != 3 {
			return errors.New("not all wait yet")
		}
		return nil
	})
	if n := svc.metric(t, "shakedown_pool_in_use{pool=db}"); n != 2 {
		t.Errorf("%v connections are in use, want 2", n)
	}
	held.Release()
	second.Release()
	wg.Wait()
	for series, want := range map[string]float64{
		"shakedown_pool_waiting{pool=db}": 0, "shakedown_pool_in_use{pool=db}": 0, "shakedown_pool_max{pool=db}": 2,
		"shakedown_pool_acquires_total{pool=db}": before + 3,
	} {
		if got := svc.metric(t, series); got != want {
			t.Errorf("%s is %v, want %v", series, got, want)
		}
	}
	if n := svc.metric(t, "shakedown_pool_empty_acquires_total{pool=db}"); n < 3 {
		t.Errorf("%v acquisitions found the pool empty, want at least the 3 that waited", n)
	}
	if err := svc.stop(); err != nil {
		t.Errorf("stopping: %v", err)
	}
}

func TestAnEmptyPostgresPoolRefusesToWaitBeyondItsBound(t *testing.T) {
	url := startPostgres(t)
	s := serve.New(env, quiet, serve.Drain(50*time.Millisecond))
	bounded, err := serve.NewPostgresPool(t.Context(), s, "db", url, serve.PoolOptions{Max: 1, AcquireTimeout: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	var held interface{ Release() }
	await(t, func(ctx context.Context) error { // connecting is part of the first acquisition
		conn, err := bounded.Acquire(ctx)
		held = conn
		return err
	})
	if _, err := bounded.Acquire(t.Context()); !errors.Is(err, serve.ErrAcquireTimeout) {
		t.Errorf("acquiring from an empty pool: %v", err)
	}
	if _, err := bounded.Exec(t.Context(), "select 1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a query on an empty pool: %v", err)
	}
	svc := start(t, s)
	if err := svc.stop(); err == nil || !strings.Contains(err.Error(), "1 connections were never released") {
		t.Errorf("stopping with a connection in use says %v", err)
	}
	held.Release()
}

func TestARedisClientShowsItsPoolAndIsClosedWithTheServer(t *testing.T) {
	url := startRedis(t)
	s := serve.New(env, quiet)
	client, err := serve.NewRedis(s, "cache", url, serve.RedisOptions{PoolSize: 3})
	if err != nil {
		t.Fatal(err)
	}
	svc := start(t, s)
	await(t, serve.AnswersReady(svc.url))
	if err := client.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	for series, want := range map[string]float64{
		"shakedown_pool_max{pool=cache}": 3, "shakedown_pool_in_use{pool=cache}": 0, "shakedown_pool_idle{pool=cache}": 1,
		"shakedown_pool_waiting{pool=cache}": 0,
	} {
		if got := svc.metric(t, series); got != want {
			t.Errorf("%s is %v, want %v", series, got, want)
		}
	}
	if err := svc.stop(); err != nil {
		t.Fatal(err)
	}
	if err := client.Get(context.Background(), "k").Err(); !errors.Is(err, redis.ErrClosed) {
		t.Errorf("a client of a stopped server says %v", err)
	}
}

// A server that hangs up counts what reached it: what go-redis does on its own must not hide in the attempts.
func TestZeroRetriesReallyMeansOneAttempt(t *testing.T) {
	for _, retries := range []int{0, 2} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		attempts := make(chan int, 1)
		go func() {
			n := 0
			for {
				conn, err := ln.Accept()
				if err != nil {
					attempts <- n
					return
				}
				n++
				_, _ = conn.Read(make([]byte, 512))
				_ = conn.Close()
			}
		}()
		s := serve.New(env, quiet)
		client, err := serve.NewRedis(s, "cache", "redis://"+ln.Addr().String(), serve.RedisOptions{MaxRetries: retries})
		if err != nil {
			t.Fatal(err)
		}
		if err := client.Get(t.Context(), "k").Err(); err == nil {
			t.Error("a server that hangs up gave an answer")
		}
		_ = ln.Close()
		if n := <-attempts; n != retries+1 {
			t.Errorf("with %d retries %d connections reached the server", retries, n)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestADeadDependencyIsNotReadinessAndNotAHang(t *testing.T) {
	port := freePort(t)
	s := serve.New(env, quiet)
	if _, err := serve.NewPostgresPool(t.Context(), s, "db", "postgres://x@127.0.0.1:"+port+"/x", serve.PoolOptions{Min: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := serve.NewRedis(s, "cache", "redis://127.0.0.1:"+port, serve.RedisOptions{}); err != nil {
		t.Fatal(err)
	}
	svc := start(t, s)
	got := svc.get(t, "/readyz")
	if got.status != http.StatusServiceUnavailable || !strings.Contains(got.body, "db: ") || !strings.Contains(got.body, "cache: ") {
		t.Errorf("/readyz is %d %q", got.status, got.body)
	}
	if err := svc.stop(); err != nil {
		t.Errorf("stopping: %v", err)
	}
}

func TestAWrongURLIsAnErrorAtOnce(t *testing.T) {
	s := serve.New(env, quiet)
	if _, err := serve.NewPostgresPool(t.Context(), s, "db", "postgres://%", serve.PoolOptions{}); err == nil {
		t.Error("a malformed PostgreSQL URL was accepted")
	}
	if _, err := serve.NewRedis(s, "cache", "http://x", serve.RedisOptions{}); err == nil {
		t.Error("a URL of another scheme was accepted as Redis")
	}
}
