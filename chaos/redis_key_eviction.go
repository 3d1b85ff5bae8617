package chaos

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
)

// KeyEviction removes keys from Redis, once, as an eviction, a flush or an expiry in step does. There is nothing to restore: whoever
// misses a key has to make it anew.
type KeyEviction struct {
	Engine string `json:"engine"`
	// Match is a pattern of keys, as in SCAN: "item:*".
	Match string `json:"match"`
	// Share of those that match; 0 means all. Whether a key goes is a pure function of Seed and the key.
	Share float64 `json:"share,omitempty"`
	Seed  uint64  `json:"seed,omitempty"`
	// Expire lets the keys expire, so that they count and are announced as expired, and not as deleted.
	Expire bool `json:"expire,omitempty"`
}

var _ Fault = (*KeyEviction)(nil)

// Kind is "key_eviction".
func (*KeyEviction) Kind() string { return "key_eviction" }

func (f *KeyEviction) String() string {
	what := "keys"
	if f.Share != 0 && f.Share != 1 {
		what = percent(f.Share) + " of keys"
	}
	how := "deleted"
	if f.Expire {
		how = "expired"
	}
	return fmt.Sprintf("%s %s %s on %s", what, f.Match, how, f.Engine)
}

// Validate wants an engine, a pattern, and a share from 0 to 1.
func (f *KeyEviction) Validate() error {
	switch {
	case f.Engine == "":
		return checkEngineName(f.Engine)
	case f.Match == "":
		return errors.New("match is missing; write a pattern of keys, as item:*, or * for all")
	case !(f.Share >= 0 && f.Share <= 1):
		return fmt.Errorf("share is %v; it must be from 0 to 1, or left out for all", f.Share)
	}
	return nil
}

// Available wants a Redis of the run.
func (f *KeyEviction) Available(s Surface) error { return availableEngine(s, f, f.Engine, Redis) }

// Inject proves itself by the server's count of the keys that it removed.
func (f *KeyEviction) Inject(ctx context.Context, s Surface) (Injection, error) {
	return injectEngines(ctx, s, engineFault{fault: f, engine: f.Engine, pull: f.pull})
}

func (f *KeyEviction) pull(ctx context.Context, e Engine) (lever, Evidence, error) {
	proof := Evidence{Unit: "keys"}
	c, err := connOf(ctx, e)
	if err != nil {
		return nil, proof, err
	}
	defer func() { _ = c.Close() }()
	l := &evicted{name: e.Name(), engine: e}
	if l.misses, err = redisStat(ctx, e, "keyspace_misses"); err != nil {
		return nil, proof, err
	}
	keys, err := f.matching(ctx, c)
	if err != nil {
		return nil, proof, err
	}
	all := len(keys)
	keys = slices.DeleteFunc(keys, func(key string) bool { return !f.takes(key) })
	removed, err := f.remove(ctx, c, keys)
	proof.What = fmt.Sprintf("keys removed on %s, of %d that match", e.Name(), all)
	proof.Want, proof.Got, proof.Seen = float64(len(keys)), float64(removed), removed > 0
	return l, proof, err
}

// matching scans for the keys, each of which SCAN may return more than once.
func (f *KeyEviction) matching(ctx context.Context, c RedisConn) ([]string, error) {
	var keys []string
	for cursor := "0"; ; {
		reply, err := c.Do(ctx, "SCAN", cursor, "MATCH", f.Match, "COUNT", "1000")
		if err != nil {
			return nil, err
		}
		page, _ := reply.([]any)
		if len(page) != 2 {
			return nil, fmt.Errorf("SCAN answered %v", reply)
		}
		some, _ := page[1].([]any)
		for _, k := range some {
			if key, ok := k.(string); ok {
				keys = append(keys, key)
			}
		}
		if cursor, _ = page[0].(string); cursor == "0" || cursor == "" {
			slices.Sort(keys)
			return slices.Compact(keys), nil
		}
	}
}

// takes says whether a key goes: its hash, as a fraction, is below the share.
func (f *KeyEviction) takes(key string) bool {
	if f.Share == 0 {
		return true
	}
	h := fnv.New64a()
	var seed [8]byte
	binary.LittleEndian.PutUint64(seed[:], f.Seed)
	_, _ = h.Write(seed[:]) // never fails
	_, _ = h.Write([]byte(key))
	x := h.Sum64() // FNV mixes the last bytes of like keys little; the finalizer of SplitMix64 does
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	x ^= x >> 31
	return float64(x>>11)/(1<<53) < f.Share
}

// remove deletes the keys in bunches, or lets each expire at once.
func (f *KeyEviction) remove(ctx context.Context, c RedisConn, keys []string) (removed int64, err error) {
	bunch := 500
	if f.Expire {
		bunch = 1
	}
	for some := range slices.Chunk(keys, bunch) {
		command := append([]string{"UNLINK"}, some...)
		if f.Expire {
			command = []string{"PEXPIRE", some[0], "1"}
		}
		reply, err := c.Do(ctx, command...)
		if err != nil {
			return removed, err
		}
		n, _ := reply.(int64)
		removed += n
	}
	return removed, nil
}

// evicted is a server whose keys were removed.
type evicted struct {
	name   string
	engine Engine
	misses int64
}

func (l *evicted) met(ctx context.Context) Evidence {
	seen := Evidence{What: "misses since keys were removed on " + l.name + ", which are not put back", Want: 1, Unit: "misses"}
	now, err := redisStat(ctx, l.engine, "keyspace_misses")
	if err != nil {
		seen.What += ": " + err.Error()
		return seen
	}
	seen.Got, seen.Seen = float64(now-l.misses), now > l.misses
	return seen
}

// release does nothing: the keys are gone, and belong to whoever made them.
func (*evicted) release(context.Context) error { return nil }
