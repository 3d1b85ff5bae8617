package serve_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"

	"shakedown/bench"
	"shakedown/targets/serve"
)

// toy is a pattern of one role whose service is made ready, or not, by the given function.
func toy(ready func(context.Context) error, background func(context.Context) error) bench.Pattern {
	return bench.Pattern{Name: "toy/toy", Roles: map[string]bench.Role{bench.ServiceRole: {
		Config: config{},
		New: func(_ context.Context, env bench.Env, raw json.RawMessage) (bench.Service, error) {
			if _, err := serve.Decode[config](raw); err != nil {
				return nil, err
			}
			s := serve.New(env, quiet)
			s.Ready("toy", ready)
			s.Go("toy", background)
			return s, nil
		},
	}}}
}

func waits(ctx context.Context) error { <-ctx.Done(); return nil }

func runMain(ctx context.Context, t *testing.T, p bench.Pattern, role, config string, ready func(string)) error {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serve.Main(ctx, p, bench.Env{Role: role}, json.RawMessage(config), ln, ready)
}

func TestMainCallsReadyOnceTheServiceIsReadyAndStopsCleanly(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	asked, calls := 0, 0
	p := toy(func(context.Context) error { // the requests of one client, one after the other
		if asked++; asked < 3 {
			return errors.New("not yet")
		}
		return nil
	}, waits)
	err := runMain(ctx, t, p, "service", `{"size":1}`, func(addr string) {
		calls++
		if asked < 3 {
			t.Errorf("called ready when the check had been asked %d times", asked)
		}
		res, err := http.Get("http://" + addr + "/healthz")
		if err != nil {
			t.Errorf("it does not accept: %v", err)
		} else {
			_ = res.Body.Close()
		}
		http.DefaultClient.CloseIdleConnections()
		cancel()
	})
	if err != nil || calls != 1 {
		t.Errorf("Main says %v after %d calls of ready", err, calls)
	}
}

func TestMainSaysWhatKeepsAServiceFromRunning(t *testing.T) {
	ready := func(context.Context) error { return nil }
	for _, tt := range []struct {
		name, role, config string
		pattern            bench.Pattern
		want               string
	}{
		{"no such role", "backend", "{}", toy(ready, waits), "its roles are service"},
		{"unknown field", "service", `{"sise":1}`, toy(ready, waits), "the fields are ttl, size"},
		{"died", "service", "{}", toy(ready, func(context.Context) error { return errors.New("dead") }), "background work toy: dead"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := runMain(t.Context(), t, tt.pattern, tt.role, tt.config, nil)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Main says %v, want %q", err, tt.want)
			}
		})
	}
}

func TestMainReportsWhyAServiceNeverBecameReady(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	asked := 0
	p := toy(func(context.Context) error {
		if asked++; asked == 3 {
			cancel() // by then the answers before this one have been read
		}
		return errors.New("database is down")
	}, waits)
	err := runMain(ctx, t, p, "service", "{}", func(string) { t.Error("ready was called") })
	if err == nil || !strings.Contains(err.Error(), "database is down") {
		t.Errorf("Main says %v", err)
	}
}
