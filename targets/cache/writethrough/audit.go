package writethrough

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"shakedown/bench"
	"shakedown/internal/clock"
	"shakedown/targets/internal/direct"
	"shakedown/targets/serve"
)

// The numbers of the audit.
const (
	auditDiffer = "differ"        // keys whose entry in the cache is not what the database holds, when nothing moves any more
	auditLater  = "differ_later"  // the same, a while later
	auditNever  = "never_existed" // reads of a value that the database never committed
	auditStale  = "stale"         // reads of an older value than one that was acknowledged before they were sent
	auditReads  = "reads"         // reads that were answered
	auditWarm   = "reads_of_own"  // reads of a key of which a write had been acknowledged before they were sent
	auditHits   = "hits_share"    // of those, the part that the cache answered
	auditUnread = "unread_share"  // of the entries of the cache, those whose key no reader asks for
	auditHealS  = "heal_s"        // from the first look until the last key that differed did not any more
)

// drained bounds the wait for the outbox to be empty.
const drained = 10 * time.Second

// audit compares the cache with the database once all is quiet, and every read with what the database ever held.
func audit(ctx context.Context, env bench.Env, raw json.RawMessage, samples []bench.Sample) (bench.Audit, error) {
	config, err := serve.Decode[Config](raw)
	if err != nil {
		return bench.Audit{}, err
	}
	found := bench.Audit{Numbers: map[string]float64{auditDiffer: 0, auditLater: 0, auditHealS: 0}}
	err = direct.Postgres(ctx, env, func(c *pgx.Conn) error {
		history, err := readHistory(ctx, c)
		if err != nil {
			return err
		}
		accountReads(history, samples, env.Ops, &found)
		if !config.cached() {
			return nil
		}
		return direct.Redis(env, func(r *redis.Client) error {
			if found.Numbers[auditUnread], err = unread(ctx, r, config); err != nil {
				return err
			}
			return compare(ctx, c, r, config, &found)
		})
	})
	if err != nil {
		return bench.Audit{}, fmt.Errorf("comparing cache and database: %w", err)
	}
	return found, nil
}

// unread is the part of the cache that holds keys beyond those that are read.
func unread(ctx context.Context, r *redis.Client, config Config) (share float64, err error) {
	var all, beyond float64
	err = direct.EachKeys(ctx, r, prefix, func(keys []string) error {
		for _, name := range keys {
			key, err := strconv.ParseInt(strings.TrimPrefix(name, prefix), 10, 64)
			if err != nil {
				return err
			}
			all++
			if key >= config.Keys {
				beyond++
			}
		}
		return nil
	})
	return beyond / max(1, all), err
}

// compare counts the keys that differ, now and, when the configuration says so, until later.
func compare(ctx context.Context, c *pgx.Conn, r *redis.Client, config Config, found *bench.Audit) error {
	if err := awaitRelay(ctx, c); err != nil {
		return err
	}
	keys, examples, err := differing(ctx, c, r)
	if err != nil {
		return err
	}
	found.Numbers[auditDiffer], found.Numbers[auditLater] = float64(len(keys)), float64(len(keys))
	found.Examples = append(examples, found.Examples...)
	began := time.Now()
	for n := len(keys); n > 0 && time.Since(began) < config.Later.D(); {
		if err := clock.Sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
		if keys, _, err = differing(ctx, c, r); err != nil {
			return err
		}
		if len(keys) < n {
			n = len(keys)
			found.Numbers[auditHealS] = time.Since(began).Seconds()
		}
		found.Numbers[auditLater] = float64(n)
	}
	return nil
}

// awaitRelay waits until nothing is in the outbox, nor in the hands of a relay, whose transaction holds the rows until the cache has them.
func awaitRelay(ctx context.Context, c *pgx.Conn) error {
	for began := time.Now(); time.Since(began) < drained; {
		var left int
		if err := c.QueryRow(ctx, `select count(*) from shakedown_wt_outbox`).Scan(&left); err != nil || left == 0 {
			return err
		}
		if err := clock.Sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// differing are the keys whose entry is not what the database holds. What is not in the cache does not differ: its reader loads it.
func differing(ctx context.Context, c *pgx.Conn, r *redis.Client) (keys []int64, examples []string, err error) {
	rows, err := c.Query(ctx, `select key, value, version from shakedown_wt_items order by key`)
	if err != nil {
		return nil, nil, err
	}
	var all []int64
	var names []string
	stored := map[int64]item{}
	var key int64
	var i item
	if _, err := pgx.ForEachRow(rows, []any{&key, &i.value, &i.version}, func() error {
		all, names = append(all, key), append(names, cacheKey(key))
		stored[key] = i
		return nil
	}); err != nil {
		return nil, nil, err
	}
	entries, err := r.MGet(ctx, names...).Result()
	if err != nil {
		return nil, nil, err
	}
	for n, key := range all {
		text, there := entries[n].(string)
		if !there {
			continue
		}
		has, err := parseItem(text)
		if err != nil {
			return nil, nil, err
		}
		if has.value != stored[key].value {
			keys = append(keys, key)
			if len(examples) < 3 {
				examples = append(examples, fmt.Sprintf("differ: of item %d the cache has %d (version %d), the database %d (version %d)",
					key, has.value, has.version, stored[key].value, stored[key].version))
			}
		}
	}
	return keys, examples, nil
}

// A history is the place of each committed value among those of its key.
type history map[int64]map[int64]int

func readHistory(ctx context.Context, c *pgx.Conn) (history, error) {
	rows, err := c.Query(ctx, `select key, value from shakedown_wt_history order by id`)
	if err != nil {
		return nil, err
	}
	h := history{}
	var key, value int64
	_, err = pgx.ForEachRow(rows, []any{&key, &value}, func() error {
		if h[key] == nil {
			h[key] = map[int64]int{}
		}
		h[key][value] = len(h[key])
		return nil
	})
	return h, err
}

// acked is when a value, by its place in the history, was acknowledged.
type acked struct {
	at    time.Duration
	place int
}

// accountReads counts reads of what never was, and of what was no longer the newest. It is pure.
func accountReads(h history, samples []bench.Sample, ops []string, found *bench.Audit) {
	writes := map[int64][]acked{}
	for _, s := range samples {
		if ops[s.Op] != "read" && s.Outcome.Answered() {
			writes[s.Key] = append(writes[s.Key], acked{s.Done, h[s.Key][s.Value]})
			found.Of++
		}
	}
	for _, list := range writes {
		newestOf(list)
	}
	var reads, never, stale, own, hits float64
	for _, s := range samples {
		if ops[s.Op] != "read" || !s.Outcome.Answered() {
			continue
		}
		reads++
		place, existed := h[s.Key][s.Value]
		list := writes[s.Key]
		n, _ := slices.BinarySearchFunc(list, s.Sent, func(a acked, t time.Duration) int { return int(a.at - t) })
		switch {
		case !existed:
			if never++; never <= 3 {
				found.Examples = append(found.Examples, fmt.Sprintf("never existed: item %d read as %d at %v", s.Key, s.Value, s.Done.Round(time.Millisecond)))
			}
		case n > 0 && place < list[n-1].place:
			if stale++; stale <= 3 {
				found.Examples = append(found.Examples, fmt.Sprintf("stale: item %d read at %v as its value number %d, when number %d had been acknowledged",
					s.Key, s.Sent.Round(time.Millisecond), place, list[n-1].place))
			}
		}
		if n > 0 {
			own++
			if s.Flags&bench.Hit != 0 {
				hits++
			}
		}
	}
	found.Numbers[auditReads], found.Numbers[auditNever], found.Numbers[auditStale], found.Numbers[auditWarm] = reads, never, stale, own
	if own > 0 {
		found.Numbers[auditHits] = hits / own
	}
}

// newestOf puts acknowledgements in order of time, and gives each the newest place that was acknowledged until then.
func newestOf(list []acked) {
	slices.SortFunc(list, func(a, b acked) int { return int(a.at - b.at) })
	for i := 1; i < len(list); i++ {
		list[i].place = max(list[i].place, list[i-1].place)
	}
}
