package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"shakedown/bench"
	"shakedown/internal/clock"
	"shakedown/targets/internal/crash"
	"shakedown/targets/serve"
)

// The numbers of an audit that only a queue has.
const (
	auditWaiting = "waiting" // still in the queue when nothing moved any more
	auditDead    = "dead"    // in the queue of dead letters
	auditGhost   = "ghost"   // done, or about to be, although there is no order of it
	auditOther   = "other"   // acknowledged, and not done as often as there are queues that it went to
	auditEach    = "each"    // how often a job was done, on average
	auditNoJob   = "no_job"  // ordered, and neither done nor about to be
)

// seed makes the tables anew, and the queues as the variant wants them.
func seed(ctx context.Context, env bench.Env, raw json.RawMessage) (err error) {
	c, err := serve.Decode[Config](raw)
	if err != nil {
		return err
	}
	conn, err := connectPostgres(ctx, env)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	unique := ""
	if c.Idempotent {
		unique = "unique"
	}
	if _, err := conn.Exec(ctx, `
		drop table if exists shakedown_effects, shakedown_orders, shakedown_outbox, shakedown_control;
		create table shakedown_effects (seq bigserial, key bigint not null `+unique+`, value bigint not null);
		create table shakedown_orders (key bigint primary key);
		create table shakedown_outbox (id bigserial primary key, key bigint not null, at bigint not null);
		create table shakedown_control as select false as stop, false as stopped`); err != nil {
		return fmt.Errorf("seed postgres: %w", err)
	}
	a, err := kinds[c.Broker].admin(ctx, env, c)
	if err != nil {
		return err
	}
	err = a.reset(ctx)
	if err == nil {
		err = a.fill(ctx, backlog(c))
	}
	if err := errors.Join(err, a.close()); err != nil {
		return fmt.Errorf("seed %s: %w", c.Broker, err)
	}
	return nil
}

// ofBacklog is the key of the first job of a backlog, beyond those of requests.
const ofBacklog = 1 << 60

// backlog are so many jobs that nobody asked for in this trial.
func backlog(c Config) []job {
	jobs, now := make([]job, c.Backlog), int64(clock.Now())
	for i := range jobs {
		jobs[i] = job{Key: ofBacklog + int64(i), At: now}
		if c.BacklogDue > 0 {
			jobs[i].Due = now + int64(c.BacklogDue)
		}
	}
	return jobs
}

// audit lets the consumers work off what they can, stops them, and accounts for every job that was acknowledged: its effect is there, or
// it is in the queue, or among the dead letters, or it is lost.
func audit(ctx context.Context, env bench.Env, raw json.RawMessage, samples []bench.Sample) (found bench.Audit, err error) {
	c, err := serve.Decode[Config](raw)
	if err != nil {
		return bench.Audit{}, err
	}
	conn, err := connectPostgres(ctx, env)
	if err != nil {
		return bench.Audit{}, err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	a, err := kinds[c.Broker].admin(ctx, env, c)
	if err != nil {
		return bench.Audit{}, err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	s := state{conn: conn, admin: a}
	if c.Backlog == 0 {
		err = s.settle(ctx)
	}
	if err := errors.Join(err, s.stop(ctx)); err != nil {
		return bench.Audit{}, err
	}
	if err := s.read(ctx, c); err != nil {
		return bench.Audit{}, err
	}
	return s.account(c, samples), nil
}

// state is what a trial has left.
type state struct {
	conn  *pgx.Conn
	admin admin

	effects     []int64 // keys, in the order in which they happened
	left, given []job
	orders      map[int64]bool
}

const (
	settlePoll = 50 * time.Millisecond
	// drained is how long there may be no effect when the queue is empty, and stuck when it is not: longer than a broker waits until it
	// gives a job to another consumer. What is tried for ever has none.
	drained = 400 * time.Millisecond
	stuck   = 2500 * time.Millisecond
	// stopWait is how long a worker may take to stop. One that is not there does not answer.
	stopWait = 3 * time.Second
)

// settle waits until there are no more effects.
func (s *state) settle(ctx context.Context) error {
	last, since := -1, time.Now()
	for {
		var effects int
		if err := s.conn.QueryRow(ctx, `select count(*) from shakedown_effects`).Scan(&effects); err != nil {
			return err
		}
		waiting, err := s.admin.waiting(ctx)
		if err != nil {
			return err
		}
		if effects != last {
			last, since = effects, time.Now()
		}
		quiet := time.Since(since)
		if waiting == 0 && quiet >= drained || quiet >= stuck {
			return nil
		}
		if clock.Sleep(ctx, settlePoll) != nil {
			return fmt.Errorf("the queue does not settle: %d jobs wait: %w", waiting, ctx.Err())
		}
	}
}

// stop tells the worker to give back what it has, and waits until it has done so.
func (s *state) stop(ctx context.Context) error {
	if _, err := s.conn.Exec(ctx, `update shakedown_control set stop = true`); err != nil {
		return err
	}
	for until := time.Now().Add(stopWait); time.Now().Before(until); {
		var stopped bool
		if err := s.conn.QueryRow(ctx, `select stopped from shakedown_control`).Scan(&stopped); err != nil || stopped {
			return err
		}
		if clock.Sleep(ctx, settlePoll) != nil {
			return ctx.Err()
		}
	}
	return nil
}

func (s *state) read(ctx context.Context, c Config) (err error) {
	if s.left, s.given, err = s.admin.take(ctx); err != nil {
		return fmt.Errorf("emptying the queue of %s: %w", c.Broker, err)
	}
	if s.effects, err = keys(ctx, s.conn, `select key from shakedown_effects order by seq`); err != nil {
		return err
	}
	if c.Order == "" {
		return nil
	}
	orders, err := keys(ctx, s.conn, `select key from shakedown_orders`)
	s.orders = setOf(orders)
	if err == nil && c.Order == outbox {
		var waiting []int64
		waiting, err = keys(ctx, s.conn, `select key from shakedown_outbox`) // as good as enqueued
		for _, key := range waiting {
			s.left = append(s.left, job{Key: key})
		}
	}
	return err
}

func keys(ctx context.Context, conn *pgx.Conn, sql string) ([]int64, error) {
	rows, err := conn.Query(ctx, sql)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

func setOf(keys []int64) map[int64]bool {
	set := make(map[int64]bool, len(keys))
	for _, k := range keys {
		set[k] = true
	}
	return set
}

// account is pure.
func (s *state) account(c Config, samples []bench.Sample) bench.Audit {
	stored := map[int64]bench.Stored{}
	for _, key := range s.effects {
		stored[key] = bench.Stored{Value: crash.ValueOf(key), Times: stored[key].Times + 1}
	}
	for key, is := range stored { // once from each queue is as it should be
		is.Times = max(1, is.Times-c.queues()+1)
		stored[key] = is
	}
	for _, jobs := range [][]job{s.left, s.given} {
		for _, j := range jobs {
			if _, done := stored[j.Key]; !done {
				stored[j.Key] = bench.Stored{Value: crash.ValueOf(j.Key), Times: 1}
			}
		}
	}
	samples = slices.Clone(samples)
	for i := range samples {
		samples[i].Op = 0 // whatever it is called, it enqueues a job
	}
	found := bench.AccountForWrites(samples, 0, stored)
	order := bench.AccountForOrder(samples, 0, s.effects)
	if !c.Uneven { // nobody asks for it there, and several consumers make it a matter of course
		order.Examples = nil
	}
	found.Add(order)
	found.Numbers[auditWaiting], found.Numbers[auditDead] = float64(len(s.left)), float64(len(s.given))
	if c.Order != "" {
		found.Add(s.compareOrders(stored))
	}
	if c.Queues > 0 {
		found.Add(s.countEach(c, samples))
	}
	return found
}

// countEach counts how often each acknowledged job was done.
func (s *state) countEach(c Config, samples []bench.Sample) bench.Audit {
	times := map[int64]int{}
	for _, key := range s.effects {
		times[key]++
	}
	found := bench.Audit{Numbers: map[string]float64{auditOther: 0, auditEach: 0}}
	var acked float64
	for _, a := range samples {
		if a.Outcome != bench.OK {
			continue
		}
		acked++
		found.Numbers[auditEach] += float64(times[a.Key])
		if times[a.Key] == c.Queues {
			continue
		}
		if found.Numbers[auditOther]++; found.Numbers[auditOther] <= shown {
			found.Examples = append(found.Examples, fmt.Sprintf("delivered otherwise: job %d was done %d times, of %d queues", a.Key, times[a.Key], c.Queues))
		}
	}
	found.Numbers[auditEach] /= max(1, acked)
	return found
}

// shown bounds the examples of one kind.
const shown = 3

// compareOrders looks for orders whose job there is not, and for jobs whose order there is not.
func (s *state) compareOrders(jobs map[int64]bench.Stored) bench.Audit {
	found := bench.Audit{Numbers: map[string]float64{auditGhost: 0, auditNoJob: 0}}
	note := func(number, form string, key int64) {
		if found.Numbers[number]++; found.Numbers[number] <= shown {
			found.Examples = append(found.Examples, fmt.Sprintf(form, key))
		}
	}
	for key := range s.orders {
		if _, there := jobs[key]; !there {
			note(auditNoJob, "no job: order %d is committed, and nobody will ever work on it", key)
		}
	}
	for key := range jobs {
		if !s.orders[key] {
			note(auditGhost, "ghost: the job of order %d was done, and there is no such order", key)
		}
	}
	return found
}
