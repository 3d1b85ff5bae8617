package chaosctl

import (
	"context"
	"errors"
	"fmt"
	"io"

	"shakedown/bench/run"
	"shakedown/chaos/proxy/api"
)

// AddLink makes a link, and prints where it listens.
func AddLink(ctx context.Context, o Options, spec api.LinkSpec, out, stderr io.Writer) error {
	if spec.Address == "" {
		return &run.InputError{Err: errors.New("say where the link leads with --upstream ADDRESS")}
	}
	c, err := dial(ctx, o)
	if err != nil {
		return err
	}
	defer c.Close()
	l, err := c.CreateLink(ctx, spec)
	if err != nil {
		return outcome(err, stderr)
	}
	made := api.LinkInfo{LinkSpec: spec, Addr: l.Addr()}
	return o.print(out, made, fmt.Sprintf("link %s: %s → %s\n", spec.Name, l.Addr(), spec.Address))
}

// RemoveLink closes a link, its connections, and what was in force on it.
func RemoveLink(ctx context.Context, o Options, name string, stderr io.Writer) error {
	c, err := dial(ctx, o)
	if err != nil {
		return err
	}
	defer c.Close()
	return outcome(c.DeleteLink(ctx, name), stderr)
}
