package chaosctl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"shakedown/bench/run"
	"shakedown/chaos"
	"shakedown/chaos/proxy/api"
	"shakedown/internal/exit"
)

const healTime = 30 * time.Second

// Inject puts a fault, which is JSON, in force, and prints what was seen of it. With a time it waits, and prints what the
// fault did; when ctx is done before, it heals the fault at once.
func Inject(ctx context.Context, o Options, fault string, lasts time.Duration, out, stderr io.Writer) error {
	var f api.Fault
	if err := json.Unmarshal([]byte(fault), &f); err != nil {
		return &run.InputError{Err: err}
	}
	if lasts < 0 {
		return &run.InputError{Err: fmt.Errorf("--for %s: it must be above 0", lasts)}
	}
	if r, ok := f.Fault.(chaos.FileReader); ok {
		if err := r.Inline(); err != nil {
			return &run.InputError{Err: err}
		}
	}
	c, err := dial(ctx, o)
	if err != nil {
		return err
	}
	defer c.Close()
	info, err := c.Inject(ctx, f.Fault, lasts)
	if err != nil {
		return outcome(err, stderr)
	}
	if lasts == 0 {
		return o.print(out, info, injected(info))
	}
	if o.Format == "text" { // while it lasts; JSON says all at its end
		fmt.Fprint(out, injected(info))
	}
	return o.await(ctx, c, info, lasts, out, stderr)
}

// UnknownKind says which kinds there are.
func UnknownKind(kind string) error {
	return fmt.Errorf("no fault of a link is called %q; the kinds are %s", kind, strings.Join(LinkKinds(), ", "))
}

// await waits for the end of a fault's time, or for somebody who heals it before, and prints what it did.
func (o Options) await(ctx context.Context, c *api.Client, info api.FaultInfo, lasts time.Duration, out, stderr io.Writer) error {
	over := time.NewTimer(lasts)
	defer over.Stop()
	interrupted := false
	select {
	case <-over.C:
	case <-ctx.Done():
		interrupted = true
	}
	healing, cancel := context.WithTimeout(context.WithoutCancel(ctx), healTime)
	defer cancel()
	info, err := c.Heal(healing, info.ID)
	if err != nil {
		return outcome(err, stderr)
	}
	if err := o.print(out, info, healed(info)); err != nil {
		return err
	}
	if interrupted {
		return exit.Status(exit.Aborted)
	}
	return unseen(info)
}

// unseen is void: the fault was in force, and nothing showed it, not even when it was healed.
func unseen(info api.FaultInfo) error {
	if !info.Landed.Seen {
		return exit.Status(exit.Void)
	}
	return nil
}

// Heal takes faults back, the last first, as faults of one link should be. All are those in force.
func Heal(ctx context.Context, o Options, ids []string, all bool, out, stderr io.Writer) error {
	if all == (len(ids) > 0) {
		return &run.InputError{Err: errors.New("say which faults, or --all; shakedown chaos status lists them")}
	}
	c, err := dial(ctx, o)
	if err != nil {
		return err
	}
	defer c.Close()
	if all {
		if ids, err = inForce(ctx, c); err != nil {
			return err
		}
		if len(ids) == 0 && o.Format == "text" {
			fmt.Fprintln(out, "no fault is in force")
		}
	}
	var first error // the others are tried all the same
	for _, id := range ids {
		info, err := c.Heal(ctx, id)
		if err != nil {
			err = outcome(err, stderr)
		} else if err = o.print(out, info, healed(info)); err == nil {
			err = unseen(info)
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// inForce are the ids of the faults in force, the last first.
func inForce(ctx context.Context, c *api.Client) ([]string, error) {
	faults, err := c.Faults(ctx)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, f := range faults {
		if f.InForce() {
			ids = append([]string{f.ID}, ids...)
		}
	}
	return ids, nil
}

// print writes a value as JSON in one line, or as the text.
func (o Options) print(out io.Writer, v any, text string) error {
	if o.Format == "json" {
		return json.NewEncoder(out).Encode(v)
	}
	_, err := io.WriteString(out, text)
	return err
}

func injected(f api.FaultInfo) string {
	text := fmt.Sprintf("%s  %s\n  landed: %s\n", f.ID, f.Text, f.Landed)
	switch {
	case !f.Landed.Seen:
		text += "  another fault in force may hide it; it is looked for again when it is healed\n"
	case f.Until.IsZero():
		text += fmt.Sprintf("  until:  shakedown chaos heal %s\n", f.ID)
	}
	return text
}

func healed(f api.FaultInfo) string {
	lasted := f.Healed.Sub(f.Since).Round(time.Millisecond)
	text := fmt.Sprintf("%s  healed after %s\n", f.ID, lasted)
	if f.Met.What != "" {
		text += fmt.Sprintf("  met:    %s\n", f.Met)
	}
	return text
}
