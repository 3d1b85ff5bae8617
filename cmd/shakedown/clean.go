package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"shakedown/bench/run"
	"shakedown/internal/undo"
	"shakedown/internal/workdir"
)

func newClean() *cobra.Command {
	return &cobra.Command{
		Use:   "clean",
		Short: "Undo whatever a killed run left",
		Long: `Ends the processes that a killed run left, after comparing pid, start time and boot with its journal, takes back what it
changed beside them (control groups and the like), and removes its working directory. Every other command that starts something does the same first. Run directories are never touched.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			root, err := workdir.Open()
			if err != nil {
				return &run.EnvironmentError{Err: err}
			}
			swept, err := root.Sweep(cmd.Context(), undo.Kinds()...)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), swept)
			return err
		},
	}
}
