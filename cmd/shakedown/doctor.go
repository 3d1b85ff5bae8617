package main

import (
	"github.com/spf13/cobra"

	"shakedown/internal/doctor"
	"shakedown/internal/exit"
)

func newDoctor() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Say what this machine can do, and what it lacks",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			lacking, err := doctor.Examine(cmd.OutOrStdout())
			if err != nil {
				return err
			}
			if lacking {
				return exit.Status(exit.Environment)
			}
			return nil
		},
	}
}
