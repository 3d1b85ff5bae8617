package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
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
		{"rate", "redis-benchmark through each proxy: rate, and what a message costs", rate},
		{"alone", "the round trip of one connection", alone},
		{"bulk", "one stream as fast as it goes", bulk},
		{"exact", "20 ms asked for, and what was achieved", exact},
		{"delayed", "what a delay of 50 ms takes from the throughput", delayed},
	}
}

func main() {
	runtime.LockOSThread() // children end when the thread that started them does
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		exitOn(serveMain(os.Stdout))
		return
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
		fmt.Fprintln(os.Stderr, "chaosbench:", err)
		os.Exit(1)
	}
}

// run does what the command line asks for.
func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("chaosbench", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "chaosbench [flags] [experiment…]: compares proxies on this machine; without names, in all of:")
		for _, e := range experiments() {
			fmt.Fprintf(flags.Output(), "  %-10s %s\n", e.name, e.about)
		}
		flags.PrintDefaults()
	}
	g := &rig{progress: os.Stderr}
	out := flags.String("o", "", "write the document to this `file` (default: standard output)")
	flags.BoolVar(&g.quick, "quick", false, "fewer and shorter rounds: to see that it works, not to cite")
	tools := flags.String("tools", ".tools", "where the pinned toxiproxy is: a `directory`")
	bin := flags.String("bin", "bin", "`directory` of the shakedown to measure")
	if err := flags.Parse(args); err != nil {
		return err
	}
	chosen, err := choose(flags.Args())
	if err != nil {
		return err
	}
	d, err := measure(ctx, g, chosen, *bin, *tools)
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

// measure runs the experiments, one after the other, against the same processes.
func measure(ctx context.Context, g *rig, chosen []experiment, bin, tools string) (_ *document, err error) {
	d := &document{Quick: g.quick}
	if d.Machine, err = thisMachine(tools); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, g.stop()) }()
	if err := g.start(ctx, bin, tools); err != nil {
		return nil, err
	}
	steal, err := readTimes()
	if err != nil {
		return nil, err
	}
	for _, e := range chosen {
		fmt.Fprintln(g.progress, "chaosbench:", e.name)
		s, err := e.run(ctx, g)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.name, err)
		}
		s.Name = e.name
		d.Sections = append(d.Sections, s)
	}
	now, err := readTimes()
	if err != nil {
		return nil, err
	}
	d.finish(now.stealSince(steal))
	return d, nil
}

// say is a line of progress.
func say(w io.Writer, what ...string) { fmt.Fprintln(w, "chaosbench:  ", strings.Join(what, " ")) }
