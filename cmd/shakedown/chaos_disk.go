package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"shakedown/bench/run"
	"shakedown/chaos/disk"
)

// controlFD is the descriptor that a disk's process inherits its control socket by.
const controlFD = 3

func newChaosDisk() *cobra.Command {
	return &cobra.Command{
		Use:    "disk FOLDER",
		Short:  "Serve the disk in a folder, as `run` asks for",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			conn, err := disk.Inherited(os.NewFile(controlFD, "control"))
			if err != nil {
				return &run.InputError{Err: fmt.Errorf("only a run can start this: %w", errors.Unwrap(err))}
			}
			return disk.Serve(cmd.Context(), args[0], conn)
		},
	}
}
