package targettest

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"shakedown/bench"
	"shakedown/targets/serve"
)

func TestLocalEnginesAnswerAndDeadOnesDoNot(t *testing.T) {
	engines := LocalEngines(t)
	dead, err := deadAddress()
	if err != nil {
		t.Fatal(err)
	}
	defer dead.close()
	for _, tt := range []struct {
		name  string
		live  string
		build func(s *serve.Server, url string) error
	}{
		{"postgres", engines.URL(t, "postgres"), func(s *serve.Server, url string) error {
			_, err := serve.NewPostgresPool(t.Context(), s, "postgres", url, serve.PoolOptions{})
			return err
		}},
		{"redis", engines.URL(t, "redis"), func(s *serve.Server, url string) error {
			_, err := serve.NewRedis(s, "redis", url, serve.RedisOptions{})
			return err
		}},
	} {
		deadURL, err := dead.instead(tt.live)
		if err != nil {
			t.Fatal(err)
		}
		for url, want := range map[string]bool{tt.live: true, deadURL: false} {
			if got := ready(t, tt.build, url); got != want {
				t.Errorf("a service on %s at %s: ready is %t, want %t", tt.name, url, got, want)
			}
		}
	}
}

// ready says whether a service with the dependency at url is ready when it has just started. Connecting is part of the
// question, so nothing has to be waited for.
func ready(t *testing.T, build func(*serve.Server, string) error, url string) bool {
	t.Helper()
	k := trial{grace: grace}
	k.pattern.Roles = map[string]bench.Role{bench.ServiceRole: {
		New: func(_ context.Context, env bench.Env, _ json.RawMessage) (bench.Service, error) {
			s := serve.New(env)
			return s, build(s, url)
		},
	}}
	is, err := k.becomesReady(t.Context(), roleConfig{name: bench.ServiceRole}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return is
}

func TestADeadAddressTakesThePlaceOfEveryForm(t *testing.T) {
	dead, err := deadAddress()
	if err != nil {
		t.Fatal(err)
	}
	defer dead.close()
	for live, want := range map[string]string{
		"redis://127.0.0.1:6379/2":                         "redis://ADDR/2",
		"unix:///run/redis.sock":                           "redis://ADDR",
		"http://127.0.0.1:80/base":                         "http://ADDR/base",
		"postgres://u:p@localhost:5432/db?sslmode=disable": "postgres://u:p@ADDR/db?sslmode=disable",
		"postgres://u@/db?host=/run/pg&port=5432":          "postgres://u@ADDR/db",
	} {
		got, err := dead.instead(live)
		if err != nil || got != strings.ReplaceAll(want, "ADDR", dead.addr) {
			t.Errorf("in place of %s: %s, %v", live, got, err)
		}
	}
	if _, err := dead.instead("host=/run/pg dbname=x"); err == nil {
		t.Error("what is not a URL was accepted")
	}
}

func TestAnEngineIsStartedOnceAndOutlivesTheTestThatAskedFirst(t *testing.T) {
	engines := LocalEngines(t)
	var first string
	t.Run("first", func(t *testing.T) { first = engines.URL(t, "redis") })
	if second := engines.URL(t, "redis"); second != first {
		t.Errorf("two servers were started: %s and %s", first, second)
	}
	if !ready(t, func(s *serve.Server, url string) error {
		_, err := serve.NewRedis(s, "redis", url, serve.RedisOptions{})
		return err
	}, first) {
		t.Error("the engine ended with the subtest that asked for it")
	}
}
