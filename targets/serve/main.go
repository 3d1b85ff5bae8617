package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"shakedown/bench"
)

// Main runs one process of a pattern: it checks the configuration strictly, builds the service of env.Role, serves on
// ln, and calls ready (which may be nil) once, when /readyz has answered 200. It returns nil after a stop that ctx asked
// for and that was clean, and an error when the configuration is wrong, when the service could not be built, stopped on
// its own, was told to stop before it was ready, or did not stop cleanly. Main closes ln.
func Main(ctx context.Context, pattern bench.Pattern, env bench.Env, config json.RawMessage, ln net.Listener,
	ready func(addr string),
) error {
	defer func() { _ = ln.Close() }() // the service has closed it already, unless it was never built
	role, ok := pattern.Roles[env.Role]
	if !ok {
		return fmt.Errorf("%s has no role %q; its roles are %s", pattern.Name, env.Role,
			strings.Join(slices.Sorted(maps.Keys(pattern.Roles)), ", "))
	}
	if err := CheckConfig(role, config); err != nil {
		return fmt.Errorf("%s, %s: %w", pattern.Name, env.Role, err)
	}
	service, err := role.New(ctx, env, config)
	if err != nil {
		return fmt.Errorf("building %s of %s: %w", env.Name(), pattern.Name, err)
	}
	if err := run(ctx, service, ln, ready); err != nil {
		return fmt.Errorf("%s of %s: %w", env.Name(), pattern.Name, err)
	}
	return nil
}

var errEarly = errors.New("stopped serving although nobody asked it to")

func run(ctx context.Context, service bench.Service, ln net.Listener, ready func(string)) error {
	serving, stop := context.WithCancel(ctx)
	defer stop()
	served := make(chan error, 1)
	go func() {
		defer stop()
		err := service.Serve(serving, ln)
		if err == nil && serving.Err() == nil {
			err = errEarly
		}
		served <- err
	}()
	if err := awaitReady(serving, ln.Addr()); err != nil {
		stop()
		return errors.Join(<-served, err)
	}
	if ready != nil {
		ready(ln.Addr().String())
	}
	return <-served
}

// readyPoll is how often a starting service is asked; a refused ready check costs it next to nothing.
const readyPoll = 10 * time.Millisecond

// awaitReady returns nil once /readyz on addr answers 200, and otherwise the last reason why it did not, when ctx ends.
func awaitReady(ctx context.Context, addr net.Addr) error {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, addr.Network(), addr.String())
	}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	reason := errors.New("it was not asked yet")
	for {
		err := askReady(ctx, client, "http://service")
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			reason = err // an error from ctx says nothing about the service
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it never became ready: %w", reason)
		case <-tick.C:
		}
	}
}

// AnswersReady is a ready check on another service of the trial, such as a backend, by its base URL.
func AnswersReady(baseURL string) func(context.Context) error {
	return func(ctx context.Context) error {
		transport := &http.Transport{DisableKeepAlives: true}
		return askReady(ctx, &http.Client{Transport: transport}, strings.TrimSuffix(baseURL, "/"))
	}
}

func askReady(ctx context.Context, client *http.Client, base string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*readyTimeout) // more than the server's own bound, so that its answer arrives
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/readyz", nil)
	if err != nil {
		return fmt.Errorf("asking for readiness: %w", err)
	}
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("asking for readiness: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, 4096))
	if err != nil {
		return fmt.Errorf("reading the answer of /readyz: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("/readyz answered %d: %s", res.StatusCode, strings.TrimSpace(string(body)))
	}
	return nil
}
