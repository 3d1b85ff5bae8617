package degradation

import (
	"fmt"

	"shakedown/internal/units"
)

// Config is what one variant does against the loss of its cache.
type Config struct {
	// CacheTimeout bounds every call to the cache; 0 means none.
	CacheTimeout units.Duration `json:"cache_timeout"`
	// Breaker stops calling the cache after BreakerFailures failures in a row, for BreakerOpen.
	Breaker         bool           `json:"breaker"`
	BreakerFailures uint32         `json:"breaker_failures"`
	BreakerOpen     units.Duration `json:"breaker_open"`
	// FallThrough is how many reads may go to the database in place of the cache at once; 0 means any number.
	FallThrough int `json:"fall_through"`
	// StaleFor keeps a local copy of what was read and serves it for so long when nothing better is to be had; 0 means no copy.
	StaleFor units.Duration `json:"stale_for"`
	// LocalKeys bounds the local copy.
	LocalKeys int `json:"local_keys"`

	TTL       units.Duration `json:"ttl"`        // in the cache
	ItemCost  units.Duration `json:"item_cost"`  // of reading an item from the database
	OtherCost units.Duration `json:"other_cost"` // of the endpoint that never used the cache
	Pool      int            `json:"pool"`       // database connections
	Keys      int64          `json:"keys"`
}

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	switch {
	case c.CacheTimeout < 0 || c.StaleFor < 0 || c.ItemCost < 0 || c.OtherCost < 0:
		return fmt.Errorf("cache_timeout, stale_for, item_cost, other_cost: must be ≥ 0")
	case c.Breaker && (c.BreakerFailures == 0 || c.BreakerOpen <= 0):
		return fmt.Errorf("breaker_failures, breaker_open: must be positive, got %d and %v", c.BreakerFailures, c.BreakerOpen)
	case c.FallThrough < 0:
		return fmt.Errorf("fall_through: must be ≥ 0, got %d", c.FallThrough)
	case c.StaleFor > 0 && c.LocalKeys < 1:
		return fmt.Errorf("local_keys: must be ≥ 1, got %d", c.LocalKeys)
	case c.TTL < units.Second:
		return fmt.Errorf("ttl: needs at least 1s, got %v", c.TTL)
	case c.Pool < 1 || c.Keys < 1:
		return fmt.Errorf("pool, keys: must be ≥ 1, got %d and %d", c.Pool, c.Keys)
	}
	return nil
}
