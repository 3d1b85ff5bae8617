package chaosctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"shakedown/bench/run"
	"shakedown/chaos/proxy/api"
	"shakedown/chaos/proxy/daemon"
	"shakedown/internal/exit"
)

// DefaultControl is the address of a daemon that was started without any flag.
const DefaultControl = "http://" + daemon.DefaultListen

// Options are what all commands share.
type Options struct {
	Control string // URL of the daemon
	Format  string // "text" or "json"
}

// Formats of what is printed.
func Formats() []string { return []string{"text", "json"} }

func (o Options) validate() error {
	if o.Format != "text" && o.Format != "json" {
		return &run.InputError{Err: fmt.Errorf("--output %q: it is text or json", o.Format)}
	}
	return nil
}

// dial finds the daemon.
func dial(ctx context.Context, o Options) (*api.Client, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	c, err := api.Dial(ctx, o.Control, os.Getenv(api.TokenEnv))
	if err == nil {
		return c, nil
	}
	if refusal, ok := errors.AsType[*api.Refusal](err); ok {
		if refusal.Status == http.StatusUnauthorized {
			return nil, &run.InputError{Err: fmt.Errorf("the daemon at %s wants a token; set it in $%s", o.Control, api.TokenEnv)}
		}
		return nil, &run.InputError{Err: fmt.Errorf("%s: %w; is it a daemon of shakedown?", o.Control, refusal)}
	}
	return nil, &run.EnvironmentError{Err: fmt.Errorf("no daemon at %s (%w); start one with: shakedown chaos serve", o.Control, rootCause(err))}
}

// rootCause is the end of a chain of errors, which says the most in the fewest words.
func rootCause(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}

// outcome sorts what the daemon refused into exit codes: a fault that could not be seen to come or go is void, the rest
// is bad input.
func outcome(err error, stderr io.Writer) error {
	refusal, ok := errors.AsType[*api.Refusal](err)
	if !ok {
		return err
	}
	switch refusal.Status {
	case http.StatusUnprocessableEntity:
		if _, err := fmt.Fprintln(stderr, "shakedown:", exit.Line(refusal)); err != nil {
			return err
		}
		return exit.Status(exit.Void)
	case http.StatusInternalServerError:
		return err
	}
	return &run.InputError{Err: refusal}
}
