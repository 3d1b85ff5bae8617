package run

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"shakedown/bench"
	"shakedown/internal/stack"
)

// startReplicas starts the replicas of an engine. Each member of the group can reach each other through a link, whoever is the primary.
func (t *trial) startReplicas(ctx context.Context, spec bench.EngineSpec, primary stack.Instance) error {
	kind, ok := t.available[spec.Name].kind.(stack.Replicator)
	if !ok {
		return checkReplicas(spec, t.available[spec.Name])
	}
	via := map[string]string{}
	connect := func(from string, to stack.Instance) error {
		addr, err := t.wayTo(ctx, from, to)
		via[linkName(from, to.Name())] = addr
		return err
	}
	members := []stack.Instance{primary}
	for n := range spec.Replicas {
		name := stack.ReplicaName(spec.Name, n)
		if err := connect(name, primary); err != nil {
			return err
		}
		replica, err := kind.StartReplica(ctx, primary, via[linkName(name, spec.Name)], stack.StartOptions{
			Name: name, Keeper: t.keeper, Run: t.work, LogDir: filepath.Dir(t.writer.LogPath(name)), Settings: spec.Settings,
			Arrangement: t.arrangement(name),
			Host:        t.host(name),
		})
		if err != nil {
			return err
		}
		t.engines, members = append(t.engines, replica), append(members, replica)
	}
	for _, to := range members[1:] {
		for _, from := range members {
			if from != to {
				if err := connect(from.Name(), to); err != nil {
					return err
				}
			}
		}
	}
	g, err := stack.NewGroup(primary, members[1:], func(from, to string) string { return via[linkName(from, to)] })
	if err == nil {
		t.groups = append(t.groups, g)
	}
	return err
}

// checkReplicas says why an engine cannot have the replicas that the experiment asks for.
func checkReplicas(spec bench.EngineSpec, source engineSource) error {
	if spec.Replicas == 0 {
		return nil
	}
	if _, ok := source.kind.(stack.Replicator); !ok {
		return fmt.Errorf("engines[%s].replicas: this engine has none", spec.Name)
	}
	if source.given != nil {
		return fmt.Errorf("engines[%s].replicas: a server that you give cannot be given replicas; leave --%s-url out", spec.Name, spec.Name)
	}
	return nil
}

// labelsOf tells the series of one member of a group from those of another.
func (t *trial) labelsOf(e stack.Instance) map[string]string {
	if slices.Contains(t.members, e.Name()) {
		return map[string]string{"engine": e.Name()}
	}
	for _, g := range t.groups {
		if g.Has(e.Name()) {
			return map[string]string{"engine": e.Name()}
		}
	}
	return nil
}

// engineNames are the names of the servers that a trial at the level has.
func engineNames(e bench.Experiment, level bench.Level, v bench.Variant) []string {
	var names []string
	for _, spec := range e.EnginesAt(level, v) {
		names = append(names, spec.Name)
		for n := range spec.Replicas {
			names = append(names, stack.ReplicaName(spec.Name, n))
		}
		for n := 1; n < spec.Members; n++ {
			names = append(names, stack.MemberName(spec.Name, n))
		}
		if spec.Pooler != nil {
			names = append(names, stack.PoolerName(spec.Name))
		}
	}
	return names
}
