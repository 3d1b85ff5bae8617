package retry

import (
	"fmt"
	"slices"
	"strings"

	"shakedown/internal/units"
)

// Config is how one variant of the service calls its dependency.
type Config struct {
	// Policy is none, immediate, exponential, full_jitter, budget or breaker.
	Policy   string         `json:"policy"`
	Attempts int            `json:"attempts"` // at most, the first included
	Timeout  units.Duration `json:"timeout"`  // of one attempt
	// Base and Cap bound the wait before retry n: min(Cap, Base × 2ⁿ), n from 0; full_jitter draws uniformly below it.
	Base units.Duration `json:"base"`
	Cap  units.Duration `json:"cap"`
	// Every first attempt earns BudgetRatio tokens, up to BudgetBurst; a retry costs one.
	BudgetRatio float64 `json:"budget_ratio"`
	BudgetBurst float64 `json:"budget_burst"`
	// The breaker opens after so many failures in a row, and lets a probe through after BreakerOpen.
	BreakerFailures uint32         `json:"breaker_failures"`
	BreakerOpen     units.Duration `json:"breaker_open"`
}

var policies = []string{"none", "immediate", "exponential", "full_jitter", "budget", "breaker"}

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	switch {
	case !slices.Contains(policies, c.Policy):
		return fmt.Errorf("policy: %q is none of %s", c.Policy, strings.Join(policies, ", "))
	case c.Attempts < 1:
		return fmt.Errorf("attempts: must be ≥ 1, got %d", c.Attempts)
	case c.Policy == "none" && c.Attempts != 1:
		return fmt.Errorf("attempts: policy none makes 1, got %d", c.Attempts)
	case c.Timeout <= 0:
		return fmt.Errorf("timeout: must be positive, got %v", c.Timeout)
	case c.backsOff() && (c.Base <= 0 || c.Cap < c.Base):
		return fmt.Errorf("base, cap: need 0 < base ≤ cap, got %v and %v", c.Base, c.Cap)
	case c.Policy == "budget" && (c.BudgetRatio <= 0 || c.BudgetBurst < 1):
		return fmt.Errorf("budget_ratio, budget_burst: need a ratio > 0 and a burst ≥ 1, got %v and %v", c.BudgetRatio, c.BudgetBurst)
	case c.Policy == "breaker" && (c.BreakerFailures == 0 || c.BreakerOpen <= 0):
		return fmt.Errorf("breaker_failures, breaker_open: must be positive, got %d and %v", c.BreakerFailures, c.BreakerOpen)
	}
	return nil
}

func (c Config) backsOff() bool { return c.Policy == "exponential" || c.Policy == "full_jitter" }

// BackendConfig is the size of the dependency.
type BackendConfig struct {
	Slots int `json:"slots"` // calls it works on at once
	Queue int `json:"queue"` // calls that may wait; more are turned away with 503
}

// Validate says what is wrong with the configuration.
func (c BackendConfig) Validate() error {
	if c.Slots < 1 || c.Queue < 0 {
		return fmt.Errorf("slots, queue: need slots ≥ 1 and queue ≥ 0, got %d and %d", c.Slots, c.Queue)
	}
	return nil
}
