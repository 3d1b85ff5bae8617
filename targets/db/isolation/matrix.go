package isolation

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"shakedown/bench"
	"shakedown/targets/serve"
)

// MatrixConfig is what one trial of a matrix asks.
type MatrixConfig struct {
	Engine string `json:"engine"` // "postgres" or "mariadb"
	Level  string `json:"level"`  // as SQL spells it: "read committed"
}

// Validate says what is wrong with the configuration.
func (c MatrixConfig) Validate() error {
	if c.Engine != onPostgres && c.Engine != onMariaDB {
		return fmt.Errorf("engine: %q is neither %s nor %s", c.Engine, onPostgres, onMariaDB)
	}
	if !slices.Contains(levels, c.Level) {
		return fmt.Errorf("level: %q is none of %s", c.Level, strings.Join(levels, ", "))
	}
	return nil
}

// The numbers of a matrix beside those of its cases, which are 1 where the anomaly was seen and 0 where it was not.
const (
	numAnomalies = "anomalies"       // cases in which it was seen
	numDirty     = "dirty_reads"     // of G1a, G1b and G1c
	numWaits     = "waits"           // statements that waited for a lock, over all cases
	numAborts    = "aborts"          // transactions that the engine ended, over all cases
	transcripts  = "transcripts.txt" // all runs, beside the histories
)

// probeMatrix is the probe that runs the given cases one after the other, on a table made anew for each.
func probeMatrix(of func() []probeCase) bench.Probe {
	return bench.Probe{Config: MatrixConfig{}, Run: func(ctx context.Context, env bench.Env, raw json.RawMessage) (found bench.Audit, err error) {
		config, err := serve.Decode[MatrixConfig](raw)
		if err != nil {
			return found, err
		}
		s, err := connect(ctx, env, config.Engine)
		if err != nil {
			return found, err
		}
		defer func() { err = errors.Join(err, s.close(context.WithoutCancel(ctx))) }()
		found, text, err := matrix(ctx, s, config.Level, of())
		if err != nil || env.History == "" {
			return found, err
		}
		return found, os.WriteFile(filepath.Join(env.History, transcripts), []byte(text), 0o644)
	}}
}

// matrix runs the cases, and returns all transcripts too.
func matrix(ctx context.Context, s server, level string, all []probeCase) (found bench.Audit, text string, err error) {
	found = bench.Audit{Of: len(all), What: "cases", Numbers: map[string]float64{numAnomalies: 0, numDirty: 0, numWaits: 0, numAborts: 0}}
	var b strings.Builder
	for _, c := range all {
		if err := fresh(ctx, s, c.seed); err != nil {
			return found, "", err
		}
		r, err := interleave(ctx, s, level, c.steps)
		if err != nil {
			return found, "", fmt.Errorf("case %s at %s: %w", c.name, level, err)
		}
		found.Numbers[c.name] = 0
		found.Numbers[numWaits] += float64(r.waited)
		found.Numbers[numAborts] += float64(r.aborted)
		how := "not seen"
		if c.seen(r) {
			how = "seen: " + c.why
			found.Numbers[c.name] = 1
			found.Numbers[numAnomalies]++
			if strings.HasPrefix(c.name, "G1") {
				found.Numbers[numDirty]++
			}
			found.Examples = append(found.Examples, fmt.Sprintf("%s\n%s\n  so: %s", c.title, r.transcript(), c.why))
		}
		fmt.Fprintf(&b, "%s, %s: %s\n%s\n\n", c.title, level, how, r.transcript())
	}
	return found, b.String(), nil
}

// fresh makes the table anew.
func fresh(ctx context.Context, s server, rows string) error {
	c, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer c.close(context.WithoutCancel(ctx))
	for _, statement := range []string{
		"drop table if exists " + table,
		"create table " + table + " (id int primary key, v int not null)",
		"insert into " + table + " values " + cmp.Or(rows, "(1, 10), (2, 20)"),
	} {
		if r := c.exec(ctx, statement, false); r.err != nil {
			return fmt.Errorf("making the table: %w", r.err)
		}
	}
	return nil
}
