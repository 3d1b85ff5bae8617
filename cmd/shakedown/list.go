package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"shakedown/bench"
	"shakedown/bench/run"
	"shakedown/internal/stack"
	"shakedown/targets/catalog"
)

func newList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List patterns, experiments and claims, and the engines this machine lacks",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return list(cmd.OutOrStdout())
		},
	}
}

func list(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, p := range catalog.Patterns() {
		fmt.Fprintf(w, "%s\t%s, %d claims\n", p.Name, p.Title, len(p.Claims))
		for _, e := range p.Experiments {
			fmt.Fprintf(w, "  %s\t%s\n", e.Name, e.Question)
			fmt.Fprintf(w, "  \t%s; needs %s; about %s with --quick\n",
				strings.Join(catalog.ClaimIDs(e), " "), needs(e), quickEstimate(e))
		}
	}
	fmt.Fprintln(w)
	for _, k := range stack.Kinds() {
		found, err := k.Find()
		if err != nil {
			fmt.Fprintf(w, "%s\tmissing: %v\n", k.Name(), err)
			continue
		}
		fmt.Fprintf(w, "%s\t%s, %s\n", k.Name(), found.Version, found.Path)
	}
	return w.Flush()
}

func needs(e bench.Experiment) string {
	var names []string
	for _, spec := range e.AllEngines() {
		names = append(names, spec.Name)
	}
	return strings.Join(names, " and ")
}

func quickEstimate(e bench.Experiment) string {
	quick, err := e.Clone()
	if err != nil {
		return "unknown"
	}
	quick.Quicken()
	return run.Estimate(quick, 1).Round(1e9).String()
}
