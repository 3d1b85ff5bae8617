package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"shakedown/bench/run"
	"shakedown/internal/session"
)

func newRun() *cobra.Command {
	var o session.Options
	cmd := &cobra.Command{
		Use:   "run EXPERIMENT [EXPERIMENT…]",
		Short: "Run experiments, one after another, and judge them",
		Long: `Starts the engines, the proxy and the services of every variant, drives them with load, injects the faults, and says
what holds. An experiment is a name from the list, or a YAML file as ` + "`show -o yaml`" + ` prints it. The recording and the
report are kept in a run directory.`,
		Example: `  shakedown run cache/aside/stampede --quick
  shakedown run resilience/retry/storm --repeats 5 --seed 7
  shakedown run db/pooling/size --variant formula,pool-20 --postgres-url postgres://me:secret@127.0.0.1/test
  shakedown run cache/aside/stampede -p rebuild=250ms -o json | jq '.runs[].claims[] | {id, finding}'`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: completeExperiments,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("repeats") && o.Repeats == 0 {
				return &run.InputError{Err: errors.New("--repeats 0: must be 1 to 1000")}
			}
			o.Experiments, o.SeedGiven = args, cmd.Flags().Changed("seed")
			return session.Run(cmd.Context(), o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.Repeats, "repeats", 0, "`times` that every variant is run, interleaved (default 5, with --quick 1)")
	f.IntVar(&o.Again, "again", session.DefaultAgain, "`times` that a void trial is run again; all of them are recorded")
	f.BoolVar(&o.Quick, "quick", false, "shorter phases, fewer variants, one repeat: a first look, without intervals")
	f.Uint64Var(&o.Seed, "seed", 0, "`number` that arrivals, keys and order are drawn from (default: a random one, printed)")
	f.StringSliceVar(&o.Variants, "variant", nil, "only these `variants`, comma separated; the control always runs")
	f.StringArrayVarP(&o.Params, "param", "p", nil, "set a configuration field, `key=value` or variant.key=value; may be repeated")
	f.StringVar(&o.Out, "out", "", "run `directory`, new or empty (default runs/TIME-NAME)")
	f.StringVarP(&o.Format, "output", "o", "text", "`format`: "+strings.Join(session.Formats(), ", "))
	f.StringVar(&o.PostgresURL, "postgres-url", "", "use the PostgreSQL server at this `URL` instead of starting one")
	f.StringVar(&o.RedisURL, "redis-url", "", "use the Redis server at this `URL` instead of starting one")
	f.StringVar(&o.EtcdURL, "etcd-url", "", "use the etcd server at this `URL` instead of starting one")
	f.StringVar(&o.RabbitMQURL, "rabbitmq-url", "", "use the RabbitMQ node at this `URL` instead of starting one")
	f.StringVar(&o.NATSURL, "nats-url", "", "use the NATS server with JetStream at this `URL` instead of starting one")
	f.StringVar(&o.MariaDBURL, "mariadb-url", "", "use the MariaDB server at this `URL` instead of starting one")
	f.StringSliceVar(&o.AllowTarget, "allow-target", nil, "`hosts` other than this machine that load and faults may hit")
	f.StringVar(&o.Telemetry, "telemetry", "", fmt.Sprintf("loopback `address` of /metrics and of Prometheus service discovery, "+
		"or off (default %s, if it is free)", session.DefaultTelemetry))
	return cmd
}
