package leader

import (
	"fmt"
	"time"

	"shakedown/internal/units"
)

// The stores that give the role.
const (
	storeRedis    = "redis"    // SET key token NX PX ttl, and a counter for tokens
	storeEtcd     = "etcd"     // a key that is bound to a lease; its token is the revision at which it was made
	storeAdvisory = "advisory" // a session's lock in PostgreSQL, which ends a session that is silent for a TTL
)

// When a leader looks whether it still is one.
const (
	checkNever = "never" // it believes it until the store says otherwise
	checkStep  = "step"  // by its own clock, before each piece of work
	checkWrite = "write" // before each piece of work and before each write, which may not take longer than the lease has left
)

// Config is how one variant leads.
type Config struct {
	Store string `json:"store"`
	// TTL is how long the role is given for. A leader asks for more after a fifth of it.
	TTL units.Duration `json:"ttl"`
	// Retry is how often one that is not the leader looks whether the role is free; with etcd it is told.
	Retry units.Duration `json:"retry"`
	// Work is how long a piece of work takes before what comes of it is written.
	Work  units.Duration `json:"work"`
	Check string         `json:"check"`
	// Fenced: the resource turns away a token that is older than one it has seen.
	Fenced bool `json:"fenced,omitempty"`
	// Wait is how many replicas of Redis must have the grant before it counts (WAIT).
	Wait int `json:"wait,omitempty"`
}

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	switch {
	case c.Store != storeRedis && c.Store != storeEtcd && c.Store != storeAdvisory:
		return fmt.Errorf("store: must be %s, %s or %s, got %q", storeRedis, storeEtcd, storeAdvisory, c.Store)
	case c.Check != checkNever && c.Check != checkStep && c.Check != checkWrite:
		return fmt.Errorf("check: must be %s, %s or %s, got %q", checkNever, checkStep, checkWrite, c.Check)
	case c.TTL.D() < 50*time.Millisecond:
		return fmt.Errorf("ttl: must be at least 50ms, got %v", c.TTL)
	case c.Store == storeEtcd && c.TTL.D()%time.Second != 0:
		return fmt.Errorf("ttl: etcd counts in seconds, got %v", c.TTL)
	case c.Retry.D() < time.Millisecond || c.Work.D() < time.Millisecond:
		return fmt.Errorf("retry and work: must be at least 1ms, got %v and %v", c.Retry, c.Work)
	case c.Wait < 0 || c.Wait > 0 && c.Store != storeRedis:
		return fmt.Errorf("wait: is for redis, and not negative, got %d", c.Wait)
	}
	return nil
}

// renewal is how often a leader asks for more time.
func (c Config) renewal() time.Duration { return c.TTL.D() / 5 }
