// Package pgclient owns the client of package load that asks PostgreSQL. It knows what an answer of the server means for a request, and
// makes one attempt at each.
package pgclient

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"shakedown/bench"
	"shakedown/bench/load"
)

// DefaultConns is the size of the pool when nobody says otherwise.
const DefaultConns = 10

// Options are of a client. A field that is 0 means its default.
type Options struct {
	MaxConns int // the most connections; default DefaultConns
}

// Statements are what is asked: the statement of each operation, and the arguments of an arrival, int64 or string.
type Statements interface {
	Ops() int
	SQL(op bench.OpID) string
	AppendArgs(dst []any, seq uint64) []any
}

// A Client asks PostgreSQL through a pool of pgx. Statements are prepared, once a connection. It does not retry.
type Client struct {
	pool *pgxpool.Pool
	ask  Statements
	text [][]bool // by operation and argument: the parameter is a text, and so is the argument, whatever was drawn
}

var _ load.Client = (*Client)(nil)

// New connects to the server at the URL once, and has it understand every statement. The error says what could not be done, and in which
// statement. The caller ends the client with Close.
func New(ctx context.Context, url string, o Options, ask Statements) (*Client, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("the PostgreSQL URL: %w", oneLine(err))
	}
	if o.MaxConns == 0 {
		o.MaxConns = DefaultConns
	}
	if o.MaxConns < 0 || o.MaxConns > 1<<20 {
		return nil, fmt.Errorf("a pool of %d connections makes no sense", o.MaxConns)
	}
	cfg.MaxConns, cfg.MinConns = int32(o.MaxConns), 0
	cfg.MaxConnLifetime, cfg.MaxConnIdleTime = 24*time.Hour, 24*time.Hour // renewing connections is no part of the load
	if _, said := cfg.ConnConfig.RuntimeParams["application_name"]; !said {
		cfg.ConnConfig.RuntimeParams["application_name"] = "shakedown load"
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, oneLine(err)
	}
	c := &Client{pool: pool, ask: ask}
	if err := c.prepare(ctx); err != nil {
		pool.Close()
		return nil, oneLine(err)
	}
	return c, nil
}

// prepare has the server understand every statement, and learns which parameters are texts.
func (c *Client) prepare(ctx context.Context) error {
	conn, err := c.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	given := map[int]int{}
	for seq := range uint64(64) { // what arguments there are, some arrival of each operation says
		args := c.ask.AppendArgs(nil, seq)
		given[len(args)]++
	}
	for op := range c.ask.Ops() {
		sql := c.ask.SQL(bench.OpID(op))
		d, err := conn.Conn().Prepare(ctx, "", sql)
		if err != nil {
			return fmt.Errorf("%q: %w", sql, err)
		}
		if c.ask.Ops() == 1 && given[len(d.ParamOIDs)] == 0 {
			for n := range given {
				return fmt.Errorf("%q has %d parameters, and %d arguments are given", sql, len(d.ParamOIDs), n)
			}
		}
		text := make([]bool, len(d.ParamOIDs))
		for i, oid := range d.ParamOIDs {
			text[i] = oid == pgtype.TextOID || oid == pgtype.VarcharOID || oid == pgtype.BPCharOID || oid == pgtype.NameOID || oid == pgtype.UnknownOID
		}
		c.text = append(c.text, text)
	}
	return nil
}

// Close closes the pool. No request may be in flight.
func (c *Client) Close() { c.pool.Close() }

// Do asks once and reads all rows.
//
// OK is an answer without an error. The server's error means Failed, since a statement that ends with one is rolled back (serialization
// failure 40001 and deadlock 40P01 among them); but Refused when it turned the request away: too many connections (53300), cannot connect
// now (57P03); and Unsure when it says that it does not know, or went down meanwhile (40003, classes 08 and 57P). Without an answer the request is Failed
// while nothing of it has left, also when no connection of the pool was free in time, and Unsure otherwise. A request that times out
// costs its connection: pgx asks the server to cancel and closes it, and the pool makes another.
func (c *Client) Do(ctx context.Context, seq uint64, r bench.Request, timeout time.Duration) load.Answer {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	began := time.Now()
	conn, err := c.pool.Acquire(ctx)
	a := load.Answer{Wait: time.Since(began)}
	if err != nil {
		a.Outcome, a.Cause = notConnected(ctx, err)
		return a
	}
	defer conn.Release()
	args := c.ask.AppendArgs(make([]any, 0, 8), seq)
	c.fit(r.Op, args)
	rows, err := conn.Query(ctx, c.ask.SQL(r.Op), args...)
	if err == nil {
		for rows.Next() {
		}
		err = rows.Err()
	}
	a.Outcome, a.Cause = outcome(ctx, err)
	return a
}

// fit makes texts of numbers where the statement wants texts.
func (c *Client) fit(op bench.OpID, args []any) {
	text := c.text[op]
	for i := range min(len(args), len(text)) {
		if n, ok := args[i].(int64); ok && text[i] {
			args[i] = strconv.FormatInt(n, 10)
		}
	}
}

// notConnected is what became of a request that has no connection.
func notConnected(ctx context.Context, err error) (bench.Outcome, string) {
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &pg):
		o, cause := said(pg)
		if o == bench.Unsure {
			o = bench.Failed // whatever happened, the request was not part of it
		}
		return o, cause
	case ctx.Err() != nil:
		return bench.Failed, "no connection was free in time"
	default:
		return bench.Failed, "connect failed"
	}
}

func outcome(ctx context.Context, err error) (bench.Outcome, string) {
	var pg *pgconn.PgError
	switch {
	case err == nil:
		return bench.OK, ""
	case errors.As(err, &pg):
		return said(pg)
	case pgconn.SafeToRetry(err):
		return bench.Failed, "the connection was gone before the request"
	case ctx.Err() != nil || pgconn.Timeout(err):
		return bench.Unsure, "timeout"
	case errors.As(err, new(*pgconn.ConnectError)):
		return bench.Failed, "connect failed"
	case encoding(err):
		return bench.Failed, "an argument does not fit its parameter"
	default:
		return bench.Unsure, "the connection broke"
	}
}

// encoding says that pgx could not write the arguments: nothing was sent.
func encoding(err error) bool {
	return strings.Contains(err.Error(), "failed to encode args") || errors.As(err, new(*pgx.ScanArgError)) || strings.Contains(err.Error(), "expected ")
}

// said is what the server's error means (PostgreSQL, Appendix A, Error Codes).
func said(pg *pgconn.PgError) (bench.Outcome, string) {
	cause := "SQLSTATE " + pg.Code
	switch {
	case pg.Code == "53300" || pg.Code == "57P03":
		return bench.Refused, cause
	case pg.Code == "40003" || strings.HasPrefix(pg.Code, "08") || strings.HasPrefix(pg.Code, "57P"):
		return bench.Unsure, cause
	default:
		return bench.Failed, cause
	}
}

// oneLine is an error of pgx without its line breaks.
func oneLine(err error) error {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if text == err.Error() {
		return err
	}
	return &shortened{text, err}
}

type shortened struct {
	text string
	err  error
}

func (s *shortened) Error() string { return s.text }
func (s *shortened) Unwrap() error { return s.err }
