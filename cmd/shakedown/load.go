package main

import (
	"strings"

	"github.com/spf13/cobra"

	"shakedown/bench/load"
	"shakedown/internal/loadrun"
)

func newLoad() *cobra.Command {
	var o loadrun.Options
	cmd := &cobra.Command{
		Use:   "load URL [URL…]",
		Short: "Send load to a server, and say how it fared and whether that may be believed",
		Long: `Sends requests that are due whether or not the server answers (open loop), and says what users would have waited: times run from
the moment a request was due. HTTP/1.1, HTTP/2, PostgreSQL and Redis. Every arrival ends in exactly one of ok, degraded, refused, failed,
unsure and unsent. When the generator or the machine was the limit, the result is void, and says why.

Exit codes: 0 the load ran, and met the SLO if there is one; 1 it missed the SLO; 2 bad input; 3 the server cannot be reached, or this
machine lacks something; 4 void; 5 aborted.`,
		Example: `  shakedown load http://127.0.0.1:8080/ --rate 5000
  shakedown load http://127.0.0.1:8080/item/'{{zipf 1 1000000 0.99}}' --rate 100..5000:30s --duration 1m
  shakedown load https://127.0.0.1:8443/ --http2 --insecure --users 32 --think 10ms
  shakedown load http://127.0.0.1:8080/ --search --slo 'p99<50ms,goodput>99%'
  shakedown load postgres://me:secret@127.0.0.1/test --sql 'select * from item where id = $1' --arg zipf:1:1000000:0.99
  shakedown load redis://127.0.0.1 --command 'GET key:{{zipf 1 1000000 0.99}}' --rate 20000 -o json`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.URLs, o.Changed = args, cmd.Flags().Changed
			return loadrun.Run(cmd.Context(), o, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.Rate, "rate", "", "arrivals a second: 5000, or from 100 to 5000: `100..5000[:30s]` (default 100)")
	f.StringVar(&o.Arrival, "arrival", "", "how they arrive: `"+strings.Join(loadrun.Arrivals(), ", ")+"` (default poisson; ramp with two rates)")
	f.IntVar(&o.Users, "users", 0, "closed loop: `number` of users who wait for their answers")
	f.DurationVar(&o.Think, "think", 0, "mean `time` that they think before they ask again, exponential")
	f.DurationVar(&o.Duration, "duration", loadrun.DefaultDuration, "`time` that is measured; with --search that of a trial")
	f.DurationVar(&o.Warmup, "warmup", loadrun.DefaultWarmup, "`time` before it that is not")
	f.DurationVar(&o.Timeout, "timeout", loadrun.DefaultTimeout, "`time` after which a user gives up")
	f.StringVar(&o.Method, "method", "", "HTTP `method` (default GET; POST with a body)")
	f.StringArrayVarP(&o.Headers, "header", "H", nil, "HTTP header, `'Name: value'`; may be repeated")
	f.StringVar(&o.Body, "body", "", "HTTP body, a `text` that may hold templates")
	f.StringVar(&o.BodyFile, "body-file", "", "HTTP body from a `file`, - for standard input")
	f.StringVar(&o.Requests, "requests", "", "a mix of requests with weights, from a YAML `file`")
	f.StringVar(&o.SQL, "sql", "", "`statement` to ask PostgreSQL")
	f.StringArrayVar(&o.Args, "arg", nil, "what its $1, $2 … are drawn from, in order: `zipf:1:1000000:0.99`, uniform:1:9, sequential:1:9, fixed:7")
	f.StringVar(&o.Command, "command", "", "`command` to ask Redis, as redis-cli takes it")
	f.StringVar(&o.SLO, "slo", "", "what must be met: `'p99<50ms,goodput>99%'`")
	f.BoolVar(&o.Search, "search", false, "find the highest rate that meets the SLO")
	f.IntVar(&o.Connections, "connections", 0, "most connections, to all URLs together; requests beyond them wait (default as many as it takes)")
	f.IntVar(&o.MaxInFlight, "max-in-flight", 0, "most requests in flight, which bounds memory; arrivals beyond it are never sent (default 50000)")
	f.IntVar(&o.Loops, "loops", 1, "event loops, a thread each")
	f.DurationVar(&o.Gather, "gather", load.DefaultGather, "`time` that a loop may hold requests back, so that several leave together, which takes less CPU time: all of it at 30000/s and "+
		"more, nothing up to 10000/s; 0: each leaves when it is due")
	f.StringVar(&o.Backend, "backend", "auto", "what they are made of: `"+strings.Join(loadrun.Backends(), ", ")+"`")
	f.BoolVar(&o.HTTP2, "http2", false, "speak HTTP/2: over TLS, or in plaintext with prior knowledge")
	f.BoolVar(&o.Insecure, "insecure", false, "take any certificate")
	f.StringVar(&o.CACert, "cacert", "", "trust the certificates in this `file`, and no others")
	f.Uint64Var(&o.Seed, "seed", 0, "`number` that arrivals and keys are drawn from (default: a random one, printed)")
	f.BoolVar(&o.Calibrate, "calibrate", true, "first measure this machine's ceiling, for half a second")
	f.StringVarP(&o.Format, "output", "o", "text", "`format`: "+strings.Join(loadrun.Formats(), ", "))
	f.StringVar(&o.HDR, "hdr", "", "write response times to this `file`, an HdrHistogram log")
	f.StringVar(&o.Report, "report", "", "write a page to this `file`, which ends in .html; html alone picks a name")
	f.StringSliceVar(&o.AllowTarget, "allow-target", nil, "`hosts` other than this machine that load may hit")
	return cmd
}
