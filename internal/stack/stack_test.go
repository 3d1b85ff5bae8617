package stack

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"shakedown/chaos"
	"shakedown/internal/proc"
	"shakedown/internal/workdir"
)

func TestMain(m *testing.M) {
	if serveDisk() {
		return
	}
	goleak.VerifyTestMain(m)
}

// options are those of a run of the test's own. The template of PostgreSQL is kept in a cache of the test's too.
func options(t *testing.T) StartOptions {
	t.Helper()
	dir, err := os.MkdirTemp("", "st") //nolint:usetesting // t.TempDir is closed to other users, and its path too long
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	root, err := workdir.OpenAt(dir)
	if err != nil {
		t.Fatal(err)
	}
	return StartOptions{Keeper: nil, Run: newRun(t, root), LogDir: t.TempDir()}.with(t, func() { _ = os.RemoveAll(dir) })
}

// with gives the options a keeper, and closes keeper and run, in this order, before the rest.
func (o StartOptions) with(t *testing.T, rest func()) StartOptions {
	t.Helper()
	o.Keeper = proc.NewKeeper(o.Run.Journal())
	t.Cleanup(func() {
		if err := errors.Join(o.Keeper.Close(), o.Run.Close()); err != nil {
			t.Error(err)
		}
		rest()
	})
	return o
}

func newRun(t *testing.T, root *workdir.Root) *workdir.Run {
	t.Helper()
	run, err := root.NewRun(workdir.NewID())
	if err != nil {
		t.Fatal(err)
	}
	return run
}

// mustStart starts a server; the keeper ends it with the test.
func mustStart(t *testing.T, k Kind, o StartOptions) Instance {
	t.Helper()
	in, err := k.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := in.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return in
}

func eachKind(t *testing.T, test func(*testing.T, Kind)) {
	for _, k := range Kinds() {
		t.Run(k.Name(), func(t *testing.T) { test(t, k) })
	}
}

// put and get are one durable fact in an engine, told through its URL as a service would.
var put = map[string]func(context.Context, string, string) error{
	"rabbitmq": putRabbit, "nats": putNATS,
	"postgres": func(ctx context.Context, url, v string) error {
		return onPostgres(ctx, url, func(c *pgx.Conn) error {
			_, err := c.Exec(ctx, "CREATE TABLE IF NOT EXISTS fact (v text)")
			if err == nil {
				_, err = c.Exec(ctx, "INSERT INTO fact VALUES ($1)", v)
			}
			return err
		})
	},
	"redis": func(ctx context.Context, url, v string) error {
		return onRedis(url, func(c *redis.Client) error { return c.Set(ctx, "fact", v, 0).Err() })
	},
	"etcd": putEtcd, "mariadb": putMariaDB,
}

var get = map[string]func(context.Context, string) (string, error){
	"rabbitmq": getRabbit, "nats": getNATS,
	"postgres": func(ctx context.Context, url string) (v string, err error) {
		err = onPostgres(ctx, url, func(c *pgx.Conn) error { return c.QueryRow(ctx, "SELECT v FROM fact").Scan(&v) })
		return v, err
	},
	"redis": func(ctx context.Context, url string) (v string, err error) {
		err = onRedis(url, func(c *redis.Client) error { v, err = c.Get(ctx, "fact").Result(); return err })
		return v, err
	},
	"etcd": getEtcd, "mariadb": getMariaDB,
}

func onPostgres(ctx context.Context, url string, f func(*pgx.Conn) error) error {
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close(ctx) }()
	return f(c)
}

func onRedis(url string, f func(*redis.Client) error) error {
	o, err := redis.ParseURL(url)
	if err != nil {
		return err
	}
	c := newClient(o)
	defer func() { _ = c.Close() }()
	return f(c)
}

// TestAServerLivesThroughWhatFaultsDoToIt: started, asked, paused, resumed, killed, started again on its data, stopped.
func TestAServerLivesThroughWhatFaultsDoToIt(t *testing.T) {
	eachKind(t, func(t *testing.T, k Kind) {
		o := options(t)
		if k.Name() == "redis" {
			o.Settings = map[string]string{"appendonly": "yes", "appendfsync": "always"}
		}
		began := time.Now()
		in := mustStart(t, k, o)
		t.Logf("first start, with its template: %v", time.Since(began))
		ctx := t.Context()
		if in.Name() != k.Name() || in.Version() == "" || !filepath.IsAbs(in.Source()) || !maps.Equal(in.Settings(), o.Settings) {
			t.Errorf("says of itself: %q %q %q %v", in.Name(), in.Version(), in.Source(), in.Settings())
		}
		if network, address := in.Dial(); network != "unix" && !strings.HasPrefix(address, "127.0.0.1:") || len(address) > 100 {
			t.Errorf("listens on %s %s", network, address)
		}
		if err := put[k.Name()](ctx, in.URL(), "kept"); err != nil {
			t.Fatal(err)
		}

		p := in.Process()
		wantState(t, p, chaos.Running)
		if err := p.Pause(ctx); err != nil {
			t.Fatal(err)
		}
		wantState(t, p, chaos.Stopped)
		brief, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		if err := in.Healthy(brief); err == nil {
			t.Error("a paused server is healthy")
		}
		cancel()
		if err := p.Resume(ctx); err != nil {
			t.Fatal(err)
		}
		wantState(t, p, chaos.Running)
		if err := in.Healthy(ctx); err != nil {
			t.Error(err)
		}
		if err := p.Start(ctx); err == nil || !strings.Contains(err.Error(), "runs already") {
			t.Errorf("starting a running server: %v", err)
		}

		kills := 2
		if k.Name() == "rabbitmq" {
			kills = 1 // each start costs seconds of processor time
		}
		for range kills {
			if err := p.Kill(ctx); err != nil {
				t.Fatal(err)
			}
			wantState(t, p, chaos.Gone)
			if err := in.Healthy(ctx); err == nil {
				t.Error("a killed server is healthy")
			}
			if err := in.Crashed(); err != nil {
				t.Errorf("a kill that was asked for is no crash: %v", err)
			}
			if err := p.Start(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if v, err := get[k.Name()](ctx, in.URL()); v != "kept" || err != nil {
			t.Errorf("after two kills the fact is %q, %v", v, err)
		}
		if err := in.Reset(ctx); err != nil {
			t.Error(err)
		}
		if _, err := get[k.Name()](ctx, in.URL()); k.Name() == "redis" && !errors.Is(err, redis.Nil) {
			t.Errorf("after Reset: %v, want no such key", err)
		}
		if err := in.Stop(ctx); err != nil {
			t.Fatal(err)
		}
		wantState(t, p, chaos.Gone)
	})
}

func wantState(t *testing.T, p chaos.Process, want chaos.State) {
	t.Helper()
	if got, err := p.State(t.Context()); got != want || err != nil {
		t.Errorf("%s is %q, %v; want %s", p.Name(), got, err, want)
	}
}

func TestAWrongSettingIsTheServersOwnWordsInOneLine(t *testing.T) {
	wants := map[string]map[string]string{ // engine → setting=value → words
		"postgres": {
			"no_such_setting=1":          `unrecognized configuration parameter "no_such_setting"`,
			"shared_buffers=lots":        `invalid value for parameter "shared_buffers"`,
			"max_connections=2":          "must be less than max_connections", // refused only once the server looks at all of them
			"listen_addresses=0.0.0.0":   "harness's own",
			"work_mem; DROP=1":           "cannot be the name",
			"application_name=a\nfsync=": "line break",
		},
		"rabbitmq": {
			"no_such_setting=1":       "no_such_setting",
			"listeners.tcp.default=1": "harness's own",
			"Save!=1":                 "cannot be the name",
			"heartbeat=1\na = 1":      "line break",
		},
		"nats": {
			"no_such_setting=1":         `unknown field "no_such_setting"`,
			"jetstream.sync_interval=x": "invalid duration",
			"jetstream.store_dir=/":     "harness's own",
			"port=1":                    "harness's own",
			"max_payload=1\na: 1":       "line break",
		},
		"redis": {
			"no-such-setting=1": "Bad directive",
			"maxmemory=lots":    "argument must be a memory value",
			"port=6379":         "harness's own",
			"Save!=1":           "cannot be the name",
			"save=1\nport 1":    "line break",
		},
		"mariadb": {
			"no_such_setting=1":            "unknown variable 'no-such-setting=1'",
			"innodb_buffer_pool_size=lots": "Error while setting value 'lots'",
			"skip-networking=0":            "harness's own",
			"Data!=1":                      "cannot be the name",
			"sql_mode=a\nuser=":            "line break",
		},
		"etcd": {
			"no-such-setting=1":       "flag provided but not defined: -no-such-setting",
			"heartbeat-interval=lots": `invalid value "lots" for flag -heartbeat-interval`,
			"election-timeout=200":    "should be at least as 5 times as", // refused only once the server looks at all of them
			"data-dir=/tmp":           "harness's own",
			"Quota!=1":                "cannot be the name",
			"auto-tls=1\n":            "line break",
		},
	}
	eachKind(t, func(t *testing.T, k Kind) {
		o := options(t)
		for setting, want := range wants[k.Name()] {
			name, value, _ := strings.Cut(setting, "=")
			o.Settings = map[string]string{name: value}
			in, err := k.Start(t.Context(), o)
			if in != nil || err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%q: got %v, want one line with %q", setting, err, want)
			}
		}
	})
}

func TestSettingsOfTheExperimentWin(t *testing.T) {
	o := options(t)
	o.Settings = map[string]string{"shared_buffers": "32MB", "max_connections": "17"}
	pg := mustStart(t, postgres{}, o)
	for name, want := range o.Settings {
		var got string
		if err := onPostgres(t.Context(), pg.URL(), func(c *pgx.Conn) error {
			return c.QueryRow(t.Context(), "SELECT current_setting($1)", name).Scan(&got)
		}); err != nil || got != want {
			t.Errorf("%s is %q, %v; want %q", name, got, err, want)
		}
	}
	o.Settings = map[string]string{"maxmemory": "3mb", "save": "60 1000", "client-output-buffer-limit": "normal 0 0 0"}
	rd := mustStart(t, redisKind{}, o)
	if err := onRedis(rd.URL(), func(c *redis.Client) error {
		got, err := c.ConfigGet(t.Context(), "*").Result()
		if got["maxmemory"] != "3145728" || got["save"] != "60 1000" {
			t.Errorf("maxmemory=%s save=%s", got["maxmemory"], got["save"])
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

func TestSeveralServersStartAtTheSameTime(t *testing.T) {
	eachKind(t, func(t *testing.T, k Kind) {
		if k.Name() == "rabbitmq" {
			t.Skip("three nodes at a time take minutes on two cores; TestPortsAreGivenOnce looks at what they would share")
		}
		o := options(t) // the first of them makes the template, the others wait for it
		var wg sync.WaitGroup
		urls := make([]string, 3)
		for i := range urls {
			wg.Go(func() {
				in, err := k.Start(t.Context(), o)
				if err != nil {
					t.Error(err)
					return
				}
				urls[i] = in.URL()
				if err := put[k.Name()](t.Context(), in.URL(), fmt.Sprint(i)); err != nil {
					t.Error(err)
				}
				if v, err := get[k.Name()](t.Context(), in.URL()); v != fmt.Sprint(i) || err != nil {
					t.Errorf("server %d holds %q, %v", i, v, err)
				}
				t.Cleanup(func() { // a server that stops frees its address for another
					if err := in.Stop(context.WithoutCancel(t.Context())); err != nil {
						t.Error(err)
					}
				})
			})
		}
		wg.Wait()
		slices.Sort(urls)
		if len(slices.Compact(urls)) != 3 {
			t.Errorf("the servers share an address: %q", urls)
		}
	})
}

func TestAServerThatDiesByItselfIsACrash(t *testing.T) {
	o := options(t)
	rd := mustStart(t, redisKind{}, o)
	if err := rd.Crashed(); err != nil {
		t.Fatal(err)
	}
	_ = onRedis(rd.URL(), func(c *redis.Client) error { return c.ShutdownNoSave(t.Context()).Err() })
	<-rd.(*redisServer).own.Process().Done()
	if err := rd.Crashed(); err == nil || !strings.Contains(err.Error(), "redis died") || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
}

func TestAFolderThatCannotBeWrittenIsOneClearLine(t *testing.T) {
	eachKind(t, func(t *testing.T, k Kind) {
		o := options(t)
		if err := os.RemoveAll(o.Run.Dir()); err != nil { // nobody can write in a folder that is not there, not even root
			t.Fatal(err)
		}
		keeper := proc.NewKeeper(nil)
		t.Cleanup(func() { _ = keeper.Close() })
		o.Keeper = keeper
		if _, err := k.Start(t.Context(), o); err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), k.Name()) {
			t.Errorf("the run's directory is gone: %v", err)
		}
		o = options(t)
		o.LogDir = "/proc/no-logs-here"
		if _, err := k.Start(t.Context(), o); err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "log") {
			t.Errorf("no place for logs: %v", err)
		}
	})
}

func TestABrokenTemplateIsRemade(t *testing.T) {
	o := options(t)
	first := mustStart(t, postgres{}, o)
	if err := first.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	controls, _ := filepath.Glob(filepath.Join(o.Run.Root().Templates(), "postgres-*", "data", "global", "pg_control"))
	if len(controls) != 1 {
		t.Fatalf("templates: %q", controls)
	}
	if err := os.Remove(controls[0]); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	second := mustStart(t, postgres{}, o)
	if err := second.Healthy(t.Context()); err != nil {
		t.Error(err)
	}
	t.Logf("with a new template: %v", time.Since(began))
	began = time.Now()
	third := mustStart(t, postgres{}, o)
	if err := third.Healthy(t.Context()); err != nil {
		t.Error(err)
	}
	t.Logf("warm start to the first answer: %v", time.Since(began))
	if second.URL() == first.URL() {
		t.Error("the new template has the old one's password and the run the old one's directory")
	}
}
