package retry

import (
	"math/rand/v2"
	"sync"
	"time"
)

// wait is how long a policy waits before retry n, counted from 0.
//
// Exponential backoff with full jitter is that of M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog,
// 2015: a uniform draw from [0, min(cap, base × 2ⁿ)].
func (c Config) wait(n int, rng *rand.Rand) time.Duration {
	if !c.backsOff() {
		return 0
	}
	ceiling := c.Cap.D()
	if base := c.Base.D(); n < 63 && base <= ceiling>>n { // then base<<n is at most the cap, and does not overflow
		ceiling = base << n
	}
	if c.Policy == "full_jitter" {
		return time.Duration(rng.Uint64N(uint64(ceiling) + 1))
	}
	return ceiling
}

// budget is a token bucket filled by first attempts and emptied by retries, so that retries are at most a fixed share
// of the calls, whatever fails.
type budget struct {
	ratio, burst float64

	mu     sync.Mutex
	tokens float64
}

func newBudget(ratio, burst float64) *budget {
	return &budget{ratio: ratio, burst: burst, tokens: burst}
}

func (b *budget) earn() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tokens = min(b.burst, b.tokens+b.ratio)
}

func (b *budget) spend() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
