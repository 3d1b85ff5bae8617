package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"shakedown/bench/run"
	"shakedown/chaos/proxy/api"
)

func newChaos() *cobra.Command {
	cmd := &cobra.Command{Use: "chaos", Short: "The fault proxy", Args: cobra.NoArgs}
	cmd.AddCommand(newChaosServe())
	return cmd
}

func newChaosServe() *cobra.Command {
	var o api.Options
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the fault proxy and its control API until told to stop",
		Long: `Runs a TCP proxy whose links can be delayed, throttled, held and reset through an HTTP API on loopback.
Prints one line, {"control":"http://127.0.0.1:PORT","token":"…"}; every call needs the token as a bearer token.
The token is $SHAKEDOWN_CHAOS_TOKEN when that is set.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := api.Run(cmd.Context(), cmd.OutOrStdout(), o)
			var listen *api.ListenError
			if errors.As(err, &listen) {
				return &run.InputError{Err: fmt.Errorf("--listen: %w", err)}
			}
			return err
		},
	}
	cmd.Flags().StringVar(&o.Listen, "listen", "127.0.0.1:0", "loopback `address` of the control API")
	return cmd
}
