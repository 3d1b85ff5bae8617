// Package breaker is the pattern "circuit breaker": what is said about it. Its claims are decided by experiments on
// services that use a breaker together with other patterns.
package breaker

import "shakedown/bench"

// Pattern is the catalog entry.
var Pattern = bench.Pattern{
	Name:    "resilience/breaker",
	Title:   "Circuit breaker",
	Summary: "Stop calling a dependency that keeps failing, fail at once instead, and let a probe through from time to time.",
	Claims: []bench.Claim{
		{
			ID: "resilience/breaker#2", Text: "A breaker makes calls to a dead dependency fail fast: users no longer wait for the timeout.",
			Source: "Folklore; M. Nygard, Release It!", Expect: bench.Confirmed,
		},
	},
}
