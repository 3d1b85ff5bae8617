package degradation

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"shakedown/internal/units"
)

// newCopies is a local copy on a clock that stands still until the test moves it.
func newCopies(most int, keepFor time.Duration) (*local, *time.Duration) {
	l, now := newLocal(most, keepFor), new(time.Duration)
	l.now = func() time.Duration { return *now }
	return l, now
}

func TestTheLocalCopyDropsWhatWasUsedLongestAgo(t *testing.T) {
	l, _ := newCopies(3, time.Hour)
	for key := range int64(3) {
		l.put(key, "")
	}
	l.get(0)     // a read is a use
	l.put(1, "") // and so is a write
	l.put(3, "")
	for key, want := range map[int64]bool{0: true, 1: true, 2: false, 3: true} {
		if _, _, ok := l.get(key); ok != want {
			t.Errorf("key %d is there: %t, want %t", key, ok, want)
		}
	}
}

func TestTheLocalCopyNeverOutgrowsItsBound(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	l, now := newCopies(10, 50)
	var used []int64 // the model: keys by use, the latest last
	for range 5000 {
		key := rng.Int64N(30)
		if rng.IntN(3) == 0 {
			l.get(key)
			if !slices.Contains(used, key) {
				continue
			}
		} else {
			l.put(key, fmt.Sprint(key))
		}
		used = append(slices.DeleteFunc(used, func(k int64) bool { return k == key }), key)
		used = used[max(0, len(used)-10):]
		if len(l.byKey) > 10 || l.order.Len() != len(l.byKey) {
			t.Fatalf("it holds %d keys in a list of %d; its bound is 10", len(l.byKey), l.order.Len())
		}
	}
	for _, key := range used {
		if body, _, ok := l.get(key); !ok || body != fmt.Sprint(key) {
			t.Errorf("key %d, one of the ten used last: %q, %t", key, body, ok)
		}
	}
	*now = 51
	for key := range int64(30) {
		if _, _, ok := l.get(key); ok {
			t.Errorf("key %d outlived its age limit", key)
		}
	}
	if l.order.Len() != 0 {
		t.Errorf("%d copies that are too old were kept", l.order.Len())
	}
}

func TestACopyIsServedUpToItsAgeAndNoLonger(t *testing.T) {
	l, now := newCopies(1, time.Second)
	*now = time.Minute
	l.put(1, "old")
	for _, tt := range []struct {
		age  time.Duration
		want bool
	}{{0, true}, {time.Second, true}, {time.Second + 1, false}} {
		*now = time.Minute + tt.age
		body, age, ok := l.get(1)
		if ok != tt.want || ok && (age != tt.age || body != "old") {
			t.Errorf("after %v: %q, %v old, %t", tt.age, body, age, ok)
		}
	}
	l.put(1, "new")
	if body, age, ok := l.get(1); body != "new" || age != 0 || !ok {
		t.Errorf("after it was read anew: %q, %v old, %t", body, age, ok)
	}
}

func TestConfigurationsThatMakeNoSenseAreRefused(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"the whole ladder", func(*Config) {}, ""},
		{"nothing at all", func(c *Config) { *c = config(Config{}) }, ""},
		{"negative time-out", func(c *Config) { c.CacheTimeout = -1 }, "cache_timeout"},
		{"negative age", func(c *Config) { c.StaleFor = -1 }, "stale_for"},
		{"negative cost", func(c *Config) { c.ItemCost = -1 }, "item_cost"},
		{"negative cost of the other", func(c *Config) { c.OtherCost = -1 }, "other_cost"},
		{"a breaker that never opens", func(c *Config) { c.BreakerFailures = 0 }, "breaker_failures"},
		{"a breaker that never closes", func(c *Config) { c.BreakerOpen = 0 }, "breaker_open"},
		{"no breaker needs neither", func(c *Config) { c.Breaker, c.BreakerOpen, c.BreakerFailures = false, 0, 0 }, ""},
		{"negative fall-through", func(c *Config) { c.FallThrough = -1 }, "fall_through"},
		{"a copy of nothing", func(c *Config) { c.LocalKeys = 0 }, "local_keys"},
		{"a time to live that Redis rounds away", func(c *Config) { c.TTL = units.Millisecond }, "ttl"},
		{"no connections", func(c *Config) { c.Pool = 0 }, "pool"},
		{"no keys", func(c *Config) { c.Keys = 0 }, "keys"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := config(ladder(units.Second))
			tt.change(&c)
			err := c.Validate()
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Validate says %v, want one that names %q", err, tt.want)
			}
		})
	}
}

func TestTheTimeoutBoundsEveryStepOfACall(t *testing.T) {
	o := Config{CacheTimeout: 50 * units.Millisecond}.redisOptions()
	for what, got := range map[string]time.Duration{"dial": o.DialTimeout, "read": o.ReadTimeout, "write": o.WriteTimeout} {
		if got != 50*time.Millisecond {
			t.Errorf("%s: %v, want 50ms", what, got)
		}
	}
	if o := (Config{}).redisOptions(); o.ReadTimeout != -1 || o.WriteTimeout != -1 {
		t.Errorf("without a time-out: read %v, write %v; go-redis waits for ever at −1, and 3 s at 0", o.ReadTimeout, o.WriteTimeout)
	}
	if o := (Config{}).redisOptions(); o.MaxRetries != 0 {
		t.Errorf("a call is sent again %d times, behind the back of time-out and breaker", o.MaxRetries)
	}
}
