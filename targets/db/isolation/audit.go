package isolation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"shakedown/bench"
	"shakedown/bench/check/invariants"
	"shakedown/bench/check/listappend"
	"shakedown/targets/serve"
)

// seed makes the tables of the workloads anew. Experiments with a probe make their own.
func seed(ctx context.Context, env bench.Env, raw json.RawMessage) error {
	var load struct {
		Workload string `json:"workload"`
	}
	if err := json.Unmarshal(raw, &load); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	if load.Workload == "" {
		return nil // a probe's, which checks its configuration itself
	}
	config, err := serve.Decode[Config](raw)
	if err != nil {
		return err
	}
	return withServer(ctx, env, config.Engine, func(c session) error {
		// Every pair of doctors has one on call, or both; accounts hold the same; all else is 0.
		value := map[string]string{bank: fmt.Sprint(start), writeSkew: "1"}[config.Workload]
		if value == "" {
			value = "0"
		}
		numbers := "with recursive n(i) as (select 0 union all select i + 1 from n where i < " + fmt.Sprint(maxKeys-1) + ") select i, "
		if config.Engine == onMariaDB {
			numbers = "select seq, "
		}
		from := map[string]string{onPostgres: " from n", onMariaDB: " from seq_0_to_" + fmt.Sprint(maxKeys-1)}[config.Engine]
		for _, statement := range []string{
			"drop table if exists " + listTable, "drop table if exists " + cellTable,
			"create table " + listTable + " (id int primary key, v text not null)",
			"create table " + cellTable + " (id int primary key, v bigint not null)",
			"insert into " + listTable + " " + numbers + "''" + from,
			"insert into " + cellTable + " " + numbers + value + from,
		} {
			if r := c.exec(ctx, statement, false); r.err != nil {
				return fmt.Errorf("seed %s: %w", config.Engine, r.err)
			}
		}
		return nil
	})
}

// withServer lends a session that goes straight to one of the trial's engines.
func withServer(ctx context.Context, env bench.Env, engine string, use func(session) error) (err error) {
	s, err := connect(ctx, env, engine)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close(context.WithoutCancel(ctx))) }()
	c, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer c.close(context.WithoutCancel(ctx))
	return use(c)
}

// judgeBound is how long sorting anomalies may take: whether there are cycles is always decided.
const judgeBound = time.Minute

// numForbidden counts the anomalies that serializability forbids, by sort; beside it there is a number for each sort, 1 where it was found.
const numForbidden = "forbidden"

// audit judges the history of the trial, and what is there in the end.
func audit(ctx context.Context, env bench.Env, raw json.RawMessage, _ []bench.Sample) (found bench.Audit, err error) {
	config, err := serve.Decode[Config](raw)
	if err != nil {
		return found, err
	}
	history, err := bench.ReadHistory[txn](env)
	if err != nil {
		return found, err
	}
	found.What, found.Numbers = "transactions", map[string]float64{bench.AuditViolations: 0, "transactions": float64(len(history)), "aborted": 0}
	for _, t := range history {
		if t.Outcome == bench.Failed.String() {
			found.Numbers["aborted"]++
		}
	}
	if config.Workload == listAppend {
		return found, judgeLists(ctx, history, &found)
	}
	var final []row
	if err := withServer(ctx, env, config.Engine, func(c session) error {
		r := c.exec(ctx, "select id, v from "+cellTable+" order by id", true)
		final = r.rows
		return r.err
	}); err != nil {
		return found, fmt.Errorf("reading what is there in the end: %w", err)
	}
	j := judge(config, history, final)
	found.Of, found.Numbers[bench.AuditViolations], found.Examples = j.Judged, float64(j.Violations), j.Examples
	if config.Workload == lostUpdate && j.Judged > 0 {
		found.Numbers[numAcked], found.Numbers[numPer10k] = float64(j.Judged), 1e4*float64(j.Violations)/float64(j.Judged)
	}
	return found, nil
}

// judge applies the rule of a workload.
func judge(config Config, history []txn, final []row) invariants.Judgement {
	var txns []invariants.Txn
	for _, t := range history {
		of := invariants.Txn{Name: t.Name, Outcome: outcome(t.Outcome)}
		for _, a := range t.Ops {
			if c := (invariants.Cell{Key: a.Key, Value: a.Value}); a.Read {
				of.Reads = append(of.Reads, c)
			} else {
				of.Writes = append(of.Writes, c)
			}
		}
		txns = append(txns, of)
	}
	cells := make([]invariants.Cell, len(final))
	for i, r := range final {
		cells[i] = invariants.Cell{Key: r.id, Value: r.v}
	}
	switch config.Workload {
	case bank:
		return invariants.Bank(txns, config.Keys, int64(config.Keys)*start, cells[:min(config.Keys, len(cells))])
	case writeSkew:
		return invariants.OnCall(txns, cells[:min(2*config.Keys, len(cells))])
	case longFork:
		return invariants.LongFork(txns)
	default:
		return invariants.Counters(txns, cells)
	}
}

func outcome(name string) bench.Outcome {
	for _, o := range bench.Outcomes() {
		if o.String() == name {
			return o
		}
	}
	return bench.Unsure
}

// judgeLists finds the anomalies of a history of lists.
func judgeLists(ctx context.Context, history []txn, found *bench.Audit) error {
	var h listappend.History
	for _, t := range history {
		of := listappend.Txn{Name: t.Name, Outcome: outcome(t.Outcome)}
		for _, a := range t.Ops {
			of.Ops = append(of.Ops, listappend.Op{Key: a.Key, Reads: a.Read, Value: a.Value, List: a.List})
		}
		h = append(h, of)
	}
	ctx, cancel := context.WithTimeout(ctx, judgeBound)
	defer cancel()
	j, err := listappend.Judge(ctx, h, listappend.Options{Examples: 1})
	if err != nil {
		return err
	}
	found.Of = j.Committed
	for _, a := range listappend.Anomalies() {
		found.Numbers[string(a)] = 0
		if slices.Contains(j.Open, a) {
			found.Numbers["open"]++
		}
	}
	for i := range j.Findings {
		f := &j.Findings[i]
		if found.Numbers[string(f.Anomaly)]++; found.Numbers[string(f.Anomaly)] == 1 {
			found.Numbers[numForbidden]++
			found.Examples = append(found.Examples, f.String())
		}
	}
	found.Numbers[bench.AuditViolations] = found.Numbers[numForbidden]
	return nil
}
