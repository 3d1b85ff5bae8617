package stack

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"shakedown/internal/proc"
)

// initdbArgs make the template. The data is synced when a server writes to it, not when it is copied.
var initdbArgs = []string{
	"--username=" + pgUser, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions",
}

// pgMould is a cluster with the harness's user and database.
func pgMould(k *proc.Keeper, program Program) mould {
	return mould{
		name: "postgres-" + program.Version, of: append([]string{program.Path, pgDB}, initdbArgs...),
		whole: []string{"PG_VERSION", "global/pg_control", "base", "pg_wal"},
		fill: func(ctx context.Context, dir, data, _ string) error { // which initdb reads from its file
			file := filepath.Join(dir, passwordFile)
			init := pgTool(dir, filepath.Join(filepath.Dir(program.Path), "initdb"), append([]string{"--pgdata=" + data, "--pwfile=" + file}, initdbArgs...)...)
			if err := runTool(ctx, k, init); err != nil {
				return err
			}
			return createDatabase(ctx, k, dir, data, program)
		},
	}
}

// pgTool is one of PostgreSQL's programs. Single-user mode ends with status 0 also when a statement fails.
func pgTool(dir, path string, args ...string) tool {
	return tool{dir: dir, path: path, args: args, env: pgEnv(os.Environ()), words: pgWords, failed: "ERROR:"}
}

// createDatabase makes the run's database in single-user mode, and drops "postgres": that much less is copied at each start.
func createDatabase(ctx context.Context, k *proc.Keeper, dir, data string, program Program) error {
	script := filepath.Join(dir, "create.sql")
	if err := os.WriteFile(script, []byte("CREATE DATABASE "+pgDB+"\nDROP DATABASE postgres\n"), 0o600); err != nil {
		return err
	}
	in, err := os.Open(script)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	single := pgTool(dir, program.Path, "--single", "-D", data, "-c", "fsync=off", "template1")
	single.stdin = in
	return errors.Join(runTool(ctx, k, single), os.Remove(script))
}
