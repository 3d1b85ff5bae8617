package postgres_test

import (
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"shakedown/chaos"
	"shakedown/chaos/proxy/intercept/intercepttest"
	"shakedown/chaos/proxy/intercept/postgres"
	"shakedown/internal/units"
	"shakedown/targets/targettest"
)

var engines targettest.Shared

func TestMain(m *testing.M) { os.Exit(engines.Main(m)) }

// modes are pgx's ways to speak the protocol.
var modes = map[string]pgx.QueryExecMode{
	"simple":           pgx.QueryExecModeSimpleProtocol,
	"exec":             pgx.QueryExecModeExec,
	"describe":         pgx.QueryExecModeDescribeExec,
	"cached describe":  pgx.QueryExecModeCacheDescribe,
	"cached statement": pgx.QueryExecModeCacheStatement,
}

func eachMode(t *testing.T, claim func(*testing.T, pgx.QueryExecMode)) {
	t.Helper()
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) { claim(t, mode) })
	}
}

// eachExtendedMode leaves the simple protocol out, in which a batch is a single query.
func eachExtendedMode(t *testing.T, claim func(*testing.T, pgx.QueryExecMode)) {
	t.Helper()
	for name, mode := range modes {
		if mode != pgx.QueryExecModeSimpleProtocol {
			t.Run(name, func(t *testing.T) { claim(t, mode) })
		}
	}
}

// A rig is a link to a real server.
type rig struct {
	*postgres.Inspector
	url    string
	direct *pgx.Conn
}

func newRig(t *testing.T) rig {
	t.Helper()
	e := engines.Engine(t, "postgres")
	network, address := e.Dial()
	r := rig{Inspector: postgres.New("service-0→postgres")}
	r.url = e.URLVia(intercepttest.Relay(t, r, network, address), "")
	r.direct = connect(t, e.URL(), pgx.QueryExecModeExec)
	r.sql(t, "DROP TABLE IF EXISTS fact; CREATE TABLE fact (v int)")
	return r
}

func connect(t *testing.T, url string, mode pgx.QueryExecMode) *pgx.Conn {
	t.Helper()
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	config.DefaultQueryExecMode = mode
	c, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.WithoutCancel(t.Context())) })
	return c
}

func (r rig) connect(t *testing.T, mode pgx.QueryExecMode) *pgx.Conn {
	t.Helper()
	return connect(t, r.url, mode)
}

func (r rig) sql(t *testing.T, text string) {
	t.Helper()
	if _, err := r.direct.Exec(t.Context(), text); err != nil {
		t.Fatal(err)
	}
}

// set puts a rule in force on all connections.
func (r rig) set(t *testing.T, id string, rule chaos.Rule) {
	t.Helper()
	if err := r.SetRule(id, rule); err != nil {
		t.Fatal(err)
	}
	r.settle(t)
}

func (r rig) clear(t *testing.T, id string) {
	t.Helper()
	r.ClearRule(id)
	r.settle(t)
}

func (r rig) settle(t *testing.T) {
	t.Helper()
	eventually(t, "every connection knows the rules", r.Acknowledged)
}

func (r rig) acted(t *testing.T, id string) int64 {
	t.Helper()
	c, ok := r.Counters(id)
	if !ok {
		t.Fatalf("no rule %s", id)
	}
	return c.Acted
}

// facts are the rows that the server has, asked on a connection of their own.
func (r rig) facts(t *testing.T) (n int) {
	t.Helper()
	if err := r.direct.QueryRow(t.Context(), "SELECT count(*) FROM fact").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for until := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("never: %s", what)
		}
	}
}

func wantState(t *testing.T, err error, state string) {
	t.Helper()
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || pgErr.Code != state {
		t.Errorf("the error is %v, want SQLSTATE %s", err, state)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func serialization(pick chaos.Pick, statement string) chaos.Rule {
	return chaos.Rule{Pick: pick, PostgreSQL: &chaos.PostgresRule{
		Statement: statement, Error: &chaos.ErrorResponse{SQLState: "40001", Message: "could not serialize access"},
	}}
}

const insert = "INSERT INTO fact VALUES ($1)"

func TestACommandThatFailsIsNotExecutedAndTheConnectionGoesOn(t *testing.T) {
	eachMode(t, func(t *testing.T, mode pgx.QueryExecMode) {
		r := newRig(t)
		c := r.connect(t, mode)
		r.set(t, "e", serialization(chaos.Pick{Nth: 2}, "^INSERT"))
		for i := range 4 {
			_, err := c.Exec(t.Context(), insert, i)
			if i == 1 {
				wantState(t, err, "40001")
			} else if err != nil {
				t.Errorf("insert %d: %v", i, err)
			}
		}
		if n := r.facts(t); n != 3 || r.acted(t, "e") != 1 {
			t.Errorf("%d rows, %d errors", n, r.acted(t, "e"))
		}
	})
}

func TestAnErrorAbortsTheTransaction(t *testing.T) {
	eachMode(t, func(t *testing.T, mode pgx.QueryExecMode) {
		r := newRig(t)
		c := r.connect(t, mode)
		tx, err := c.Begin(t.Context())
		must(t, err)
		_, err = tx.Exec(t.Context(), insert, 1)
		must(t, err)
		r.set(t, "e", serialization(chaos.Pick{}, "^INSERT")) // on a connection within a transaction
		_, err = tx.Exec(t.Context(), insert, 2)
		wantState(t, err, "40001")
		r.clear(t, "e")
		_, err = tx.Exec(t.Context(), insert, 3)
		wantState(t, err, "25P02") // the server says so itself
		if status := c.PgConn().TxStatus(); status != 'E' {
			t.Errorf("the transaction is %c", status)
		}
		must(t, tx.Rollback(t.Context()))
		if _, err := c.Exec(t.Context(), insert, 4); err != nil {
			t.Error(err)
		}
		if n := r.facts(t); n != 1 {
			t.Errorf("%d rows; the first two were of an aborted transaction", n)
		}
	})
}

func TestAnErrorInAPipelineUndoesWhatWasNotSyncedYet(t *testing.T) {
	eachExtendedMode(t, func(t *testing.T, mode pgx.QueryExecMode) {
		r := newRig(t)
		c := r.connect(t, mode)
		r.set(t, "e", serialization(chaos.Pick{Nth: 3}, "INSERT"))
		batch := &pgx.Batch{}
		for i := range 5 {
			batch.Queue(insert, i)
		}
		results := c.SendBatch(t.Context(), batch)
		for i := range 5 {
			_, err := results.Exec()
			if i < 2 {
				must(t, err)
			} else if i == 2 {
				wantState(t, err, "40001")
			}
		}
		_ = results.Close()
		if n := r.facts(t); n != 0 {
			t.Errorf("%d rows of a batch that failed", n)
		}
		_, err := c.Exec(t.Context(), insert, 9)
		must(t, err)
	})
}

func TestAPipelineOfManySyncsStaysInStep(t *testing.T) {
	r := newRig(t)
	c := r.connect(t, pgx.QueryExecModeExec).PgConn()
	r.set(t, "e", serialization(chaos.Pick{Every: 3}, "INSERT"))
	p := c.StartPipeline(t.Context())
	const n = 30
	for range n {
		p.SendQueryParams("INSERT INTO fact VALUES (1)", nil, nil, nil, nil)
		must(t, p.Sync())
	}
	var failed, synced int
	for synced < n {
		got, err := p.GetResults()
		switch {
		case err != nil:
			wantState(t, err, "40001")
			failed++
		default:
			switch got := got.(type) {
			case *pgconn.ResultReader:
				if _, err := got.Close(); err != nil {
					wantState(t, err, "40001")
					failed++
				}
			case *pgconn.PipelineSync:
				synced++
			}
		}
	}
	must(t, p.Close())
	if rows := r.facts(t); rows != n-n/3 || failed != n/3 {
		t.Errorf("%d rows, %d errors", rows, failed)
	}
}

func TestAFatalErrorEndsTheConnection(t *testing.T) {
	r := newRig(t)
	c := r.connect(t, pgx.QueryExecModeExec)
	r.set(t, "e", chaos.Rule{PostgreSQL: &chaos.PostgresRule{
		Statement: "INSERT", Error: &chaos.ErrorResponse{SQLState: "57P01", Message: "terminating", Fatal: true},
	}})
	_, err := c.Exec(t.Context(), insert, 1)
	wantState(t, err, "57P01")
	if err := c.Ping(t.Context()); err == nil {
		t.Error("the connection goes on")
	}
}

// commitWays commit one row.
var commitWays = map[string]func(context.Context, *pgx.Conn) error{
	"simple": func(ctx context.Context, c *pgx.Conn) error {
		return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error { _, err := tx.Exec(ctx, insert, 1); return err })
	},
	"extended": func(ctx context.Context, c *pgx.Conn) error {
		for _, text := range []string{"BEGIN", "INSERT INTO fact VALUES (1)", "END"} {
			if _, err := c.PgConn().ExecParams(ctx, text, nil, nil, nil, nil).Close(); err != nil {
				return err
			}
		}
		return nil
	},
	"prepared": func(ctx context.Context, c *pgx.Conn) error {
		for _, text := range []string{"BEGIN", "INSERT INTO fact VALUES (1)", "/* now */ commit work"} {
			if _, err := c.PgConn().Prepare(ctx, "named", text, nil); err != nil {
				return err
			}
			if _, err := c.PgConn().ExecPrepared(ctx, "named", nil, nil, nil).Close(); err != nil {
				return err
			}
			if err := c.PgConn().Deallocate(ctx, "named"); err != nil {
				return err
			}
		}
		return nil
	},
	"one simple query": func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.PgConn().Exec(ctx, "BEGIN; INSERT INTO fact VALUES (1); COMMIT").ReadAll()
		return err
	},
}

func TestACommitIsAppliedAndNotAcknowledged(t *testing.T) {
	for way, commit := range commitWays {
		t.Run(way, func(t *testing.T) {
			r := newRig(t)
			c := r.connect(t, pgx.QueryExecModeExec)
			r.set(t, "l", chaos.Rule{PostgreSQL: &chaos.PostgresRule{Commit: true, LoseAck: chaos.LostByCut}})
			if err := commit(t.Context(), c); err == nil {
				t.Error("the client was told of its commit")
			} else if _, said := errors.AsType[*pgconn.PgError](err); said {
				t.Errorf("the server said %v; the connection should have been cut", err)
			}
			if n := r.facts(t); n != 1 || r.acted(t, "l") != 1 {
				t.Errorf("%d rows, %d acknowledgements lost", n, r.acted(t, "l"))
			}
		})
	}
}

func TestALostAcknowledgementMayBeSilence(t *testing.T) {
	r := newRig(t)
	c := r.connect(t, pgx.QueryExecModeExec)
	r.set(t, "l", chaos.Rule{PostgreSQL: &chaos.PostgresRule{Commit: true, LoseAck: chaos.LostByHold}})
	result := make(chan error, 1)
	go func() { result <- commitWays["simple"](t.Context(), c) }()
	eventually(t, "the acknowledgement is lost", func() bool { return r.acted(t, "l") == 1 })
	if n := r.facts(t); n != 1 {
		t.Errorf("%d rows", n)
	}
	select {
	case err := <-result:
		t.Errorf("the client heard something: %v", err)
	default:
	}
	r.clear(t, "l")
	if err := <-result; err == nil {
		t.Error("the client was told of its commit when the rule went")
	}
}

func TestWritesOutsideATransactionCommitToo(t *testing.T) {
	eachMode(t, func(t *testing.T, mode pgx.QueryExecMode) {
		r := newRig(t)
		c := r.connect(t, mode)
		_, err := c.Exec(t.Context(), insert, 0) // prepares, where the mode does
		must(t, err)
		r.set(t, "l", chaos.Rule{PostgreSQL: &chaos.PostgresRule{Commit: true, Autocommit: true, LoseAck: chaos.LostByCut}})
		var one int
		must(t, c.QueryRow(t.Context(), "SELECT 1").Scan(&one))
		if _, err = c.Exec(t.Context(), insert, 1); err == nil {
			t.Error("the client was told")
		}
		if n := r.facts(t); n != 2 || r.acted(t, "l") != 1 {
			t.Errorf("%d rows, %d acknowledgements lost", n, r.acted(t, "l"))
		}
	})
}

func TestAWriteThatFailsAtItsCommitIsNoLostAcknowledgement(t *testing.T) {
	r := newRig(t)
	r.sql(t, "ALTER TABLE fact ADD UNIQUE (v) DEFERRABLE INITIALLY DEFERRED; INSERT INTO fact VALUES (1)")
	eachMode(t, func(t *testing.T, mode pgx.QueryExecMode) {
		c := r.connect(t, mode)
		r.set(t, "l", chaos.Rule{PostgreSQL: &chaos.PostgresRule{Commit: true, Autocommit: true, LoseAck: chaos.LostByCut}})
		_, err := c.Exec(t.Context(), insert, 1)
		wantState(t, err, "23505")
		if r.acted(t, "l") != 0 {
			t.Error("the rule acted")
		}
	})
}

func TestOnlyCommitsAreDelayed(t *testing.T) {
	for way, commit := range commitWays {
		t.Run(way, func(t *testing.T) {
			r := newRig(t)
			c := r.connect(t, pgx.QueryExecModeExec)
			const delay = 50 * time.Millisecond
			r.set(t, "d", chaos.Rule{PostgreSQL: &chaos.PostgresRule{Commit: true, Delay: units.Duration(delay)}})
			start := time.Now()
			must(t, commit(t.Context(), c))
			if took := time.Since(start); took < delay {
				t.Errorf("it took %s", took)
			}
			if n := r.facts(t); n != 1 || r.acted(t, "d") != 1 {
				t.Errorf("%d rows, %d delays", n, r.acted(t, "d"))
			}
		})
	}
}

func TestAConnectionIsCutWithinItsTransaction(t *testing.T) {
	for name, tc := range map[string]struct {
		rule chaos.PostgresRule
		done int // inserts that succeed
	}{
		"after two commands":    {chaos.PostgresRule{CutAfter: 2}, 2},
		"in place of COMMIT":    {chaos.PostgresRule{CutAtCommit: true}, 3},
		"after all, at the end": {chaos.PostgresRule{CutAfter: 3}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			eachMode(t, func(t *testing.T, mode pgx.QueryExecMode) {
				r := newRig(t)
				c := r.connect(t, mode)
				_, err := c.Exec(t.Context(), insert, 0)
				must(t, err)
				r.set(t, "c", chaos.Rule{PostgreSQL: &tc.rule})
				tx, err := c.Begin(t.Context())
				must(t, err)
				done := 0
				for err = nil; err == nil && done < 3; done++ {
					if _, err = tx.Exec(t.Context(), insert, done); err != nil {
						break
					}
				}
				if err == nil {
					err = tx.Commit(t.Context())
				}
				if err == nil || done != tc.done {
					t.Errorf("%d inserts, then %v", done, err)
				}
				if n := r.facts(t); n != 1 || r.acted(t, "c") != 1 {
					t.Errorf("%d rows, %d cuts", n, r.acted(t, "c"))
				}
			})
		})
	}
}

func TestAPoolSurvivesErrorsAndCuts(t *testing.T) {
	r := newRig(t)
	pool, err := pgxpool.New(t.Context(), r.url)
	must(t, err)
	defer pool.Close()
	r.set(t, "e", serialization(chaos.Pick{Share: 0.3, Seed: 7}, "INSERT"))
	r.set(t, "c", chaos.Rule{Pick: chaos.Pick{Every: 5}, PostgreSQL: &chaos.PostgresRule{CutAtCommit: true}})
	acked := make(chan int)
	const clients, each = 8, 20
	for range clients {
		go func() {
			n := 0
			for range each {
				err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
					_, err := tx.Exec(t.Context(), insert, 1)
					return err
				})
				if err == nil {
					n++
				}
			}
			acked <- n
		}()
	}
	sum := 0
	for range clients {
		sum += <-acked
	}
	e, c := r.acted(t, "e"), r.acted(t, "c")
	if n := r.facts(t); n != sum || int64(sum)+e+c != clients*each || e == 0 || c == 0 {
		t.Errorf("%d rows, %d acknowledged, %d errors, %d cuts", n, sum, e, c)
	}
}

func TestWhatIsNoCommandPasses(t *testing.T) {
	r := newRig(t)
	r.set(t, "e", serialization(chaos.Pick{}, "never in any text"))
	ctx := t.Context()
	c, other := r.connect(t, pgx.QueryExecModeCacheStatement), r.connect(t, pgx.QueryExecModeCacheStatement)

	_, err := c.Exec(ctx, "LISTEN news")
	must(t, err)
	_, err = other.Exec(ctx, "NOTIFY news, 'hello'")
	must(t, err)
	if n, err := c.WaitForNotification(ctx); err != nil || n.Payload != "hello" {
		t.Errorf("notification %v, %v", n, err)
	}

	rows := make([][]any, 20_000)
	for i := range rows {
		rows[i] = []any{i}
	}
	n, err := c.CopyFrom(ctx, pgx.Identifier{"fact"}, []string{"v"}, pgx.CopyFromRows(rows))
	if err != nil || n != 20_000 || r.facts(t) != 20_000 {
		t.Errorf("COPY FROM: %d, %v", n, err)
	}
	var out strings.Builder
	if _, err := c.PgConn().CopyTo(ctx, &out, "COPY fact TO STDOUT"); err != nil || strings.Count(out.String(), "\n") != 20_000 {
		t.Errorf("COPY TO: %d bytes, %v", out.Len(), err)
	}

	big := strings.Repeat("x", 1<<20)
	var got string
	must(t, c.QueryRow(ctx, "SELECT $1::text", big).Scan(&got))
	if got != big {
		t.Errorf("%d bytes came back as %d", len(big), len(got))
	}

	result := make(chan error, 1)
	go func() { _, err := other.Exec(ctx, "SELECT pg_sleep(600)"); result <- err }()
	var sleeping bool
	eventually(t, "the query runs", func() bool {
		must(t, r.direct.QueryRow(ctx, "SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'").Scan(&sleeping))
		return sleeping
	})
	must(t, other.PgConn().CancelRequest(ctx))
	wantState(t, <-result, "57014")
	if n := r.acted(t, "e"); n != 0 {
		t.Errorf("the rule acted %d times", n)
	}
}

func TestEncryptionIsRefusedWhileThereAreRules(t *testing.T) {
	r := newRig(t)
	r.set(t, "e", serialization(chaos.Pick{}, "INSERT"))
	c := connect(t, strings.Replace(r.url, "sslmode=disable", "sslmode=prefer", 1), pgx.QueryExecModeExec)
	_, err := c.Exec(t.Context(), insert, 1)
	wantState(t, err, "40001")
	if _, err := pgx.Connect(t.Context(), strings.Replace(r.url, "sslmode=disable", "sslmode=require", 1)); err == nil || !strings.Contains(err.Error(), "refused TLS") {
		t.Errorf("a client that insists on TLS gets %v", err)
	}
}

var update = flag.Bool("update", false, "keep what a real server and its clients say, as seeds of the fuzz tests")

func TestRecordScripts(t *testing.T) {
	e := engines.Engine(t, "postgres")
	network, address := e.Dial()
	recorder := &intercepttest.Recorder{}
	url := e.URLVia(intercepttest.Relay(t, recorder, network, address), "")
	direct := connect(t, e.URL(), pgx.QueryExecModeExec)
	_, err := direct.Exec(t.Context(), "DROP TABLE IF EXISTS fact; CREATE TABLE fact (v int)")
	must(t, err)
	for _, mode := range modes {
		c := connect(t, url, mode)
		must(t, commitWays["simple"](t.Context(), c))
		batch := &pgx.Batch{}
		batch.Queue(insert, 1)
		batch.Queue("SELECT 1/(v-1) FROM fact")
		_ = c.SendBatch(t.Context(), batch).Close()
	}
	c := connect(t, url, pgx.QueryExecModeExec)
	_, err = c.CopyFrom(t.Context(), pgx.Identifier{"fact"}, []string{"v"}, pgx.CopyFromRows([][]any{{1}, {2}}))
	must(t, err)
	_, err = c.PgConn().CopyTo(t.Context(), io.Discard, "COPY fact TO STDOUT")
	must(t, err)
	must(t, commitWays["prepared"](t.Context(), c))
	c = connect(t, strings.Replace(url, "sslmode=disable", "sslmode=prefer", 1), pgx.QueryExecModeExec)
	must(t, commitWays["one simple query"](t.Context(), c))
	recorder.Store(t, "pgx", *update)
}
