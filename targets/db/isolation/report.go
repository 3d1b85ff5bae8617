package isolation

import (
	"context"
	"fmt"
	"net/http"

	"github.com/jackc/pgx/v5"

	"shakedown/bench"
	"shakedown/internal/clock"
	"shakedown/internal/units"
	"shakedown/targets/serve"
)

// The transactions that a report may run in.
const (
	noReport         = ""                // there is none: the answer is empty
	snapshotReport   = "repeatable-read" // one snapshot, which may show a state that no order of the transactions explains
	plainReport      = "serializable"    // serializable, read only
	deferrableReport = "deferrable"      // likewise, once it is known that nothing can end it
)

var reports = map[string]pgx.TxOptions{
	snapshotReport:   {IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly},
	plainReport:      {IsoLevel: pgx.Serializable, AccessMode: pgx.ReadOnly},
	deferrableReport: {IsoLevel: pgx.Serializable, AccessMode: pgx.ReadOnly, DeferrableMode: pgx.Deferrable},
}

// A report reads every cell that is in use, in so many statements with the application's work between them.
const (
	reportReads = 40
	reportPause = 10 * units.Millisecond
)

// spanStart is the time until a report has its snapshot.
const spanStart = "report_start"

// reporting are conflicts that only a report completes: two pairs of counters, whose transactions take 20 ms.
func reporting(name, about, report string) bench.Variant {
	return bench.Variant{Name: name, About: about, Config: Config{
		Engine: onPostgres, Level: serializable, Workload: lookBeside, Report: report, Retries: retries, Backoff: backoff,
		Pause: 20 * units.Millisecond, Keys: 2, Pool: 24,
	}}
}

var reportExperiment = bench.Experiment{
	Name:     "db/isolation/report",
	Question: "What does a long report at serializable cost, and whom?",
	Note: "Serializable transactions of about 20 ms come at 80 a second. They count up a counter, or look at it and count up another: as long as nobody " +
		"reads both, most of those that overlap can be put in order. Reports read both, for 0.4 s each, 8 of them a second. One that the engine ends " +
		"fails; its user would have to begin again. Without reports, requests for one are answered at once.",
	Engines: []bench.EngineSpec{{Name: onPostgres}},
	Variants: []bench.Variant{
		reporting("none", "no report", noReport),
		reporting("serializable", "serializable, read only", plainReport),
		reporting("deferrable", "serializable, read only, deferrable", deferrableReport),
		reporting("repeatable-read", "repeatable read, read only", snapshotReport),
	},
	Workload: bench.Workload{
		Ops: []bench.Op{
			{Name: "txn", Weight: 10, Method: http.MethodPut, Path: "/txn/{key}", Keys: bench.Keys{Dist: "uniform", N: 1 << 40}},
			{Name: "report", Path: "/report"},
		},
		SLO:     3 * units.Second,
		Timeout: 3 * units.Second,
	},
	Phases: []bench.Phase{
		{Name: "warmup", For: units.Second, Quick: 500 * units.Millisecond, Rate: bench.PerSecond(88)},
		{Name: "load", For: 15 * units.Second, Quick: 5 * units.Second, Rate: bench.PerSecond(88), Judged: true},
	},
	Columns: []bench.Column{
		{Title: "reports that the engine ended", Unit: "share", Of: onOp("report", "failed", "")},
		{Title: "until a report has its snapshot, p99", Unit: "ms", Of: bench.Query{Phase: "load", Metric: "span", Name: spanStart, Stat: "p99_ms"}},
		{Title: "report, median", Unit: "ms", Of: onOp("report", "answer_ms", "p50")},
		{Title: "transactions begun", Unit: "for each request", Of: costOf("amplification", "", onPostgres)},
		{Title: "transaction, p99", Unit: "ms", Of: onOp("txn", "response_ms", "p99")},
	},
	Checks: []bench.Check{
		{
			Claim: "db/isolation#12", Text: "no deferrable report is ended by the engine", Of: onOp("report", "failed", "").In("deferrable", ""),
			Rel: bench.AtMost, Bound: 0, Never: true,
		},
		{
			Claim: "db/isolation#12", Text: "reports that are not deferrable are", Of: onOp("report", "failed", "").In("serializable", ""),
			Rel: bench.AtLeast, Bound: 0.01,
		},
		{
			Claim: "db/isolation#12", Text: "the p99 of transactions beside deferrable reports is at most half as high again as without reports",
			Of:     onOp("txn", "response_ms", "p99").In("deferrable", ""),
			Versus: new(onOp("txn", "response_ms", "p99").In("none", "")), Rel: bench.AtMost, Bound: 1.5,
		},
	},
}

func onOp(op, metric, stat string) bench.Query {
	q := costOf(metric, stat, "")
	q.Op = op
	return q
}

// report reads every cell in one transaction, as the configuration says.
func (s *service) report(ctx context.Context, _ *http.Request) (a serve.Answer, err error) {
	if s.config.Report == noReport {
		return a, nil
	}
	pool := s.client.(*pgClient).pool // Validate: there are reports on PostgreSQL only
	started := s.server.Span(spanStart, 0)
	return a, pgx.BeginTxFunc(ctx, pool, reports[s.config.Report], func(t pgx.Tx) error {
		for i := range reportReads {
			// Reads come out of an index: a scan of the whole table would meet writers that the report does not ask about.
			first := int64(i * 2 * s.config.Keys / reportReads)
			var sum int64
			if err := t.QueryRow(ctx, "select coalesce(sum(v), 0) from "+cellTable+" where id = $1", first).Scan(&sum); err != nil {
				return fmt.Errorf("report: %w", err)
			}
			if i == 0 {
				started(0)
			}
			if err := clock.Sleep(ctx, reportPause.D()); err != nil {
				return err
			}
		}
		return nil
	})
}
