package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"shakedown/bench/run"
	"shakedown/targets/catalog"
	"shakedown/targets/serve"
)

func newTarget() *cobra.Command {
	var spec string
	cmd := &cobra.Command{
		Use:   "target PATTERN --spec FILE",
		Short: "Run one process of a pattern, as `run` does",
		Long: `Runs one reference service until it is told to stop. The specification is JSON:
{"env": {…addresses of engines, instance, seed…}, "config": {…the variant's…}, "listen": "127.0.0.1:0"}.
Once the service is ready it prints one line, {"addr":"127.0.0.1:PORT"}.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			pattern, err := catalog.Pattern(args[0])
			if err != nil {
				return &run.InputError{Err: err}
			}
			var t run.TargetSpec
			if spec == "" {
				return &run.InputError{Err: errors.New("say which process with --spec FILE")}
			}
			raw, err := os.ReadFile(spec)
			if err == nil {
				err = json.Unmarshal(raw, &t)
			}
			if err != nil {
				return &run.InputError{Err: fmt.Errorf("--spec: %w", err)}
			}
			ln, err := t.Open(cmd.Context())
			if err != nil {
				return &run.InputError{Err: err}
			}
			return serve.Main(cmd.Context(), pattern, t.Env, t.Config, ln, func(addr string) {
				_ = json.NewEncoder(cmd.OutOrStdout()).Encode(run.TargetReady{Addr: addr})
			})
		},
	}
	cmd.Flags().StringVar(&spec, "spec", "", "the specification `file`")
	return cmd
}
