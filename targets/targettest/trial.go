package targettest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.uber.org/goleak"

	"shakedown/bench"
)

// trial runs one subject in this process: its backends and one service instance, on live engines.
type trial struct {
	subject
	engines map[string]string
	grace   time.Duration
}

func (k trial) env(role string, urls map[string]string) bench.Env {
	return bench.Env{
		Pattern: k.pattern.Name, Role: role, Variant: k.variant.Name,
		Instances: 1, Seed: 1, URLs: maps.Clone(urls),
	}
}

// dependencies are the engines and backends whose death the service may notice.
func (k trial) dependencies() []string {
	names := slices.Collect(maps.Keys(k.engines))
	for _, b := range k.experiment.Backends {
		names = append(names, b.Role)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// seed seeds twice: whatever the first left, as an earlier trial would, must not disturb the second.
func (k trial) seed(ctx context.Context) error {
	if k.pattern.Seed == nil {
		return nil
	}
	raw, err := k.config()
	if err != nil {
		return err
	}
	for _, time := range []string{"first", "second"} {
		if err := k.pattern.Seed(ctx, k.env(bench.ServiceRole, k.engines), raw); err != nil {
			return fmt.Errorf("seeding failed the %s time; it must be idempotent: %w", time, err)
		}
	}
	return nil
}

// serves keeps the main promise: from seeded engines to a service that answers and can be watched, and back to nothing.
func (k trial) serves(ctx context.Context) error { return k.comesAndGoes(ctx, k.metricsAreBounded) }

// servesAgain is the same on what the first time has left, without another look at the metrics.
func (k trial) servesAgain(ctx context.Context) error {
	return k.comesAndGoes(ctx, func(context.Context, *process) error { return nil })
}

func (k trial) comesAndGoes(ctx context.Context, then func(context.Context, *process) error) error {
	before := goleak.IgnoreCurrent()
	if err := k.seed(ctx); err != nil {
		return err
	}
	err := k.withSystem(ctx, func(service *process) error {
		if err := k.answersEveryOp(ctx, service); err != nil {
			return err
		}
		return then(ctx, service)
	})
	return errors.Join(err, k.leaksNothing(before))
}

// withSystem starts the backends and the service, waits until each is ready, calls use, and stops them in reverse order.
func (k trial) withSystem(ctx context.Context, use func(service *process) error) error {
	urls := maps.Clone(k.engines)
	return k.withBackends(ctx, urls, k.experiment.Backends, func() error {
		raw, err := k.config()
		if err != nil {
			return err
		}
		return k.withReady(ctx, bench.ServiceRole, urls, raw, use)
	})
}

// withBackends starts the backends one inside the other and adds their addresses to urls.
func (k trial) withBackends(ctx context.Context, urls map[string]string, list []bench.Backend, use func() error) error {
	if len(list) == 0 {
		return use()
	}
	raw, err := list[0].ConfigAt(k.level, k.variant)
	if err != nil {
		return err
	}
	return k.withReady(ctx, list[0].Role, urls, raw, func(p *process) error {
		urls[list[0].Role] = p.url
		return k.withBackends(ctx, urls, list[1:], use)
	})
}

func (k trial) withReady(ctx context.Context, role string, urls map[string]string, raw json.RawMessage,
	use func(*process) error,
) error {
	p, err := k.start(ctx, role, urls, raw)
	if err != nil {
		return err
	}
	err = p.awaitReady(ctx, k.grace)
	if err == nil {
		err = use(p)
	}
	return errors.Join(err, p.stop(k.grace))
}

func (k trial) leaksNothing(before goleak.Option) error {
	deadline := time.Now().Add(k.grace)
	for {
		err := goleak.Find(before) // retries for a while by itself
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("it has stopped, but goroutines that it started have not: %w", err)
		}
	}
}

// survivesDead starts, one at a time, each process that might depend on the named engine or backend, with an address
// at which nothing listens. At least one must say so, by an error or by not being ready; none may hang.
func (k trial) survivesDead(ctx context.Context, name string) error {
	dead, err := deadAddress()
	if err != nil {
		return err
	}
	defer dead.close()
	urls := maps.Clone(k.engines)
	var noticed bool
	err = k.withBackends(ctx, urls, k.experiment.Backends, func() error {
		deadURL, err := dead.instead(urls[name])
		if err != nil {
			return err
		}
		urls[name] = deadURL
		for _, role := range k.roles() {
			if role.name == name {
				continue
			}
			ready, err := k.becomesReady(ctx, role, urls)
			if err != nil {
				return err
			}
			noticed = noticed || !ready
		}
		return nil
	})
	if err == nil && !noticed {
		err = fmt.Errorf("everything says it is ready although %s is dead; add a check with Server.Ready", name)
	}
	return err
}

type roleConfig struct {
	name string
	raw  json.RawMessage
	err  error
}

// roles are the backends and the service, with their configurations.
func (k trial) roles() []roleConfig {
	var list []roleConfig
	for _, b := range k.experiment.Backends {
		raw, err := b.ConfigAt(k.level, k.variant)
		list = append(list, roleConfig{b.Role, raw, err})
	}
	raw, err := k.config()
	return append(list, roleConfig{bench.ServiceRole, raw, err})
}

// becomesReady starts a process and asks once. An error is a hang; failing to start, or to be ready, is an answer.
func (k trial) becomesReady(ctx context.Context, role roleConfig, urls map[string]string) (bool, error) {
	if role.err != nil {
		return false, role.err
	}
	p, err := k.start(ctx, role.name, urls, role.raw)
	if err != nil {
		return false, hang(err)
	}
	res, asked := p.get(ctx, k.grace, "GET", "/readyz")
	died := p.ended()
	err = p.stop(k.grace)
	if asked != nil && !died {
		return false, fmt.Errorf("%s neither answers /readyz nor gives up: %w", p.name, asked)
	}
	if asked != nil || res.status != 200 {
		return false, hang(err)
	}
	return true, err
}

// hang is the error if it says that something hangs. Any other says that something is dead, which is what was asked for.
func hang(err error) error {
	if errors.Is(err, errHangs) {
		return err
	}
	return nil
}
