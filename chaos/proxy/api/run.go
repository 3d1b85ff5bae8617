package api

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"shakedown/chaos/proxy"
	"shakedown/chaos/proxy/intercept/protocols"
)

// TokenEnv is the environment variable that sets the token, so that it does not show in a list of processes.
const TokenEnv = "SHAKEDOWN_CHAOS_TOKEN"

// Options of the proxy process of a run.
type Options struct {
	Listen string // loopback address of the control API; empty means a free port of 127.0.0.1
	Token  string // empty means $SHAKEDOWN_CHAOS_TOKEN, or else a random one
}

// ListenError says that the address given in Options cannot be listened on.
type ListenError struct{ Err error }

func (e *ListenError) Error() string { return "control API: " + e.Err.Error() }

// Unwrap is why not.
func (e *ListenError) Unwrap() error { return e.Err }

// Run is the proxy process of a run: it listens, prints one line of JSON, a Hello, to stdout, and serves until ctx is done.
// Every link and connection has ended when it returns. A *ListenError is about o.Listen.
func Run(ctx context.Context, stdout io.Writer, o Options) (err error) {
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	if o.Token == "" {
		o.Token = os.Getenv(TokenEnv)
	}
	if o.Token == "" {
		o.Token = rand.Text()
	}
	if !loopbackHost(o.Listen) {
		return &ListenError{fmt.Errorf("it listens on loopback only, not on %q", o.Listen)}
	}
	p, err := proxy.New(proxy.WithInspectors(protocols.All()))
	if err != nil {
		return err
	}
	defer p.Close()
	s, err := NewServer(p, Config{Guard: Guard{Token: o.Token}})
	if err != nil {
		return err
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", o.Listen)
	if err != nil {
		return &ListenError{err}
	}
	hello := Hello{Control: "http://" + ln.Addr().String(), Token: o.Token}
	if err := json.NewEncoder(stdout).Encode(hello); err != nil {
		return errors.Join(fmt.Errorf("printing the address of the control API: %w", err), ln.Close())
	}
	return s.Serve(ctx, ln)
}
