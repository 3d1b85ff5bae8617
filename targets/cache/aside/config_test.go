package aside

import (
	"strings"
	"testing"

	"shakedown/internal/units"
)

func TestConfigurationsThatMakeNoSenseAreRefused(t *testing.T) {
	for _, tt := range []struct {
		name     string
		strategy string
		change   func(*Config)
		want     string
	}{
		{"plain", "plain", func(*Config) {}, ""},
		{"jitter", "plain", func(c *Config) { c.Jitter = 0.99 }, ""},
		{"unknown strategy", "hope", func(*Config) {}, "strategy"},
		{"no time to live", "plain", func(c *Config) { c.TTL = 0 }, "ttl"},
		{"a hot key that Redis cannot expire", "plain", func(c *Config) { c.HotTTL = units.Millisecond - 1 }, "hot_ttl"},
		{"negative jitter", "plain", func(c *Config) { c.Jitter = -0.1 }, "jitter"},
		{"jitter down to nothing", "plain", func(c *Config) { c.Jitter = 1 }, "jitter"},
		{"negative rebuild", "plain", func(c *Config) { c.Rebuild = -1 }, "rebuild"},
		{"no connections", "plain", func(c *Config) { c.Pool = 0 }, "pool"},
		{"no keys", "plain", func(c *Config) { c.Keys = 0 }, "keys"},
		{"a lock that never ends", "lock", func(c *Config) { c.LockTTL = 0 }, "lock_ttl"},
		{"a lock that is asked for without a pause", "lock", func(c *Config) { c.LockPoll = 0 }, "lock_poll"},
		{"plain needs no lock", "plain", func(c *Config) { c.LockTTL, c.LockPoll = 0, 0 }, ""},
		{"no beta", "xfetch", func(c *Config) { c.Beta = 0 }, "beta"},
		{"singleflight needs no beta", "singleflight", func(c *Config) { c.Beta = 0 }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := strategy(tt.strategy, 0)
			tt.change(&c)
			err := c.Validate()
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Validate says %v, want one that names %q", err, tt.want)
			}
		})
	}
}
