package main

import (
	"github.com/spf13/cobra"

	"shakedown/internal/chaosctl"
)

func newChaosStatus() *cobra.Command {
	var o chaosctl.Options
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show links, what is in force on them since when, and what it achieved",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return chaosctl.Status(cmd.Context(), o, cmd.OutOrStdout())
		},
	}
	daemonFlags(cmd, &o)
	return cmd
}
