// Package timeout is the pattern "timeouts": what is said about them, and a service whose dependency vanishes from the network.
// Experiments of other patterns decide some of its claims too.
package timeout

import "shakedown/bench"

// Pattern is the catalog entry.
var Pattern = bench.Pattern{
	Name:        "resilience/timeout",
	Title:       "Timeouts",
	Summary:     "Bound how long a call to a dependency may take, so that a hung dependency costs an error and not a thread.",
	Experiments: []bench.Experiment{vanished},
	Roles:       map[string]bench.Role{bench.ServiceRole: {New: newService, Config: Config{}}},
	Seed:        seed,
	Claims: []bench.Claim{
		{
			ID: "resilience/timeout#1", Text: "Without a timeout, requests pile up behind a hung dependency.",
			Source: "Folklore", Expect: bench.Confirmed,
		},
		{
			ID: "resilience/timeout#3", Text: "Without a timeout, the kernel ends a call to a host that has vanished soon enough.",
			Source: "The naive belief; tcp(7), tcp_retries2: by default 15 retransmissions, 924.6 s at least", Expect: bench.Refuted,
		},
		{
			ID: "resilience/timeout#6", Text: "A timeout that is too long delays detection: requests in flight grow in proportion to it.",
			Source: "Little's law: in flight = rate × time", Expect: bench.Confirmed,
		},
	},
}
