package writebehind

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"shakedown/bench"
	"shakedown/targets/internal/direct"
	"shakedown/targets/serve"
)

// The numbers of this audit beside those of bench. Of orders and increments together there are bench's lost, doubled and so on; a
// write that waits in the queue, or is a dead letter, is not lost.
const (
	auditStuck   = "stuck"   // acknowledged, and still in the queue when nothing moved any more
	auditDead    = "dead"    // acknowledged, and among the dead letters
	auditLateS   = "late_s"  // from the end of the load until nothing moved any more
	auditMoney   = "money"   // the amounts of acknowledged orders
	auditMissing = "missing" // of those, what is neither booked, nor waiting, nor a dead letter
	auditTwice   = "twice"   // what is booked more often than once
	auditCounts  = "counts"  // increments that were acknowledged
	// auditError is the part of the acknowledged increments that the counters are off by, either way.
	auditError = "count_error_share"
	// auditOverwritten counts keys whose status is older than the newest one that was acknowledged.
	auditOverwritten = "overwritten"
	auditStale       = "stale" // reads of a counter that lacked an increment which had been acknowledged before they were sent
	auditReads       = "reads" // reads of a counter that some increment had been acknowledged of
	// auditStaleShare is the first of these over the second.
	auditStaleShare = "stale_share"
)

// still is how long nothing must move until the trial is taken to be over, besides one and a half times what the flusher waits for.
const still = time.Second

// longest bounds the wait for that.
const longest = 15 * time.Second

// ledger is where the writes of a trial are.
type ledger struct {
	orders   map[int64]bench.Stored
	counters map[int64]int64
	statuses map[int64]int64
	dead     []event
	waiting  []event // in Redis
}

// audit waits until nothing moves any more, and accounts for every write.
func audit(ctx context.Context, env bench.Env, raw json.RawMessage, samples []bench.Sample) (bench.Audit, error) {
	config, err := serve.Decode[Config](raw)
	if err != nil {
		return bench.Audit{}, err
	}
	var l ledger
	var late time.Duration
	err = direct.Postgres(ctx, env, func(c *pgx.Conn) error {
		return direct.Redis(env, func(r *redis.Client) error {
			late, l, err = settled(ctx, config, func() (ledger, error) { return readLedger(ctx, c, r, config) })
			return err
		})
	})
	if err != nil {
		return bench.Audit{}, fmt.Errorf("reading what was written: %w", err)
	}
	found := account(l, actsOf(samples, env.Ops))
	found.Numbers[auditLateS] = late.Seconds()
	return found, nil
}

// settled looks until what is there has not changed for a while, and says after how long it changed last.
func settled(ctx context.Context, c Config, look func() (ledger, error)) (time.Duration, ledger, error) {
	quiet := still + 3*(c.Every+c.Pause).D()/2
	began := time.Now()
	last, moved := ledger{}, began
	for first := true; ; first = false {
		now, err := look()
		if err != nil {
			return 0, now, err
		}
		if first || now.moved(last) {
			if !first {
				moved = time.Now()
			}
			last = now
		}
		if c.Queue == queueNone || time.Since(moved) > quiet || time.Since(began) > longest {
			return moved.Sub(began), last, nil
		}
		select {
		case <-ctx.Done():
			return 0, last, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (l ledger) moved(since ledger) bool {
	return len(l.waiting) != len(since.waiting) || len(l.dead) != len(since.dead) ||
		!maps.Equal(l.orders, since.orders) || !maps.Equal(l.counters, since.counters) || !maps.Equal(l.statuses, since.statuses)
}

// readLedger reads the queue first: what moves while it reads is then seen twice rather than not at all, and the next look is sharper.
func readLedger(ctx context.Context, c *pgx.Conn, r *redis.Client, config Config) (l ledger, err error) {
	if config.inRedis() {
		if l.waiting, err = readQueue(ctx, r, config.Queue); err != nil {
			return l, err
		}
	}
	l.orders, l.counters, l.statuses = map[int64]bench.Stored{}, map[int64]int64{}, map[int64]int64{}
	for sql, take := range map[string]func(k string, id, key, value int64){
		`select 'o', 0, key, amount from shakedown_wb_orders`: func(_ string, _, key, v int64) {
			l.orders[key] = bench.Stored{Value: v, Times: l.orders[key].Times + 1}
		},
		`select 'c', 0, key, n from shakedown_wb_counters`:       func(_ string, _, key, v int64) { l.counters[key] = v },
		`select 's', 0, key, version from shakedown_wb_statuses`: func(_ string, _, key, v int64) { l.statuses[key] = v },
		`select kind, id, key, value from shakedown_wb_dead`: func(k string, id, key, v int64) {
			l.dead = append(l.dead, event{id: id, kind: kind(k[0]), key: key, value: v})
		},
	} {
		rows, err := c.Query(ctx, sql)
		if err != nil {
			return l, err
		}
		var k string
		var id, key, value int64
		if _, err := pgx.ForEachRow(rows, []any{&k, &id, &key, &value}, func() error { take(k, id, key, value); return nil }); err != nil {
			return l, err
		}
	}
	return l, nil
}

// readQueue reads what waits in Redis.
func readQueue(ctx context.Context, r *redis.Client, queue string) ([]event, error) {
	switch queue {
	case queueStream:
		entries, err := r.XRange(ctx, queueKey, "-", "+").Result()
		if err != nil {
			return nil, err
		}
		all := make([]event, len(entries))
		for i, m := range entries {
			if all[i], err = eventOf(m); err != nil {
				return nil, err
			}
		}
		return all, nil
	case queueDirty:
		return nil, nil // an entry is not a write: that of a counter may stand for many
	}
	texts, err := r.LRange(ctx, queueKey, 0, -1).Result()
	if err != nil {
		return nil, err
	}
	all := make([]event, len(texts))
	for i, text := range texts {
		if all[i], err = parseEvent(text); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// A write or read of a user, with the name of its operation.
type act struct {
	op string
	bench.Sample
}

func actsOf(samples []bench.Sample, ops []string) []act {
	acts := make([]act, len(samples))
	for i, s := range samples {
		acts[i] = act{Sample: s}
		if int(s.Op) < len(ops) {
			acts[i].op = ops[s.Op]
		}
	}
	return acts
}

// account is pure: it compares what users were told with where their writes are.
func account(l ledger, acts []act) bench.Audit {
	orders := accountOrders(l, acts)
	counts := accountCounts(l, acts)
	for name, n := range counts.Numbers {
		orders.Numbers[name] += n
	}
	orders.Of += counts.Of
	orders.Examples = append(orders.Examples, counts.Examples...)
	accountStatuses(l, acts, &orders)
	accountReads(acts, &orders)
	return orders
}

// accountOrders follows orders, each of which has a key of its own.
func accountOrders(l ledger, acts []act) bench.Audit {
	booked, waits, dead := l.orders, byKey(l.waiting), byKey(l.dead)
	all := maps.Clone(dead)
	maps.Copy(all, waits)
	maps.Copy(all, booked)
	found := bench.AccountForWrites(orderSamples(acts), 0, all)
	n := found.Numbers
	n[auditStuck], n[auditDead], n[auditMoney], n[auditMissing], n[auditTwice] = 0, 0, 0, 0, 0
	for _, s := range orderSamples(acts) {
		is, there := booked[s.Key]
		_, waiting := waits[s.Key]
		_, buried := dead[s.Key]
		amount := max(0, float64(s.Value)) // one that the database refuses is negative, and about no money here
		if there && is.Times > 1 {
			n[auditTwice] += float64(is.Times-1) * float64(is.Value)
		}
		if !s.Outcome.Answered() {
			continue
		}
		n[auditMoney] += amount
		switch {
		case there:
		case waiting:
			n[auditStuck]++
		case buried:
			n[auditDead]++
		default:
			n[auditMissing] += amount
		}
	}
	return found
}

// orderSamples are the orders.
func orderSamples(acts []act) []bench.Sample {
	var some []bench.Sample
	for _, s := range acts {
		if s.op == "order" {
			s.Op = 0
			some = append(some, s.Sample)
		}
	}
	return some
}

func byKey(events []event) map[int64]bench.Stored {
	stored := map[int64]bench.Stored{}
	for _, e := range events {
		if e.kind == order {
			stored[e.key] = bench.Stored{Value: e.value}
		}
	}
	return stored
}

// tally is what users know of one counter.
type tally struct{ acked, unsure, waiting int64 }

// accountCounts compares each counter with the increments that were acknowledged. An increment whose answer never came may be in it.
func accountCounts(l ledger, acts []act) bench.Audit {
	known := map[int64]*tally{}
	at := func(key int64) *tally {
		if known[key] == nil {
			known[key] = &tally{}
		}
		return known[key]
	}
	for _, s := range acts {
		switch {
		case s.op != "count":
		case s.Outcome.Answered():
			at(s.Key).acked++
		case s.Outcome == bench.Unsure:
			at(s.Key).unsure++
		}
	}
	for _, e := range l.waiting {
		if e.kind == count {
			at(e.key).waiting += e.value
		}
	}
	for key := range l.counters {
		at(key)
	}
	a := bench.Audit{Numbers: map[string]float64{auditCounts: 0}}
	var lost, doubled int64
	for _, key := range slices.Sorted(maps.Keys(known)) {
		k, n := known[key], l.counters[key]
		a.Numbers[auditCounts] += float64(k.acked)
		a.Numbers[bench.AuditUnsure] += float64(k.unsure)
		a.Numbers[auditStuck] += float64(min(k.waiting, max(0, k.acked-n)))
		less, more := max(0, k.acked-n-k.waiting), max(0, n-k.acked-k.unsure)
		lost, doubled = lost+less, doubled+more
		if less+more > 0 && len(a.Examples) < 3 {
			a.Examples = append(a.Examples, fmt.Sprintf("counter %d: %d increments acknowledged, %d more perhaps, and it stands at %d", key, k.acked, k.unsure, n))
		}
	}
	counts := a.Numbers[auditCounts]
	a.Of = int(counts)
	a.Numbers[bench.AuditAcked] = counts
	a.Numbers[bench.AuditLost], a.Numbers[bench.AuditDoubled] = float64(lost), float64(doubled)
	if counts > 0 {
		a.Numbers[auditError] = float64(lost+doubled) / counts
	}
	return a
}

// accountStatuses compares each status with the newest that was acknowledged.
func accountStatuses(l ledger, acts []act, a *bench.Audit) {
	newest := map[int64]int64{}
	for _, s := range acts {
		if s.op == "status" && s.Outcome.Answered() {
			newest[s.Key] = max(newest[s.Key], s.Value)
			a.Of++
			a.Numbers[bench.AuditAcked]++
		}
	}
	for _, e := range l.waiting {
		if e.kind == status && e.value >= newest[e.key] {
			delete(newest, e.key) // the newest still waits: nothing has overwritten it
		}
	}
	a.Numbers[auditOverwritten] = 0
	for _, key := range slices.Sorted(maps.Keys(newest)) {
		if l.statuses[key] >= newest[key] {
			continue
		}
		if a.Numbers[auditOverwritten]++; a.Numbers[auditOverwritten] <= 3 {
			a.Examples = append(a.Examples, fmt.Sprintf("overwritten: status %d is version %d, and %d was acknowledged", key, l.statuses[key], newest[key]))
		}
	}
}

// accountReads says which reads of counters lacked what had been acknowledged when they were sent.
func accountReads(acts []act, a *bench.Audit) {
	acked := map[int64][]time.Duration{} // when increments were acknowledged
	for _, s := range acts {
		if s.op == "count" && s.Outcome.Answered() {
			acked[s.Key] = append(acked[s.Key], s.Done)
		}
	}
	for _, at := range acked {
		slices.Sort(at)
	}
	reads, stale := 0, 0
	for _, s := range acts {
		if s.op != "read" || !s.Outcome.Answered() {
			continue
		}
		before, _ := slices.BinarySearch(acked[s.Key], s.Sent)
		if before == 0 {
			continue
		}
		reads++
		if s.Value < int64(before) {
			if stale++; stale <= 3 {
				a.Examples = append(a.Examples, fmt.Sprintf("stale: counter %d read as %d at %v, when %d increments had been acknowledged", s.Key, s.Value, s.Sent.Round(time.Millisecond), before))
			}
		}
	}
	a.Numbers[auditReads], a.Numbers[auditStale] = float64(reads), float64(stale)
	if reads > 0 {
		a.Numbers[auditStaleShare] = float64(stale) / float64(reads)
	}
}
