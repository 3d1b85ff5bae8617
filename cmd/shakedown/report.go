package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"shakedown/bench/report"
	"shakedown/bench/run"
	"shakedown/internal/judge"
	"shakedown/internal/session"
)

func newReport() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "report DIR",
		Short: "Judge a stored run again, without any server",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !knows(format) {
				return &run.InputError{Err: fmt.Errorf("--format %s: the formats are %s", format, strings.Join(report.Formats(), ", "))}
			}
			in, err := judge.Dir(args[0])
			if err != nil {
				return &run.InputError{Err: err}
			}
			if err := report.Write(cmd.OutOrStdout(), format, in, session.TextOptions(cmd.OutOrStdout())); err != nil {
				return err
			}
			return session.Status(in.Result)
		},
	}
	cmd.Flags().StringVar(&format, "format", "text", "`format`: "+strings.Join(report.Formats(), ", "))
	return cmd
}

func knows(format string) bool {
	for _, f := range report.Formats() {
		if f == format {
			return true
		}
	}
	return false
}
