// Package catalog is the table of contents: every pattern, in catalog order, one line each. Only the commands import
// it; a pattern knows nothing of the others.
package catalog

import (
	"shakedown/bench"
	"shakedown/targets/async/queue"
	"shakedown/targets/cache/aside"
	"shakedown/targets/cache/writebehind"
	"shakedown/targets/cache/writethrough"
	"shakedown/targets/db/isolation"
	"shakedown/targets/db/keyvalue"
	"shakedown/targets/db/pooling"
	"shakedown/targets/db/relational"
	"shakedown/targets/resilience/breaker"
	"shakedown/targets/resilience/degradation"
	"shakedown/targets/resilience/leader"
	"shakedown/targets/resilience/retry"
	"shakedown/targets/resilience/timeout"
)

// Patterns are all patterns, in catalog order.
func Patterns() []bench.Pattern {
	return []bench.Pattern{
		relational.Pattern,
		isolation.Pattern,
		pooling.Pattern,
		keyvalue.Pattern,
		aside.Pattern,
		writethrough.Pattern,
		writebehind.Pattern,
		queue.Pattern,
		breaker.Pattern,
		retry.Pattern,
		degradation.Pattern,
		timeout.Pattern,
		leader.Pattern,
	}
}
