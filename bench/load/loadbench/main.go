package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
)

// An experiment measures one thing and says what came of it. It never fails for a result, only for want of one.
type experiment struct {
	name  string
	about string
	run   func(ctx context.Context, g *rig) (section, error)
}

func experiments() []experiment {
	return []experiment{
		{"cpu", "what a request costs each generator", cpu},
		{"freeze", "a server that freezes 100 ms out of every second", freeze},
		{"queue", "servers that are queues, and say what requests spent in them", queues},
		{"lag", "how late requests leave while the other core is busy", lag},
		{"alloc", "allocations per request", allocations},
		{"blackhole", "a server that accepts and never answers", blackhole},
	}
}

func main() {
	runtime.LockOSThread() // children end when the thread that started them does
	if len(os.Args) > 1 {
		if part, ok := parts[os.Args[1]]; ok {
			exitOn(part(os.Args[2:]))
			return
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	exitOn(run(ctx, os.Args[1:]))
}

func exitOn(err error) {
	switch {
	case err == nil:
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "loadbench:", err)
		os.Exit(1)
	}
}

// run does what the command line asks for.
func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("loadbench", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "loadbench [flags] [experiment…]: compares generators on this machine; without names, all of:")
		for _, e := range experiments() {
			fmt.Fprintf(flags.Output(), "  %-10s %s\n", e.name, e.about)
		}
		flags.PrintDefaults()
	}
	g := &rig{progress: os.Stderr}
	out := flags.String("o", "", "write the document to this `file` (default: standard output)")
	flags.BoolVar(&g.quick, "quick", false, "fewer and shorter rounds: to see that it works, not to cite")
	tools := flags.String("tools", ".tools", "where pinned peers are, before PATH; `directories` separated by colons")
	bin := flags.String("bin", "bin", "`directory` of the shakedown to measure")
	if err := flags.Parse(args); err != nil {
		return err
	}
	chosen, err := choose(flags.Args())
	if err != nil {
		return err
	}
	if err := g.find(*bin, strings.Split(*tools, ":")); err != nil {
		return err
	}
	d, err := g.measure(ctx, chosen)
	if err != nil {
		return err
	}
	text, err := d.render()
	if err != nil {
		return err
	}
	if *out == "" {
		_, err = os.Stdout.Write(text)
		return err
	}
	return os.WriteFile(*out, text, 0o644) //nolint:gosec // a document
}

// choose are the experiments of the given names, in the order in which they are run.
func choose(names []string) ([]experiment, error) {
	all := experiments()
	if len(names) == 0 {
		return all, nil
	}
	for _, n := range names {
		if !slices.ContainsFunc(all, func(e experiment) bool { return e.name == n }) {
			return nil, fmt.Errorf("there is no experiment %q; see -h", n)
		}
	}
	return slices.DeleteFunc(all, func(e experiment) bool { return !slices.Contains(names, e.name) }), nil
}
