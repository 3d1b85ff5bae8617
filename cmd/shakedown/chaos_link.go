package main

import (
	"github.com/spf13/cobra"

	"shakedown/chaos/proxy/api"
	"shakedown/internal/chaosctl"
)

func newChaosLink() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "link",
		Short: "Make and remove links",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newChaosLinkAdd(), newChaosLinkRm())
	return cmd
}

func newChaosLinkAdd() *cobra.Command {
	var o chaosctl.Options
	var spec api.LinkSpec
	cmd := &cobra.Command{
		Use:   "add NAME --upstream ADDRESS",
		Short: "Make a link to a server, and say where it listens",
		Example: `  shakedown chaos link add redis --upstream 127.0.0.1:6379 --listen 127.0.0.1:26379
  shakedown chaos link add postgres --network unix --upstream /run/postgresql/.s.PGSQL.5432 --protocol postgres
  shakedown chaos link add dns --network udp --upstream 127.0.0.1:53`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			spec.Name = args[0]
			return chaosctl.AddLink(cmd.Context(), o, spec, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringVar(&spec.Address, "upstream", "", "`address` of the server")
	f.StringVar(&spec.Listen, "listen", "", "`address` that clients connect to (default a free port of 127.0.0.1)")
	f.StringVar(&spec.Network, "network", "tcp", "`network` of the server: tcp, unix, udp")
	f.StringVar((*string)(&spec.Protocol), "protocol", "", "`protocol` that it speaks, for faults of single messages: postgres, redis, http")
	daemonFlags(cmd, &o)
	return cmd
}

func newChaosLinkRm() *cobra.Command {
	var o chaosctl.Options
	cmd := &cobra.Command{
		Use:   "rm NAME",
		Short: "Close a link, its connections, and what is in force on it",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return chaosctl.RemoveLink(cmd.Context(), o, args[0], cmd.ErrOrStderr())
		},
	}
	daemonFlags(cmd, &o)
	return cmd
}
