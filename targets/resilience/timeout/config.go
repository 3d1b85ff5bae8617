package timeout

import (
	"fmt"

	"shakedown/internal/units"
)

// Config is what one variant does about a dependency that does not answer.
type Config struct {
	// Timeout bounds every call; 0 means none, of dialling neither.
	Timeout units.Duration `json:"timeout"`
	// UserTimeout tells the kernel how long to wait for an acknowledgement (TCP_USER_TIMEOUT); 0 leaves it to the kernel.
	UserTimeout units.Duration `json:"user_timeout"`
	Keys        int64          `json:"keys"`
}

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	switch {
	case c.Timeout < 0 || c.UserTimeout < 0:
		return fmt.Errorf("timeout, user_timeout: must be ≥ 0")
	case c.Keys < 1:
		return fmt.Errorf("keys: must be ≥ 1, got %d", c.Keys)
	}
	return nil
}
