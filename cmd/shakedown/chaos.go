package main

import (
	"github.com/spf13/cobra"

	"shakedown/internal/chaosctl"
)

func newChaos() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "chaos",
		Short: "The fault proxy, standing alone",
		Long: `A proxy that stands between any client and any server and does to their connections what networks do. It answers Toxiproxy's
HTTP API, so that Toxiproxy's clients drive it, and one of its own, which these commands use.

  shakedown chaos serve                                          the proxy; Ctrl-C ends it, and all that it does
  shakedown chaos link add redis --upstream 127.0.0.1:6379       a link; says where it listens
  shakedown chaos inject latency --link redis --delay 50ms       says whether it landed, and its id
  shakedown chaos status                                         links, what is in force, what it achieved
  shakedown chaos heal latency-1                                 says what the fault did to real traffic

Exit codes: 0 done, and seen; 2 bad input; 3 no daemon answers, or this machine lacks something; 4 the fault could not be seen to
land, or to go; 5 interrupted, and healed; 70 internal error.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newChaosDisk(), newChaosServe(), newChaosInject(), newChaosHeal(), newChaosStatus(), newChaosLink())
	return cmd
}

// daemonFlags are those of every command that talks to a daemon.
func daemonFlags(cmd *cobra.Command, o *chaosctl.Options) {
	cmd.Flags().StringVar(&o.Control, "control", chaosctl.DefaultControl, "`URL` of the daemon")
	cmd.Flags().StringVarP(&o.Format, "output", "o", "text", "`format`: text, json")
}
