package relational

import "fmt"

// Config is how one variant writes.
type Config struct {
	Pool int `json:"pool"` // database connections
}

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	if c.Pool < 1 {
		return fmt.Errorf("pool: must be ≥ 1, got %d", c.Pool)
	}
	return nil
}
