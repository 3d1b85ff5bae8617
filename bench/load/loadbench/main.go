package main

import (
	"context"

	"shakedown/internal/benchmark"
)

func main() {
	benchmark.Command[*rig]{
		Name: "loadbench", Does: "compares generators on this machine", Parts: parts, Start: start,
		Tools: "where pinned peers are, before PATH; `directories` separated by colons",
		Page:  benchmark.Page{Title: "The generator beside its peers", Script: "bench-load", Intro: intro},
		Experiments: []benchmark.Experiment[*rig]{
			{Name: "cpu", About: "what a request costs each generator", Run: noting(cpu)},
			{Name: "freeze", About: "a server that freezes 100 ms out of every second", Run: noting(freeze)},
			{Name: "queue", About: "servers that are queues, and say what requests spent in them", Run: noting(queues)},
			{Name: "lag", About: "how late requests leave while the other core is busy", Run: noting(lag)},
			{Name: "alloc", About: "allocations per request", Run: noting(allocations)},
			{Name: "blackhole", About: "a server that accepts and never answers", Run: noting(blackhole)},
		},
	}.Main()
}

const intro = `It needs Linux and what ` + "`scripts/setup bench`" + ` installs. Numbers are medians, with the least and the
largest in brackets; nothing is left out that was measured.`

// noting has the section end with what shakedown itself said of its loads in it.
func noting(run func(context.Context, *rig) (benchmark.Section, error)) func(context.Context, *rig) (benchmark.Section, error) {
	return func(ctx context.Context, g *rig) (benchmark.Section, error) {
		g.doubts, g.sent = nil, 0
		s, err := run(ctx, g)
		s.Notes = g.doubted()
		return s, err
	}
}
