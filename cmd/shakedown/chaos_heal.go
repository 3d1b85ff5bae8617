package main

import (
	"github.com/spf13/cobra"

	"shakedown/internal/chaosctl"
)

func newChaosHeal() *cobra.Command {
	var o chaosctl.Options
	var all bool
	cmd := &cobra.Command{
		Use:   "heal ID… | --all",
		Short: "Take faults back, and say what they did to real traffic",
		Long: `Takes faults back and proves that they are gone. One that was healed before is no error. Toxics of Toxiproxy's clients are theirs
to remove, and stay.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, ids []string) error {
			return chaosctl.Heal(cmd.Context(), o, ids, all, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "every fault in force, the last first")
	daemonFlags(cmd, &o)
	return cmd
}
