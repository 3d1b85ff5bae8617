package main

import (
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"shakedown/bench/run"
	"shakedown/internal/chaosctl"
)

func newChaosInject() *cobra.Command {
	var o chaosctl.Options
	var fault string
	var lasts time.Duration
	cmd := &cobra.Command{
		Use:   "inject KIND --link NAME … | --json FAULT",
		Short: "Put a fault in force on a link, and prove that it landed",
		Long: `Puts a fault in force, probes the link before and after, and prints what was seen of it, and the fault's id. It stays until it is
healed; with --for the daemon heals it after that time, whatever becomes of this command, which waits and prints what the fault did;
Ctrl-C heals at once. A fault that cannot be seen is taken back. There is a command for every kind of fault that acts on a link, with
a flag for each of its fields.`,
		Example: `  shakedown chaos inject latency --link redis --delay 50ms --jitter 5ms --for 30s
  shakedown chaos inject blackhole --link redis --direction upstream
  shakedown chaos inject --json '{"kind":"bandwidth","link":"redis","bytes_per_second":100000}'`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) > 0:
				return &run.InputError{Err: chaosctl.UnknownKind(args[0])}
			case fault == "":
				return &run.InputError{Err: errors.New("say which fault: one of the kinds in --help, or --json")}
			}
			return chaosctl.Inject(cmd.Context(), o, fault, lasts, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&fault, "json", "", "the `fault` as experiments write it")
	injectFlags(cmd, &o, &lasts)
	for _, kind := range chaosctl.LinkKinds() {
		cmd.AddCommand(newChaosInjectKind(kind))
	}
	return cmd
}

func newChaosInjectKind(kind string) *cobra.Command {
	var o chaosctl.Options
	var lasts time.Duration
	cmd := &cobra.Command{
		Use:  kind + " --link NAME …",
		Args: cobra.NoArgs,
	}
	cmd.Flags().SortFlags = false
	flags := chaosctl.AddFaultFlags(cmd.Flags(), kind)
	injectFlags(cmd, &o, &lasts)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		fault, err := flags.JSON()
		if err != nil {
			return &run.InputError{Err: err}
		}
		return chaosctl.Inject(cmd.Context(), o, fault, lasts, cmd.OutOrStdout(), cmd.ErrOrStderr())
	}
	return cmd
}

// explainFaults gives the commands of the kinds of faults, and their flags, the texts that help shows.
func explainFaults(root *cobra.Command) {
	inject, _, err := root.Find([]string{"chaos", "inject"})
	if err != nil {
		return
	}
	for _, cmd := range inject.Commands() {
		about := chaosctl.About(cmd.Name())
		cmd.Short, _, _ = strings.Cut(strings.TrimSuffix(strings.ReplaceAll(about, "\n", " "), "."), ". ")
		cmd.Long = about
		chaosctl.Explain(cmd.Flags(), cmd.Name())
	}
}

func injectFlags(cmd *cobra.Command, o *chaosctl.Options, lasts *time.Duration) {
	cmd.Flags().DurationVar(lasts, "for", 0, "heal it after so much `time`, and wait for that")
	daemonFlags(cmd, o)
}
