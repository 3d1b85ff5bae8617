package run

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"shakedown/bench"
	"shakedown/internal/stack"
)

// startMembers starts the members of a group together: none is healthy before most of them run.
func (t *trial) startMembers(ctx context.Context, spec bench.EngineSpec) error {
	kind, ok := t.available[spec.Name].kind.(stack.Grouper)
	if !ok {
		return checkMembers(t.o.Experiment, spec, t.available[spec.Name])
	}
	members := make([]stack.Member, spec.Members)
	for n := range members {
		name := stack.MemberName(spec.Name, n)
		members[n] = stack.Member{Name: name, Host: t.host(name)}
	}
	started := make([]stack.Instance, len(members))
	g, starting := errgroup.WithContext(ctx)
	for n, m := range members {
		g.Go(func() (err error) {
			started[n], err = kind.StartMember(starting, t.startOptions(spec, m.Name), members)
			return err
		})
	}
	err := g.Wait()
	for _, e := range started {
		if e != nil {
			t.engines, t.members = append(t.engines, e), append(t.members, e.Name())
		}
	}
	return err
}

// checkMembers says why an engine cannot be the group that the experiment asks for.
func checkMembers(e bench.Experiment, spec bench.EngineSpec, source engineSource) error {
	if spec.Members <= 1 {
		return nil
	}
	at := fmt.Sprintf("engines[%s].members", spec.Name)
	if _, ok := source.kind.(stack.Grouper); !ok {
		return fmt.Errorf("%s: this engine knows no groups", at)
	}
	if source.given != nil {
		return fmt.Errorf("%s: a server that you give cannot be given other members; leave --%s-url out", at, spec.Name)
	}
	if e.Isolation != bench.Namespaces {
		return fmt.Errorf("%s: each member needs an address of its own; write isolation: %s", at, bench.Namespaces)
	}
	return nil
}
