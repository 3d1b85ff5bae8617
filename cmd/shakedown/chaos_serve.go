package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"shakedown/bench/run"
	"shakedown/chaos/proxy/api"
	"shakedown/chaos/proxy/daemon"
)

func newChaosServe() *cobra.Command {
	var o daemon.Options
	var forRun bool
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the fault proxy and its control API until told to stop",
		Long: `Runs a proxy that has no links at first, answers Toxiproxy's HTTP API and one of its own on one address, and says which.
Whatever ends it, kill -9 too, ends all that it did: links are its own sockets, and nothing else is changed.

It listens on loopback, where callers need no token, as Toxiproxy's clients have none; browsers and requests for foreign hosts are refused.
On another address it listens only with a token in $` + api.TokenEnv + `, which callers from other machines must show: as a bearer
token, or as the password of http://any:TOKEN@host:8474. Links may listen on other addresses than loopback's, and lead to other
machines, when those are named with --allow-target.`,
		Example: `  shakedown chaos serve
  shakedown chaos serve --config toxiproxy.json
  ` + api.TokenEnv + `=secret shakedown chaos serve --listen 0.0.0.0:8474 --allow-target 0.0.0.0 --allow-target db.internal`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Token = os.Getenv(api.TokenEnv)
			var err error
			if forRun {
				err = api.Run(cmd.Context(), cmd.OutOrStdout(), api.Options{})
			} else {
				err = daemon.Run(cmd.Context(), cmd.OutOrStdout(), o)
			}
			var listen *api.ListenError
			var option *daemon.OptionError
			if errors.As(err, &listen) || errors.As(err, &option) {
				return &run.InputError{Err: err}
			}
			return err
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.Listen, "listen", daemon.DefaultListen, "`address` of the API")
	f.StringVar(&o.Config, "config", "", "make the proxies of this `file`, a list in Toxiproxy's JSON")
	f.BoolVar(&o.RequireToken, "require-token", false, fmt.Sprintf("want the token of $%s of callers on this machine too", api.TokenEnv))
	f.StringSliceVar(&o.AllowTargets, "allow-target", nil, "`hosts` other than this machine that links may lead to or listen on")
	f.StringSliceVar(&o.AllowHosts, "allow-host", nil, "`names` other than localhost under which callers may reach the API")
	f.Uint64Var(&o.Seed, "seed", 0, "`number` that toxics draw their connections from (default: a random one)")
	f.BoolVar(&forRun, "for-run", false, "be the proxy of a run")
	_ = f.MarkHidden("for-run") // it is there
	return cmd
}
