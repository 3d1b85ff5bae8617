package benchmark

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
	"time"
)

// An Experiment measures one thing on a rig and says what came of it. It never fails for a result, only for want of one.
type Experiment[R any] struct {
	Name  string // by which it can be asked for
	About string
	Run   func(ctx context.Context, rig R) (Section, error)
}

// A Rig is what the experiments of a command share.
type Rig interface {
	// Facts are what took part.
	Facts() []Fact
	// Stop ends what the rig has started.
	Stop() error
}

// Options are what the command line says.
type Options struct {
	Quick    bool
	Tools    string // where pinned peers are
	Bin      string // where the shakedown is that is measured
	Progress io.Writer
}

// A Command is a benchmark as a program.
type Command[R Rig] struct {
	Name        string // of the program
	Does        string // what it does, for its usage
	Tools       string // what -tools means, for its usage
	Page        Page   // Title, Script and Intro
	Experiments []Experiment[R]
	// Parts are the processes of the benchmark that are this program too, by the first argument.
	Parts map[string]func(args []string) error
	// Start makes the rig. What it has started is stopped by itself when it fails.
	Start func(ctx context.Context, o Options) (R, error)
}

// Main is the program's main function; it does not return when something failed.
func (c Command[R]) Main() {
	runtime.LockOSThread() // children end when the thread that started them does
	err := c.main(os.Args[1:])
	switch {
	case err == nil:
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	default:
		fmt.Fprintf(os.Stderr, "%s: %v\n", c.Name, err)
		os.Exit(1)
	}
}

func (c Command[R]) main(args []string) error {
	if len(args) > 0 {
		if part, ok := c.Parts[args[0]]; ok {
			return part(args[1:])
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	return c.run(ctx, args, os.Stdout, os.Stderr)
}

// run does what the command line asks for.
func (c Command[R]) run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o := Options{Progress: stderr}
	flags := flag.NewFlagSet(c.Name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { c.usage(flags) }
	out := flags.String("o", "", "write the document to this `file` (default: standard output)")
	flags.BoolVar(&o.Quick, "quick", false, "fewer and shorter rounds: to see that it works, not to cite")
	flags.StringVar(&o.Tools, "tools", ".tools", c.Tools)
	flags.StringVar(&o.Bin, "bin", "bin", "`directory` of the shakedown to measure")
	if err := flags.Parse(args); err != nil {
		return err
	}
	chosen, err := c.choose(flags.Args())
	if err != nil {
		return err
	}
	page, err := c.measure(ctx, chosen, o)
	if err != nil {
		return err
	}
	text, err := page.Render()
	if err != nil {
		return err
	}
	if *out == "" {
		_, err = stdout.Write(text)
		return err
	}
	return os.WriteFile(*out, text, 0o644) //nolint:gosec // a document
}

func (c Command[R]) usage(flags *flag.FlagSet) {
	fmt.Fprintf(flags.Output(), "%s [flags] [experiment…]: %s; without names, in all of:\n", c.Name, c.Does)
	for _, e := range c.Experiments {
		fmt.Fprintf(flags.Output(), "  %-10s %s\n", e.Name, e.About)
	}
	flags.PrintDefaults()
}

// choose are the experiments of the given names, in the order in which they are run.
func (c Command[R]) choose(names []string) ([]Experiment[R], error) {
	for _, n := range names {
		if !slices.ContainsFunc(c.Experiments, func(e Experiment[R]) bool { return e.Name == n }) {
			return nil, fmt.Errorf("there is no experiment %q; see -h", n)
		}
	}
	var chosen []Experiment[R]
	for _, e := range c.Experiments {
		if len(names) == 0 || slices.Contains(names, e.Name) {
			chosen = append(chosen, e)
		}
	}
	return chosen, nil
}

// measure runs the experiments, one after another, on one rig.
func (c Command[R]) measure(ctx context.Context, chosen []Experiment[R], o Options) (_ *Page, err error) {
	page := c.Page
	page.Quick = o.Quick
	if page.Machine, err = thisMachine(); err != nil {
		return nil, err
	}
	rig, err := c.Start(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rig.Stop()) }()
	before, err := readTimes()
	if err != nil {
		return nil, err
	}
	for _, e := range chosen {
		fmt.Fprintf(o.Progress, "%s: %s: %s\n", c.Name, e.Name, e.About)
		s, err := e.Run(ctx, rig)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name, err)
		}
		s.name = e.Name
		page.Sections = append(page.Sections, s)
	}
	after, err := readTimes()
	if err != nil {
		return nil, err
	}
	page.Facts, page.Steal, page.Took = rig.Facts(), after.stealSince(before), time.Since(page.Machine.Began).Round(time.Second)
	return &page, nil
}

// Say is a line of progress below that of the experiment.
func (o Options) Say(format string, args ...any) { fmt.Fprintf(o.Progress, "  "+format+"\n", args...) }

// Pick is the first, or the second when there is little time.
func Pick[T any](o Options, full, quick T) T {
	if o.Quick {
		return quick
	}
	return full
}
