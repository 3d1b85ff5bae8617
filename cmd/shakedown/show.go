package main

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"shakedown/bench"
	"shakedown/bench/run"
	"shakedown/internal/specfile"
	"shakedown/targets/catalog"
)

func newShow() *cobra.Command {
	var format string
	var when scheduleFlags
	cmd := &cobra.Command{
		Use:   "show EXPERIMENT",
		Short: "Show what an experiment asks, varies, injects and decides",
		Long: `Shows the question, the variants with their configuration, the phases with their faults, and the claims.
With -o yaml it prints the whole experiment, which can be edited and run: shakedown run FILE.yaml
With --schedule it prints when each fault is due in a run with the given seed. EXPERIMENT may be a file, too.`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeExperiments,
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := experiment(args[0])
			if err != nil {
				return &run.InputError{Err: err}
			}
			if when.asked {
				return when.show(cmd.OutOrStdout(), e)
			}
			switch format {
			case "text":
				return show(cmd.OutOrStdout(), e)
			case "yaml":
				raw, err := specfile.Marshal(e)
				if err != nil {
					return err
				}
				_, err = cmd.OutOrStdout().Write(raw)
				return err
			default:
				return &run.InputError{Err: fmt.Errorf("-o %s: the formats are text and yaml", format)}
			}
		},
	}
	cmd.Flags().StringVarP(&format, "output", "o", "text", "`format`: text or yaml")
	when.register(cmd.Flags())
	return cmd
}

// experiment is one of the catalog, or one in a file.
func experiment(name string) (bench.Experiment, error) {
	if ext := filepath.Ext(name); ext == ".yaml" || ext == ".yml" {
		e, err := specfile.Read(name)
		if err != nil {
			return e, err
		}
		return e, e.Validate()
	}
	_, e, err := catalog.Experiment(name)
	return e, err
}

func completeExperiments(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var names []string
	for _, p := range catalog.Patterns() {
		for _, e := range p.Experiments {
			names = append(names, e.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func show(w io.Writer, e bench.Experiment) error {
	out := &printer{w: w}
	out.line("%s\n%s\n", e.Name, e.Question)
	if e.Note != "" {
		out.line("%s\n", e.Note)
	}
	out.line("variants (the first is the control)")
	for _, v := range e.Variants {
		raw, err := json.Marshal(v.Config)
		if err != nil {
			return err
		}
		out.line("  %-14s %s%s%s\n  %-14s %s", v.Name, v.About, times(v.Instances), onlyFull(v.Full), "", raw)
	}
	if len(e.Levels) > 0 {
		out.line("\nlevels of %s", e.Factor)
	}
	for _, l := range e.Levels {
		out.line("  %-14s %s%s%s", l.Name, l.About, among(l.Variants), onlyFull(l.Full))
	}
	if e.Probes() {
		out.line("\nprobe %s, in place of a load", e.Probe)
	} else {
		out.phases(e)
	}
	claims, err := catalog.Claims(e)
	if err != nil {
		return err
	}
	out.line("\nclaims")
	for _, c := range claims {
		out.line("  %s  %s\n      expected: %s%s", c.ID, c.Text, c.Expect, on(c))
		for _, check := range e.Checks {
			if check.Claim == c.ID {
				out.line("      · %s%s", check.Text, when(check))
			}
		}
	}
	return out.err
}

// printer keeps the first error of many prints.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

// phases prints the phases of each level, once for those that share them.
func (p *printer) phases(e bench.Experiment) {
	var shown [][]string
	for _, l := range e.LevelList() {
		var lines []string
		for _, ph := range e.PhasesAt(l) {
			lines = append(lines, phaseLine(ph))
		}
		if slices.ContainsFunc(shown, func(s []string) bool { return slices.Equal(s, lines) }) {
			continue
		}
		shown = append(shown, lines)
		title := "\nphases"
		if l.Name != "" {
			title += " at " + l.Name
		}
		p.line("%s\n%s", title, strings.Join(lines, "\n"))
	}
}

func phaseLine(p bench.Phase) string {
	load := p.Rate.String()
	if p.Closed != nil {
		load = fmt.Sprintf("%d users, think %v", p.Closed.Users, p.Closed.Think)
	}
	line := fmt.Sprintf("  %-14s %-6v %s", p.Name, p.For, load)
	for _, f := range p.Faults {
		line += fmt.Sprintf("; %s", f)
	}
	for _, e := range p.Schedule {
		line += fmt.Sprintf("\n  %-21s  %s", "", entryLine(e))
	}
	return line
}

func times(n int) string {
	if n > 1 {
		return fmt.Sprintf(", %d instances", n)
	}
	return ""
}

func onlyFull(full bool) string {
	if full {
		return " (not with --quick)"
	}
	return ""
}

func among(variants []string) string {
	if variants == nil {
		return ""
	}
	return " (" + strings.Join(variants, ", ") + ")"
}

func on(c bench.Claim) string {
	if c.On == "" {
		return ""
	}
	return " on " + c.On
}

func when(c bench.Check) string {
	if c.When == "" {
		return ""
	}
	return " [" + c.When + "]"
}
