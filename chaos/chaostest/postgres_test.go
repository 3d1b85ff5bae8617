package chaostest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shakedown/chaos"
	"shakedown/internal/stack"
)

// Postgres has a real PostgreSQL, and clients that write two rows in each transaction.
var Postgres = &Stand{Name: "postgres", Build: speaking(chaos.PostgreSQL, func(t *testing.T) (network, address string, c client) {
	t.Helper()
	e := engines.Engine(t, "postgres")
	network, address = e.Dial()
	w := &writers{
		engine: e, table: fmt.Sprintf("written_%d", tables.Add(1)),
		conns: map[int]*pgx.Conn{}, next: map[int]int{}, fates: map[int]fate{},
	}
	if err := w.directly(t.Context(), func(c *pgx.Conn) error {
		_, err := c.Exec(t.Context(), "CREATE TABLE "+w.table+" (id int)")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	return network, address, w
})}

var tables atomic.Int64

// A fate is what a client knows of its transaction.
type fate uint8

const (
	unsure fate = iota
	committed
	failed // the server said that it was not done
)

// writers are clients that know for each transaction what became of it.
type writers struct {
	engine stack.Instance
	table  string

	mu    sync.Mutex
	conns map[int]*pgx.Conn // by worker
	next  map[int]int
	fates map[int]fate // by transaction
}

func (w *writers) directly(ctx context.Context, do func(*pgx.Conn) error) error {
	c, err := pgx.Connect(ctx, w.engine.URL())
	if err != nil {
		return err
	}
	return errors.Join(do(c), c.Close(ctx))
}

func (w *writers) conn(ctx context.Context, addr string, worker int) (*pgx.Conn, error) {
	w.mu.Lock()
	c := w.conns[worker]
	w.mu.Unlock()
	if c != nil && !c.IsClosed() {
		return c, nil
	}
	c, err := pgx.Connect(ctx, w.engine.URLVia(addr, ""))
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	w.conns[worker] = c
	w.mu.Unlock()
	return c, nil
}

// exchange is a transaction. The server is told parameters, so that statements are prepared and then executed.
func (w *writers) exchange(ctx context.Context, addr string, worker int) (Harm, error) {
	c, err := w.conn(ctx, addr, worker)
	if err != nil {
		return Cuts, err
	}
	w.mu.Lock()
	w.next[worker]++
	id := worker*1_000_000 + w.next[worker]
	w.fates[id] = unsure
	w.mu.Unlock()
	err = pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		for range 2 {
			if _, err := tx.Exec(ctx, "INSERT INTO "+w.table+" VALUES ($1)", id); err != nil {
				return err
			}
		}
		return nil
	})
	became, harm := committed, Harmless
	if said, ok := errors.AsType[*pgconn.PgError](err); ok {
		became, harm = failed, Errs
		if said.Code != "40001" && said.Code != "25P02" {
			return Harmless, fmt.Errorf("the server says what nobody asked it to: %w", err)
		}
	} else if err != nil {
		became, harm = unsure, Cuts
		_ = c.Close(ctx)
	}
	w.mu.Lock()
	w.fates[id] = became
	w.mu.Unlock()
	return harm, err
}

// check compares what clients know with what the server has.
func (w *writers) check(ctx context.Context) error {
	w.close()
	var errs []error
	err := w.directly(ctx, func(c *pgx.Conn) error {
		rows, err := c.Query(ctx, "SELECT id, count(*) FROM "+w.table+" GROUP BY id")
		if err != nil {
			return err
		}
		has := map[int]int{}
		var id, n int
		if _, err := pgx.ForEachRow(rows, []any{&id, &n}, func() error { has[id] = n; return nil }); err != nil {
			return err
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		for id, f := range w.fates {
			n := has[id]
			if n == 1 || f == committed && n != 2 || f == failed && n != 0 {
				errs = append(errs, errors.New("transaction "+strconv.Itoa(id)+" has "+strconv.Itoa(n)+" of 2 rows, and its client was told "+[]string{"nothing", "that it is committed", "that it failed"}[f]))
			}
		}
		return nil
	})
	return errors.Join(append(errs, err)...)
}

func (w *writers) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		_ = c.Close(context.Background())
	}
	clear(w.conns)
}
