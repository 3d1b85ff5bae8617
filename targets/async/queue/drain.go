package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"shakedown/bench"
	"shakedown/internal/clock"
	"shakedown/internal/units"
	"shakedown/targets/internal/crash"
	"shakedown/targets/serve"
)

// auditDrained is how many jobs were worked off in a second.
const auditDrained = "drained_per_s"

const (
	// drainBacklog is more than any broker here can work off in the time.
	drainBacklog = 60_000
	// drainPast is an hour of 28 jobs a second.
	drainPast = 100_000
	drainTime = 2 * units.Second
)

// The variants of drainExperiment.
const (
	fewWorkers  = "4-workers"
	manyWorkers = "64-workers"
	mostWorkers = "256-workers"
)

var drainExperiment = bench.Experiment{
	Name:     "async/queue/drain",
	Question: "How many jobs a second go through a queue in a database, and through one in a broker?",
	Note: "60 000 jobs wait; workers take one at a time, do nothing, and acknowledge it, for 2 s. Broker, client and workers share the machine's " +
		"cores, without a proxy between. Every PostgreSQL has had 100 000 jobs before, an hour of 28 a second; its commits are synced. " +
		"Redis and NATS as installed sync nothing before they acknowledge.",
	Engines: effects,
	Variants: []bench.Variant{
		{Name: fewWorkers, About: "as many as a process might have", Config: idleWorkers(4), Engines: connectionsFor(4)},
		{Name: manyWorkers, About: "as many as several processes have", Config: idleWorkers(64), Engines: connectionsFor(64)},
		{Name: mostWorkers, About: "as many as a fleet has", Config: idleWorkers(256), Engines: connectionsFor(256), Full: true},
	},
	Factor: "broker", Levels: drainLevels(),
	Probe:   "drain",
	Columns: []bench.Column{{Title: "jobs", Unit: "/s", Of: crash.Audited(auditDrained)}},
	Checks: []bench.Check{
		{
			Claim: id + "15", When: "few workers", Text: "postgres, 4 workers: fewer than 1000 jobs a second",
			Of: crash.Audited(auditDrained).In(fewWorkers, postgresBroker), Rel: bench.AtMost, Bound: 1000, Unit: "1/s",
		},
		drainRatio("few workers, beside Redis", "postgres, 4 workers: less than half of what Redis does", fewWorkers, postgresBroker, redisBroker),
		drainRatio("many workers, beside Redis", "postgres, 64 workers: less than half of what Redis does", manyWorkers, postgresBroker, redisBroker),
		drainRatio("an old snapshot", "postgres, 4 workers: less than half of what it does without it", fewWorkers, oldSnapshot, postgresBroker),
	},
}

// oldSnapshot is the level at which a transaction is open that began before the jobs of the past were done.
const oldSnapshot = "postgres-snapshot"

// idleWorkers work a queue off and do nothing else.
func idleWorkers(workers int) Config {
	return with(func(c *Config) {
		c.Consumers, c.Prefetch, c.Work, c.For, c.Backlog = workers, 1, 0, drainTime, drainBacklog
	})
}

func connectionsFor(workers int) []bench.EngineSpec {
	return []bench.EngineSpec{{Name: postgresBroker, Settings: map[string]string{"max_connections": fmt.Sprint(workers + 40)}}}
}

// drainLevels are the brokers, and PostgreSQL once more with a snapshot.
func drainLevels() []bench.Level {
	var levels []bench.Level
	for _, l := range brokers(redisBroker, natsBroker, postgresBroker) {
		if l.Name != postgresBroker {
			levels = append(levels, l)
			continue
		}
		l.Config["past"] = drainPast
		held := l
		held.Name, held.About, held.Config = oldSnapshot, "likewise, and a transaction is open that began before those 100 000 jobs were done", maps.Clone(l.Config)
		held.Config["snapshot"] = true
		held.Variants = []string{fewWorkers, manyWorkers} // more do not even get a connection in time
		levels = append(levels, l, held)
	}
	return levels
}

// drainRatio asserts that at one level less than half is done of what is at another.
func drainRatio(when, text, variant, level, than string) bench.Check {
	versus := crash.Audited(auditDrained).In(variant, than)
	return bench.Check{
		Claim: id + "15", When: when, Text: text,
		Of: crash.Audited(auditDrained).In(variant, level), Versus: &versus, Rel: bench.AtMost, Bound: 0.5,
	}
}

// probeDrain measures how fast workers that do nothing work off the backlog.
func probeDrain(ctx context.Context, env bench.Env, raw json.RawMessage) (found bench.Audit, err error) {
	c, err := serve.Decode[Config](raw)
	if err != nil {
		return bench.Audit{}, err
	}
	if c.Past > 0 {
		forget, err := rememberPast(ctx, env, c)
		if err != nil {
			return bench.Audit{}, fmt.Errorf("the past of the queue: %w", err)
		}
		defer forget()
	}
	s := serve.New(env)
	defer func() { err = errors.Join(err, s.Close()) }()
	b, err := kinds[c.Broker].open(ctx, s, c)
	if err != nil {
		return bench.Audit{}, err
	}
	d := drain{queue: b}
	jobs, took, err := d.run(ctx, c)
	if err != nil {
		return bench.Audit{}, err
	}
	return bench.Audit{Numbers: map[string]float64{auditDrained: float64(jobs) / took.Seconds()}, Of: int(jobs), What: "jobs worked off"}, nil
}

// rememberPast gives the table rows that are dead, before those that are not: with a snapshot from before their death, which forget ends,
// nobody may take them away.
func rememberPast(ctx context.Context, env bench.Env, c Config) (forget func(), err error) {
	forget = func() {}
	if c.Snapshot {
		old, err := connectPostgres(ctx, env)
		if err != nil {
			return nil, err
		}
		forget = func() { _ = old.Close(context.WithoutCancel(ctx)) }
		if _, err := old.Exec(ctx, `begin isolation level repeatable read; select`); err != nil {
			forget()
			return nil, err
		}
	}
	conn, err := connectPostgres(ctx, env)
	if err == nil {
		err = errors.Join(passPast(ctx, conn, c.Past), conn.Close(ctx))
	}
	if err != nil {
		forget()
		return nil, err
	}
	return forget, nil
}

// passPast gives the jobs of the past the ids below those of the backlog, and has them done.
func passPast(ctx context.Context, conn *pgx.Conn, jobs int) error {
	if _, err := conn.Exec(ctx, `insert into shakedown_jobs (id, key, at) select g - $1, g, 0 from generate_series(0, $1 - 1) g`, jobs); err != nil {
		return err
	}
	_, err := conn.Exec(ctx, `delete from shakedown_jobs where id <= 0`)
	return err
}

// drain is a queue being worked off.
type drain struct {
	queue broker
	begun atomic.Int64 // consumers that were given a job
	done  atomic.Int64 // jobs
}

// run lets the consumers work, and says how many jobs were done in how long a time, once each consumer has had one.
func (d *drain) run(ctx context.Context, c Config) (jobs int64, took time.Duration, err error) {
	g, ctx := errgroup.WithContext(ctx)
	ctx, stop := context.WithCancel(ctx)
	for n := range c.Consumers {
		g.Go(func() error { return d.work(ctx, fmt.Sprintf("drain-%d", n)) })
	}
	g.Go(func() error {
		defer stop()
		jobs, took = d.measure(ctx, c)
		return nil
	})
	if err := g.Wait(); err != nil {
		return 0, 0, err
	}
	if jobs <= 0 {
		return 0, 0, fmt.Errorf("no job was left to measure by: the first %d were done before each of %d workers had one", d.done.Load(), c.Consumers)
	}
	return jobs, took, nil
}

// drainLook is how often it is looked how far the workers are.
const drainLook = 2 * time.Millisecond

func (d *drain) measure(ctx context.Context, c Config) (jobs int64, took time.Duration) {
	for d.begun.Load() < int64(c.Consumers) && d.done.Load() < int64(c.Backlog) && clock.Sleep(ctx, drainLook) == nil {
	}
	began, from := time.Now(), d.done.Load()
	for time.Since(began) < c.For.D() && d.done.Load() < int64(c.Backlog) && clock.Sleep(ctx, drainLook) == nil {
	}
	return d.done.Load() - from, time.Since(began)
}

// drainTries is how often a consumer tries to get its first job: many connect at the same time.
const drainTries = 20

// work is one consumer. It ends without an error when it is told to stop.
func (d *drain) work(ctx context.Context, name string) error {
	var had bool
	for tries := 1; ctx.Err() == nil; tries++ {
		err := d.queue.consume(ctx, name, func(ctx context.Context, given delivery) {
			if given.ack(ctx) == nil {
				d.done.Add(1)
			}
			if !had {
				had = true
				d.begun.Add(1)
			}
		})
		if ctx.Err() == nil && (had || tries == drainTries) {
			return err
		}
		_ = clock.Sleep(ctx, consumeAgain)
	}
	return nil
}
