// Package retry is the pattern "retry with backoff and jitter": a service that calls a dependency of finite capacity
// under several retry policies, and what is said about them. Its dependency is a role of its own, so that it can be
// slowed, killed and overloaded for real.
package retry

import "shakedown/bench"

// Pattern is the catalog entry.
var Pattern = bench.Pattern{
	Name:  "resilience/retry",
	Title: "Retry with backoff and jitter",
	Summary: "Ask again when a call fails, after a wait that grows and is spread at random, so that a passing fault " +
		"does not reach the user. Every retry is extra load on a dependency that may be failing because of load.",
	Claims:      claims,
	Experiments: []bench.Experiment{storm},
	Roles: map[string]bench.Role{
		bench.ServiceRole: {New: newService, Config: Config{}},
		"backend":         {New: newBackend, Config: BackendConfig{}},
	},
	Seed: seed,
}

var claims = []bench.Claim{
	{
		ID: "resilience/retry#3", Text: "Backoff and jitter protect a dependency during and after an overload.",
		Source: "Folklore; M. Brooker, \"What is Backoff For?\", 2022, argues that it defers work and does not reduce it",
		Expect: bench.DependsOn, On: "the loop model: it holds for a fixed number of users who wait, and fails for independent arrivals",
	},
	{
		ID: "resilience/retry#5", Text: "When the trigger is gone, the system recovers.",
		Source: "The naive belief; L. Huang et al., \"Metastable Failures in the Wild\", OSDI 2022",
		Expect: bench.Refuted,
	},
	{
		ID: "resilience/retry#10", Text: "Retry budgets fix it: load grows by the budget at most, and the system recovers.",
		Source: "M. Brooker, \"Fixing retries with token buckets and circuit breakers\", 2022",
		Expect: bench.Confirmed,
	},
}
