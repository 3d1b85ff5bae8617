package writebehind

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"shakedown/internal/units"
)

// dirtyQueue is no queue but a cache that is written back: each entry has a value, and a set names those that the database does not
// have. What is flushed is what an entry holds at that moment.
type dirtyQueue struct {
	redis *redis.Client
	bytes int
	ttl   units.Duration // of clean orders; 0: none
	// load reads a counter that is not in the cache.
	load func(ctx context.Context, key int64) (int64, error)
}

func cacheKey(k kind, key int64) string { return prefix + member(k, key) }

// member is the name of an entry in the set.
func member(k kind, key int64) string { return fmt.Sprintf("%c:%d", rune(k), key) }

func (q *dirtyQueue) put(ctx context.Context, e event) (event, error) {
	switch e.kind {
	case count:
		return e, q.add(ctx, e)
	default:
		_, err := q.redis.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.Set(ctx, cacheKey(e.kind, e.key), padded(e.value, q.bytes), 0)
			p.SAdd(ctx, dirtyKey, member(e.kind, e.key))
			return nil
		})
		return e, err
	}
}

// addTo adds to a counter that is in the cache, and marks it; it returns false when the cache has no such counter.
var addTo = redis.NewScript(`
	if redis.call("exists", KEYS[1]) == 0 then return false end
	redis.call("sadd", KEYS[2], ARGV[2])
	return redis.call("incrby", KEYS[1], ARGV[1])`)

// add adds to a counter, and puts it into the cache first when it is not there.
func (q *dirtyQueue) add(ctx context.Context, e event) error {
	keys := []string{cacheKey(count, e.key), dirtyKey}
	for {
		err := addTo.Run(ctx, q.redis, keys, e.value, member(count, e.key)).Err()
		if !errors.Is(err, redis.Nil) {
			return err
		}
		n, err := q.load(ctx, e.key)
		if err != nil {
			return fmt.Errorf("%w: loading counter %d: %w", errNotWritten, e.key, err)
		}
		if err := q.redis.SetArgs(ctx, keys[0], n, redis.SetArgs{Mode: "NX"}).Err(); nothing(err) != nil {
			return err
		}
	}
}

// errNotWritten: the write failed before anything was changed.
var errNotWritten = errors.New("not written")

func padded(value int64, bytes int) string {
	return strconv.FormatInt(value, 10) + strings.Repeat(" ", bytes)
}

// forget takes an entry that is not in the cache out of the set.
var forget = redis.NewScript(`
	if redis.call("exists", KEYS[1]) == 1 then return 0 end
	return redis.call("srem", KEYS[2], ARGV[1])`)

// take reads some of the entries in the set. One that is in the set and not in the cache is gone: there is nothing to flush.
func (q *dirtyQueue) take(ctx context.Context, n int) ([]event, error) {
	members, err := q.redis.SRandMemberN(ctx, dirtyKey, int64(n)).Result()
	if err != nil || len(members) == 0 {
		return nil, nothing(err)
	}
	keys := make([]string, len(members))
	for i, m := range members {
		keys[i] = prefix + m
	}
	values, err := q.redis.MGet(ctx, keys...).Result()
	if err != nil {
		return nil, err
	}
	var batch []event
	for i, m := range members {
		text, there := values[i].(string)
		if !there {
			if err := forget.Run(ctx, q.redis, []string{keys[i], dirtyKey}, m).Err(); err != nil {
				return nil, err
			}
			continue
		}
		e, err := entryOf(m, text)
		if err != nil {
			return nil, err
		}
		batch = append(batch, e)
	}
	return batch, nil
}

// entryOf reads an entry of the cache and its name.
func entryOf(member, text string) (event, error) {
	k, key, ok := strings.Cut(member, ":")
	n, err := strconv.ParseInt(key, 10, 64)
	v, err2 := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if !ok || len(k) != 1 || err != nil || err2 != nil {
		return event{}, fmt.Errorf("the entry %s of the cache is damaged: %.40q", member, text)
	}
	return event{kind: kind(k[0]), key: n, value: v}, nil
}

// clean takes an entry out of the set unless it has changed since it was read, and lets it expire when it has a time to live.
var clean = redis.NewScript(`
	local now = redis.call("get", KEYS[1])
	if now and string.match(now, "^%-?%d+") ~= ARGV[1] then return 0 end
	if tonumber(ARGV[3]) > 0 then redis.call("pexpire", KEYS[1], ARGV[3]) end
	return redis.call("srem", KEYS[2], ARGV[2])`)

func (q *dirtyQueue) settle(ctx context.Context, batch []event) error {
	if err := clean.Load(ctx, q.redis).Err(); err != nil { // once a batch: a pipeline cannot fall back from EVALSHA to EVAL
		return err
	}
	_, err := q.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, e := range batch {
			ttl := int64(0)
			if e.kind == order {
				ttl = q.ttl.D().Milliseconds()
			}
			clean.EvalSha(ctx, p, []string{cacheKey(e.kind, e.key), dirtyKey}, e.value, member(e.kind, e.key), ttl)
		}
		return nil
	})
	return err
}
