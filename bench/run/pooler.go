package run

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"shakedown/bench"
	"shakedown/internal/stack"
)

// startPooler starts the pooler before an engine, which it reaches through a link of its own.
func (t *trial) startPooler(ctx context.Context, spec bench.EngineSpec, server stack.Instance) error {
	kind, ok := t.available[spec.Name].kind.(stack.Pooler)
	if !ok {
		return checkPooler(spec, t.available[spec.Name])
	}
	name := stack.PoolerName(spec.Name)
	via, err := t.wayTo(ctx, name, server)
	if err != nil {
		return err
	}
	pooler, err := kind.StartPooler(ctx, server, via, stack.StartOptions{
		Name: name, Keeper: t.keeper, Run: t.work, LogDir: filepath.Dir(t.writer.LogPath(name)), Settings: spec.Pooler,
		Arrangement: t.arrangement(name), Host: t.host(name),
	})
	if err != nil {
		return err
	}
	t.engines = append(t.engines, pooler)
	return nil
}

// checkPooler says why an engine cannot have the pooler that the experiment asks for.
func checkPooler(spec bench.EngineSpec, source engineSource) error {
	if spec.Pooler == nil {
		return nil
	}
	at := fmt.Sprintf("engines[%s].pooler", spec.Name)
	kind, ok := source.kind.(stack.Pooler)
	if !ok {
		return &InputError{errors.New(at + ": this engine has none")}
	}
	if source.given != nil {
		return &InputError{fmt.Errorf("%s: a server that you give cannot be given a pooler; leave --%s-url out", at, spec.Name)}
	}
	if err := kind.CheckPooler(spec.Pooler); err != nil {
		return &InputError{fmt.Errorf("%s: %w", at, err)}
	}
	if _, err := kind.FindPooler(); err != nil {
		return &EnvironmentError{err}
	}
	return nil
}
