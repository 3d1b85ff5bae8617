package targettest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"shakedown/bench"
)

// errHangs marks what did not come to an end within the grace.
var errHangs = errors.New("hangs")

// A process is one service in this process, answering at url.
type process struct {
	name   string
	url    string
	client *http.Client
	cancel context.CancelFunc
	served chan struct{} // closed when Serve has returned
	err    error         // what it returned; read after served
}

// start builds a service and lets it serve. An error is what New said, or errHangs.
func (k trial) start(ctx context.Context, role string, urls map[string]string, raw json.RawMessage) (*process, error) {
	env := k.env(role, urls)
	ctx, cancel := context.WithCancel(ctx)
	service, err := k.build(ctx, env, raw)
	if err != nil {
		cancel()
		return nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		cancel()
		return nil, fmt.Errorf("listening for %s: %w", env.Name(), err)
	}
	p := &process{
		name: env.Name(), url: "http://" + ln.Addr().String(), cancel: cancel, served: make(chan struct{}),
		client: &http.Client{Transport: new(http.Transport)},
	}
	go func() {
		defer close(p.served)
		p.err = service.Serve(ctx, ln)
	}()
	return p, nil
}

// build asks the role for a service. An error is what New said, or errHangs.
func (k trial) build(ctx context.Context, env bench.Env, raw json.RawMessage) (bench.Service, error) {
	type built struct {
		service bench.Service
		err     error
	}
	result := make(chan built, 1)
	go func() {
		service, err := k.pattern.Roles[env.Role].New(ctx, env, raw)
		result <- built{service, err}
	}()
	select {
	case b := <-result:
		if b.err != nil {
			return nil, fmt.Errorf("building %s: %w", env.Name(), b.err)
		}
		return b.service, nil
	case <-time.After(k.grace):
		return nil, fmt.Errorf("building %s: %w: New has not returned within %v", env.Name(), errHangs, k.grace)
	}
}

// discard ends a service that should not have been built, in the only way there is: serve, and stop at once.
func discard(ctx context.Context, service bench.Service) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	_ = service.Serve(ctx, ln)
}

func (p *process) ended() bool {
	select {
	case <-p.served:
		return true
	default:
		return false
	}
}

// awaitReady asks until the process is ready, has ended, or the grace is over.
func (p *process) awaitReady(ctx context.Context, grace time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		res, err := p.get(ctx, grace, "GET", "/readyz")
		if err == nil && res.status == http.StatusOK {
			return nil
		}
		if err == nil {
			err = fmt.Errorf("/readyz answers %d: %s", res.status, res.body)
		}
		select {
		case <-p.served:
			return fmt.Errorf("%s stopped before it was ready: %w", p.name, errors.Join(p.err, err))
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready within %v: %w", p.name, grace, err)
		case <-tick.C:
		}
	}
}

// stop ends the process's context and waits. It must be called once.
func (p *process) stop(grace time.Duration) error {
	p.cancel()
	defer p.client.CloseIdleConnections()
	select {
	case <-p.served:
	case <-time.After(grace):
		return fmt.Errorf("stopping %s: %w: Serve has not returned within %v of the end of its context", p.name, errHangs, grace)
	}
	if p.err != nil {
		return fmt.Errorf("stopping %s: %w", p.name, p.err)
	}
	return nil
}

type response struct {
	status int
	header http.Header
	body   []byte
}

func (p *process) get(ctx context.Context, grace time.Duration, method, path string) (response, error) {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, p.url+path, nil)
	if err != nil {
		return response{}, err
	}
	res, err := p.client.Do(req)
	if err != nil {
		return response{}, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return response{}, fmt.Errorf("reading the answer to %s %s: %w", method, path, err)
	}
	return response{res.StatusCode, res.Header, body}, nil
}
