package pooling

import "fmt"

// Config is how one variant connects.
type Config struct {
	// Pool is the number of connections; 0 connects for every request.
	Pool int `json:"pool"`
	// Formula sizes the pool by the rule of thumb, cores × 2 + 1 spindle, in place of Pool.
	Formula bool `json:"formula,omitempty"`
	// Relations is how many tables every connection reads before it is used; they are seeded too.
	Relations int `json:"relations,omitempty"`
}

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	switch {
	case c.Pool < 0:
		return fmt.Errorf("pool: must be ≥ 0, got %d", c.Pool)
	case c.Formula && c.Pool != 0:
		return fmt.Errorf("pool, formula: set one of them, got %d and true", c.Pool)
	case c.Relations < 0:
		return fmt.Errorf("relations: must be ≥ 0, got %d", c.Relations)
	}
	return nil
}

func (c Config) size(cores int) int {
	if c.Formula {
		return 2*cores + 1
	}
	return c.Pool
}
