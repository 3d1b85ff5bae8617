// Package timeout is the pattern "timeouts": what is said about them. Its claims are decided by experiments on
// services that use timeouts together with other patterns.
package timeout

import "shakedown/bench"

// Pattern is the catalog entry.
var Pattern = bench.Pattern{
	Name:    "resilience/timeout",
	Title:   "Timeouts",
	Summary: "Bound how long a call to a dependency may take, so that a hung dependency costs an error and not a thread.",
	Claims: []bench.Claim{
		{
			ID: "resilience/timeout#1", Text: "Without a timeout, requests pile up behind a hung dependency.",
			Source: "Folklore", Expect: bench.Confirmed,
		},
		{
			ID: "resilience/timeout#6", Text: "A timeout that is too long delays detection: requests in flight grow in proportion to it.",
			Source: "Little's law: in flight = rate × time", Expect: bench.Confirmed,
		},
	},
}
