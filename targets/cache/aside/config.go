package aside

import (
	"fmt"
	"slices"
	"strings"

	"shakedown/internal/units"
)

// Config is how one variant reads through its cache.
type Config struct {
	// Strategy on a miss: plain, singleflight, lock or xfetch.
	Strategy string         `json:"strategy"`
	TTL      units.Duration `json:"ttl"`     // of the keys of the tail
	HotTTL   units.Duration `json:"hot_ttl"` // of key 0
	// Jitter spreads every time to live uniformly over ± this fraction.
	Jitter  float64        `json:"jitter"`
	Rebuild units.Duration `json:"rebuild"` // how long the database takes to read one item
	Pool    int            `json:"pool"`    // database connections per instance
	Keys    int64          `json:"keys"`    // how many keys the tail has: 1…Keys
	// LockTTL bounds how long a crashed holder blocks the others, LockPoll how often they look.
	LockTTL  units.Duration `json:"lock_ttl"`
	LockPoll units.Duration `json:"lock_poll"`
	// Beta > 1 refreshes earlier, < 1 later.
	Beta float64 `json:"beta"`
}

var strategies = []string{"plain", "singleflight", "lock", "xfetch"}

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	switch {
	case !slices.Contains(strategies, c.Strategy):
		return fmt.Errorf("strategy: %q is none of %s", c.Strategy, strings.Join(strategies, ", "))
	case c.TTL < units.Millisecond || c.HotTTL < units.Millisecond:
		return fmt.Errorf("ttl, hot_ttl: need at least 1ms, got %v and %v", c.TTL, c.HotTTL)
	case c.Jitter < 0 || c.Jitter >= 1:
		return fmt.Errorf("jitter: must be in [0, 1), got %v", c.Jitter)
	case c.Rebuild < 0:
		return fmt.Errorf("rebuild: must be ≥ 0, got %v", c.Rebuild)
	case c.Pool < 1:
		return fmt.Errorf("pool: must be ≥ 1, got %d", c.Pool)
	case c.Keys < 1:
		return fmt.Errorf("keys: must be ≥ 1, got %d", c.Keys)
	case c.Strategy == "lock" && (c.LockTTL < units.Millisecond || c.LockPoll <= 0):
		return fmt.Errorf("lock_ttl, lock_poll: need at least 1ms and > 0, got %v and %v", c.LockTTL, c.LockPoll)
	case c.Strategy == "xfetch" && c.Beta <= 0:
		return fmt.Errorf("beta: must be > 0, got %v", c.Beta)
	}
	return nil
}

func (c Config) ttl(key int64) units.Duration {
	if key == hotKey {
		return c.HotTTL
	}
	return c.TTL
}
