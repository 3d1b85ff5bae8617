package isolation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A step is one statement of one session in a given order.
type step struct {
	in   int    // the session, from 1
	sql  string // "begin", "commit" and "rollback" are those words
	name string // by which the case asks for the result; empty: it does not
}

func (s step) reads() bool { return strings.HasPrefix(s.sql, "select") }

// A line of a transcript: what a session was told, and what came of it.
type line struct {
	step
	what string
}

// A run is what became of an interleaving.
type run struct {
	lines    []line
	named    map[string]result // by the name of a step that ended without an error
	ended    map[int]string    // sessions, and how their transaction ended: "commit", "rollback" or "failed"
	final    []row             // the table when all is over
	waited   int               // statements that waited for a lock
	aborted  int               // transactions that the engine ended
	refusals []string          // what it said of them
}

// committed says whether the transactions of all these sessions were committed.
func (r *run) committed(sessions ...int) bool {
	return !slices.ContainsFunc(sessions, func(s int) bool { return r.ended[s] != "commit" })
}

// waitBound is how long a statement may take to end or to be seen waiting.
const waitBound = 30 * time.Second

// An interleaver runs the steps of several sessions in the order that it is given. A statement that waits for a lock is known by asking
// the engine; the others go on meanwhile, and what its session has to do next is done once it has ended. Only one statement is under way
// that has not been seen to wait, so that a run is the same each time.
type interleaver struct {
	server   server
	level    string
	sessions map[int]session
	busy     map[int]*pending
	later    map[int][]step // steps of sessions that wait
	run
}

// pending is a statement under way.
type pending struct {
	step
	done  chan result
	shown bool // it is in the transcript as one that waits
}

// interleave runs the steps at an isolation level, and reads the table in the end.
func interleave(ctx context.Context, s server, level string, steps []step) (*run, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	x := &interleaver{
		server: s, level: level, sessions: map[int]session{}, busy: map[int]*pending{}, later: map[int][]step{},
		run: run{named: map[string]result{}, ended: map[int]string{}},
	}
	err := x.all(ctx, steps)
	cancel() // what is still under way ends
	for _, p := range x.busy {
		<-p.done
	}
	for _, c := range x.sessions {
		c.close(context.WithoutCancel(ctx))
	}
	if err != nil {
		return nil, fmt.Errorf("%w; so far:\n%s", err, x.transcript())
	}
	return &x.run, nil
}

func (x *interleaver) all(ctx context.Context, steps []step) error {
	for _, st := range steps {
		if x.sessions[st.in] == nil {
			c, err := x.server.open(ctx)
			if err != nil {
				return fmt.Errorf("opening session %d: %w", st.in, err)
			}
			x.sessions[st.in] = c
		}
	}
	for _, st := range steps {
		if x.busy[st.in] != nil {
			x.later[st.in] = append(x.later[st.in], st)
			continue
		}
		x.issue(ctx, st)
		if err := x.settle(ctx); err != nil {
			return err
		}
	}
	for len(x.busy) > 0 { // those that wait for each other; the engine ends one
		if err := x.awaitAny(ctx); err != nil {
			return err
		}
		if err := x.settle(ctx); err != nil {
			return err
		}
	}
	return x.readAll(ctx)
}

// issue starts a step, unless the transaction of its session has ended already.
func (x *interleaver) issue(ctx context.Context, st step) {
	if how, over := x.ended[st.in]; over {
		if how != "failed" || st.sql != "rollback" {
			x.lines = append(x.lines, line{st, "not sent: the transaction has ended"})
		}
		return
	}
	p := &pending{step: st, done: make(chan result, 1)}
	x.busy[st.in] = p
	c := x.sessions[st.in]
	statements := []string{st.sql}
	if st.sql == "begin" {
		statements = x.server.begin(x.level)
	}
	go func() {
		var r result
		for _, s := range statements {
			if r = c.exec(ctx, s, st.reads()); r.err != nil {
				break
			}
		}
		p.done <- r
	}()
}

// settle waits until every statement under way has ended or waits for a lock. One that ends may free others, so that it looks again.
func (x *interleaver) settle(ctx context.Context) error {
	for again := true; again; {
		again = false
		for _, s := range x.waiting() {
			p := x.busy[s]
			ended, err := x.look(ctx, s, p)
			if err != nil {
				return err
			}
			if !ended {
				continue
			}
			again = true
			if next := x.later[s]; len(next) > 0 {
				x.later[s] = next[1:]
				x.issue(ctx, next[0])
			}
		}
	}
	return nil
}

// waiting are the sessions with a statement under way, in order.
func (x *interleaver) waiting() []int {
	var all []int
	for s := range x.busy {
		all = append(all, s)
	}
	slices.Sort(all)
	return all
}

// look waits until a statement has ended or the engine says that it waits.
func (x *interleaver) look(ctx context.Context, s int, p *pending) (ended bool, err error) {
	bound := time.NewTimer(waitBound)
	defer bound.Stop()
	ask := time.NewTicker(x.server.lookEvery())
	defer ask.Stop()
	for {
		select {
		case r := <-p.done:
			x.end(p, r)
			return true, nil
		case <-ask.C:
			waits, err := x.server.waits(ctx, x.sessions[s])
			if err != nil {
				return false, fmt.Errorf("asking whether session %d waits: %w", s, err)
			}
			if waits {
				if !p.shown {
					p.shown = true
					x.waited++
					x.lines = append(x.lines, line{p.step, "waits"})
				}
				return false, nil
			}
		case <-bound.C:
			return false, fmt.Errorf("session %d, %s: it neither ends nor waits for a lock within %v", s, p.sql, waitBound)
		}
	}
}

// awaitAny waits for the end of one of those that wait.
func (x *interleaver) awaitAny(ctx context.Context) error {
	bound := time.After(waitBound)
	for {
		for _, s := range x.waiting() {
			select {
			case r := <-x.busy[s].done:
				p := x.busy[s]
				p.done <- r // for settle
				return nil
			default:
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-bound:
			return errors.New("sessions wait for each other, and the engine ends none of them")
		case <-time.After(time.Millisecond):
		}
	}
}

// end takes down what a statement came to.
func (x *interleaver) end(p *pending, r result) {
	delete(x.busy, p.in)
	var what string
	switch {
	case r.err != nil:
		what = "error: " + plain(r.err)
		x.ended[p.in] = "failed"
		x.aborted++
		x.refusals = append(x.refusals, plain(r.err))
	case p.sql == "commit" || p.sql == "rollback":
		x.ended[p.in], what = p.sql, "ok"
	case p.reads():
		what = rowsText(r.rows)
	case p.sql == "begin":
		what = "ok"
	default:
		what = fmt.Sprintf("%d changed", r.changed)
	}
	if r.err == nil && p.name != "" {
		x.named[p.name] = r
	}
	if p.shown {
		what = "goes on: " + what
	}
	x.lines = append(x.lines, line{p.step, what})
	if r.err != nil {
		// A transaction that failed is over for both engines only once it is told so; what it holds would block the others.
		back := x.sessions[p.in].exec(context.Background(), "rollback", false)
		if back.err != nil {
			x.lines = append(x.lines, line{step{in: p.in, sql: "rollback"}, "error: " + plain(back.err)})
		}
	}
}

// plain is the engine's error without what differs from run to run.
func plain(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	return text
}

// readAll reads the table, in a session of its own.
func (x *interleaver) readAll(ctx context.Context) error {
	c, err := x.server.open(ctx)
	if err != nil {
		return err
	}
	defer c.close(context.WithoutCancel(ctx))
	r := c.exec(ctx, "select id, v from "+table+" order by id", true)
	x.final = r.rows
	return r.err
}

// transcript is the run for a person to follow: a line a statement.
func (r *run) transcript() string {
	width := 0
	for _, l := range r.lines {
		width = max(width, len(l.sql))
	}
	var b strings.Builder
	for _, l := range r.lines {
		fmt.Fprintf(&b, "  T%d  %-*s  %s\n", l.in, width, l.sql, l.what)
	}
	fmt.Fprintf(&b, "  in the end: %s", rowsText(r.final))
	return b.String()
}
