package writethrough

import (
	"fmt"
	"slices"
	"strings"

	"shakedown/internal/units"
)

// How a write reaches the database and the cache.
const (
	only          = "database"       // no cache
	expiry        = "expiry"         // the database; readers fill the cache, whose entries expire
	aside         = "aside"          // the database, and then the key is deleted; a reader who misses fills it
	databaseFirst = "database-first" // the database, and then the cache
	present       = "present"        // the database, and then the cache if it has the key
	cacheFirst    = "cache-first"    // the cache, and then the database
	inTransaction = "in-transaction" // the cache within the open transaction of the database
	versioned     = "versioned"      // the database, and then the cache unless it has a newer version
	outbox        = "outbox"         // the database with a note of the change, which a relay takes to the cache
)

var orders = []string{only, expiry, aside, databaseFirst, present, cacheFirst, inTransaction, versioned, outbox}

// Config is how one variant writes and reads.
type Config struct {
	// Order is database, expiry, aside, database-first, present, cache-first, in-transaction, versioned or outbox.
	Order string `json:"order"`
	// TTL is how long an entry stays in the cache; 0 is for ever.
	TTL units.Duration `json:"ttl"`
	// Keys is how many items there are, 0…Keys−1.
	Keys int64 `json:"keys"`
	// Bytes is how long an entry of the cache is at least.
	Bytes int `json:"bytes,omitempty"`
	// Warm: the cache holds every item when the trial begins.
	Warm bool `json:"warm"`
	// Relay is how often the relay looks for changes.
	Relay units.Duration `json:"relay"`
	// Later is how long the audit waits before it looks again; 0: it looks once.
	Later units.Duration `json:"later"`
	// Pool is how many connections to the database each instance has.
	Pool int `json:"pool"`
}

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	switch {
	case !slices.Contains(orders, c.Order):
		return fmt.Errorf("order: %q is none of %s", c.Order, strings.Join(orders, ", "))
	case c.TTL < 0 || c.TTL > 0 && c.TTL < units.Millisecond:
		return fmt.Errorf("ttl: must be 0 or at least 1ms, got %v", c.TTL)
	case c.Later < 0 || c.Later > 60*units.Second:
		return fmt.Errorf("later: must be 0 to 60s, got %v", c.Later)
	case c.Keys < 1 || c.Pool < 1:
		return fmt.Errorf("keys, pool: must be ≥ 1, got %d and %d", c.Keys, c.Pool)
	case c.Bytes < 0 || c.Bytes > 1<<20:
		return fmt.Errorf("bytes: must be 0 to 1048576, got %d", c.Bytes)
	case c.Order == expiry && c.TTL == 0:
		return fmt.Errorf("ttl: with the order %s nothing else renews an entry", expiry)
	case c.Order == outbox && c.Relay < units.Millisecond:
		return fmt.Errorf("relay: needs at least 1ms, got %v", c.Relay)
	}
	return nil
}

// cached says whether the variant has a cache.
func (c Config) cached() bool { return c.Order != only }
