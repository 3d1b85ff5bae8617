// Package degradation is the pattern "graceful degradation": a service that reads through a cache and loses it, with
// more and more of what is advised for that day: timeouts, a breaker, a bounded fall-through, a stale local copy.
package degradation

import "shakedown/bench"

// Pattern is the catalog entry.
var Pattern = bench.Pattern{
	Name:  "resilience/degradation",
	Title: "Graceful degradation",
	Summary: "When a dependency fails, answer with less instead of not at all: a stale copy, a default, an honest refusal; " +
		"and keep the fallback from taking down what still works.",
	Claims:      claims,
	Experiments: []bench.Experiment{cacheLoss},
	Roles:       map[string]bench.Role{bench.ServiceRole: {New: newService, Config: Config{}}},
	Seed:        seed,
}

var claims = []bench.Claim{
	{
		ID: "resilience/degradation#1", Text: "A ladder of answers (live, stale, refusal) keeps users served while a dependency is down.",
		Source: "Folklore", Expect: bench.Confirmed,
	},
	{
		ID: "resilience/degradation#2", Text: "A stale local copy is a good fallback.",
		Source: "Folklore", Expect: bench.DependsOn, On: "whether the copy may be used past its time to live",
	},
	{
		ID: "resilience/degradation#7", Text: "A fallback never makes it worse.",
		Source: "The naive belief; J. Gabrielson, \"Avoiding fallback in distributed systems\", Amazon Builders' Library",
		Expect: bench.Refuted,
	},
}
