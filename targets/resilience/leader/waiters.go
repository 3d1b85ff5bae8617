package leader

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"golang.org/x/sync/errgroup"

	"shakedown/bench"
	"shakedown/internal/clock"
	"shakedown/internal/units"
	"shakedown/targets/serve"
)

// How contenders wait for a role that another has.
const (
	waitPoll  = "poll"      // they look again and again
	waitWatch = "watch-all" // all watch the one key, and all ask for it when it goes
	waitQueue = "queue"     // each watches the one before it: etcd's own recipe, package concurrency
)

const (
	waitedKey   = "shakedown/waited/leader"
	waitedQueue = "shakedown/waited/queue"
)

// WaitConfig is how many wait for a role, and how.
type WaitConfig struct {
	Way     string `json:"way"`
	Waiters int    `json:"waiters"`
	// Poll is how often one looks that polls.
	Poll units.Duration `json:"poll"`
}

// Validate says what is wrong with the configuration.
func (c WaitConfig) Validate() error {
	switch {
	case c.Way != waitPoll && c.Way != waitWatch && c.Way != waitQueue:
		return fmt.Errorf("way: must be %s, %s or %s, got %q", waitPoll, waitWatch, waitQueue, c.Way)
	case c.Waiters < 2 || c.Waiters > 5000:
		return fmt.Errorf("waiters: must be 2 to 5000, got %d", c.Waiters)
	case c.Poll.D() < time.Millisecond:
		return fmt.Errorf("poll: must be at least 1ms, got %v", c.Poll)
	}
	return nil
}

// The numbers of the probe.
const (
	waitBefore   = "before"     // requests to etcd in the second before the role is given back
	waitAfter    = "after"      // in the second that begins with that
	waitHandOver = "handover_s" // until another has it
)

// looked is how long requests are counted before and after the release.
const looked = time.Second

// A contest is one role, and those who wait for it.
type contest struct {
	config WaitConfig
	client *clientv3.Client
	asked  atomic.Int64 // requests for keys
	ready  atomic.Int64 // contenders that wait
	won    chan struct{}
}

// countedKV counts requests for keys.
type countedKV struct {
	clientv3.KV
	asked *atomic.Int64
}

func (c countedKV) Get(ctx context.Context, key string, o ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	c.asked.Add(1)
	return c.KV.Get(ctx, key, o...)
}

func (c countedKV) Txn(ctx context.Context) clientv3.Txn {
	c.asked.Add(1)
	return c.KV.Txn(ctx)
}

// contend lets many wait for a role that is taken, gives it back, and counts what they ask of etcd.
func contend(ctx context.Context, env bench.Env, raw json.RawMessage) (found bench.Audit, err error) {
	c := &contest{won: make(chan struct{}, 1)}
	if c.config, err = serve.Decode[WaitConfig](raw); err != nil {
		return found, err
	}
	at, err := env.URL(storeEtcd)
	if err != nil {
		return found, err
	}
	if err := reachable(at)(ctx); err != nil { // a client would go on dialing
		return found, err
	}
	if c.client, err = serve.DialEtcd(storeEtcd, at); err != nil {
		return found, err
	}
	defer func() { _ = c.client.Close() }()
	give, err := c.hold(ctx)
	if err != nil {
		return found, err
	}
	c.client.KV = countedKV{c.client.KV, &c.asked}
	waiting, cancel := context.WithCancel(ctx)
	g, waiting := errgroup.WithContext(waiting)
	for n := range c.config.Waiters {
		g.Go(func() error { return c.wait(waiting, n) })
	}
	found, err = c.release(waiting, give) // which ends with the first contender that fails
	cancel()
	if failed := g.Wait(); failed != nil {
		return bench.Audit{}, failed
	}
	return found, err
}

const (
	opening  = 2 * time.Second // bounds what etcd may take to answer the first questions
	patience = 5 * time.Second // and the hand-over
)

// hold takes the role for the one that gives it back.
func (c *contest) hold(ctx context.Context) (give func(context.Context) error, err error) {
	first, cancel := context.WithTimeout(ctx, opening)
	defer cancel()
	if _, err := c.client.Delete(first, "shakedown/waited/", clientv3.WithPrefix()); err != nil {
		return nil, err
	}
	if c.config.Way != waitQueue {
		_, err := c.client.Put(first, waitedKey, "the leader")
		return func(ctx context.Context) error {
			_, err := c.client.Delete(ctx, waitedKey)
			return err
		}, err
	}
	session, err := concurrency.NewSession(c.client, concurrency.WithTTL(60))
	if err != nil {
		return nil, err
	}
	election := concurrency.NewElection(session, waitedQueue)
	return func(ctx context.Context) error { return errors.Join(election.Resign(ctx), session.Close()) }, election.Campaign(first, "the leader")
}

// release waits until all wait, gives the role back, and counts.
func (c *contest) release(ctx context.Context, give func(context.Context) error) (bench.Audit, error) {
	if err := c.settled(ctx); err != nil {
		return bench.Audit{}, err
	}
	if err := clock.Sleep(ctx, looked/4); err != nil { // what the last of them has asked is answered
		return bench.Audit{}, err
	}
	quiet := c.asked.Load()
	if err := clock.Sleep(ctx, looked); err != nil {
		return bench.Audit{}, err
	}
	before, began := c.asked.Load(), time.Now()
	if err := give(ctx); err != nil {
		return bench.Audit{}, err
	}
	var took time.Duration
	select {
	case <-c.won:
		took = time.Since(began)
	case <-time.After(patience):
		return bench.Audit{}, fmt.Errorf("of %d nobody took the role within %v", c.config.Waiters, patience)
	case <-ctx.Done():
		return bench.Audit{}, ctx.Err()
	}
	if err := clock.Sleep(ctx, max(0, looked-took)); err != nil {
		return bench.Audit{}, err
	}
	return bench.Audit{Of: c.config.Waiters, What: "waiters", Numbers: map[string]float64{
		waitBefore: float64(before - quiet), waitAfter: float64(c.asked.Load() - before), waitHandOver: took.Seconds(),
	}}, nil
}

// settled waits until all have begun to wait, and those in a queue have their place in it.
func (c *contest) settled(ctx context.Context) error {
	for {
		ready := c.ready.Load()
		if c.config.Way == waitQueue {
			there, err := c.client.Get(ctx, waitedQueue, clientv3.WithPrefix(), clientv3.WithCountOnly())
			if err != nil {
				return err
			}
			ready = min(ready, there.Count-1) // one of them has the role
		}
		if ready >= int64(c.config.Waiters) {
			return nil
		}
		if err := clock.Sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// wait is one contender, until the contest is over. Who gets the role keeps it.
func (c *contest) wait(ctx context.Context, n int) error {
	var err error
	switch c.config.Way {
	case waitPoll:
		err = c.poll(ctx, n)
	case waitWatch:
		err = c.watch(ctx)
	default:
		err = c.queue(ctx)
	}
	select {
	case <-ctx.Done(): // it is over, and this one has not got the role
		return nil
	default:
		return err
	}
}

// poll looks at a moment of its own in each period.
func (c *contest) poll(ctx context.Context, n int) error {
	c.ready.Add(1)
	every := c.config.Poll.D()
	for wait := every * time.Duration(n) / time.Duration(c.config.Waiters); ; wait = every {
		if err := clock.Sleep(ctx, wait); err != nil {
			return err
		}
		there, err := c.client.Get(ctx, waitedKey, clientv3.WithCountOnly())
		if err != nil {
			return err
		}
		if there.Count == 0 {
			if err := c.take(ctx); err != nil {
				return err
			}
		}
	}
}

func (c *contest) watch(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for said := range c.client.Watch(ctx, waitedKey, clientv3.WithCreatedNotify(), clientv3.WithFilterPut()) {
		if said.Err() != nil {
			return said.Err()
		}
		if said.Created {
			c.ready.Add(1)
		}
		if len(said.Events) > 0 {
			if err := c.take(ctx); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// take asks for the role.
func (c *contest) take(ctx context.Context) error {
	said, err := c.client.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(waitedKey), "=", 0)).Then(clientv3.OpPut(waitedKey, "the next")).Commit()
	if err == nil && said.Succeeded {
		c.wins()
	}
	return err
}

func (c *contest) wins() {
	select {
	case c.won <- struct{}{}:
	default: // another has, before
	}
}

// queue waits behind the one before it, which etcd tells from the revisions of their keys.
func (c *contest) queue(ctx context.Context) error {
	session, err := concurrency.NewSession(c.client, concurrency.WithTTL(60))
	if err != nil {
		return err
	}
	defer func() { _ = session.Close() }()
	c.ready.Add(1)
	if err := concurrency.NewElection(session, waitedQueue).Campaign(ctx, "the next"); err != nil {
		return err
	}
	c.wins()
	<-ctx.Done()
	return nil
}

const herd = 500

func waits(way, about string) bench.Variant {
	return bench.Variant{Name: way, About: about, Config: WaitConfig{Way: way, Waiters: herd, Poll: second}}
}

var waitersExperiment = bench.Experiment{
	Name:     "resilience/leader/waiters",
	Question: "What do five hundred contenders ask of etcd when the role becomes free?",
	Note: "One has the role, and 500 wait for it, on one member of etcd. It is given back. Counted are the requests for keys in the second before and in the " +
		"second after that, watches not among them. The contenders are of one process, and are no services.",
	Probe:   "waiters",
	Engines: []bench.EngineSpec{{Name: storeEtcd}},
	Variants: []bench.Variant{
		waits(waitPoll, "each looks once a second"),
		waits(waitWatch, "all watch the leader's key, and ask for it when it goes"),
		waits(waitQueue, "each watches the key of the one before it (etcd's package concurrency)"),
	},
	Columns: []bench.Column{
		{Title: "requests in the second before", Of: number(waitBefore)},
		{Title: "and in the second after", Of: number(waitAfter)},
		{Title: "until the next leader", Unit: "s", Of: number(waitHandOver)},
	},
	Checks: []bench.Check{
		polite("they poll", waitPoll), polite("all watch the same key", waitWatch), polite("they stand in a queue", waitQueue),
	},
}

func polite(when, way string) bench.Check {
	return bench.Check{
		Claim: "resilience/leader#9", When: when, Text: "500 wait: the second in which the role becomes free has at most ten requests",
		Of: number(waitAfter).In(way, ""), Rel: bench.AtMost, Bound: 10,
	}
}
