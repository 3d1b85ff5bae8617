package queue

import (
	"fmt"

	"shakedown/bench"
	"shakedown/chaos"
	"shakedown/internal/units"
)

const (
	// prefetchRate is more than half of what the four workers of uneven jobs can do.
	prefetchRate = 65
	// prefetchAway is the distance between the worker and the broker.
	prefetchAway = 5 * units.Millisecond
)

// The variants of prefetchExperiment.
const (
	shortJobs  = "short"
	unevenJobs = "uneven"
)

var prefetchExperiment = bench.Experiment{
	Name:     "async/queue/prefetch",
	Question: "Is a consumer that fetches more jobs ahead faster?",
	Note: "The worker is 5 ms away from the broker. One worker of short jobs has a backlog to work off: read how many it does in a second. Four " +
		"workers of uneven jobs, of which every fifth takes five times as long, have half as much to do as they can: read how old jobs become. " +
		"Then the worker is killed: read how many jobs are given again.",
	Engines: effects, Backends: workers,
	Variants: []bench.Variant{
		{Name: shortJobs, About: "one worker, 1 ms a job, a backlog of 10 000", Config: with(func(c *Config) {
			c.Broker, c.Consumers, c.Work, c.Backlog = natsBroker, 1, units.Millisecond, 10_000
		})},
		{Name: unevenJobs, About: "four workers, 20 ms a job, and 100 ms every fifth", Config: with(func(c *Config) {
			c.Broker, c.Consumers, c.Work, c.Uneven = natsBroker, 4, 20*units.Millisecond, true
		})},
	},
	Factor: "fetched ahead", Levels: prefetchLevels(),
	Workload: jobs(),
	Phases: []bench.Phase{
		{Name: "load", For: 6 * units.Second, Quick: 3 * units.Second, Rate: bench.PerSecond(prefetchRate), Judged: true},
		{Name: "down", For: 300 * units.Millisecond, Rate: bench.PerSecond(prefetchRate), Faults: chaos.Faults{&chaos.Kill{Process: workerRole}}},
		{Name: "returned", For: 2 * units.Second, Rate: bench.PerSecond(prefetchRate)},
	},
	Columns: []bench.Column{
		{Title: "jobs done", Unit: "/s", Of: prefetchDone},
		{Title: "age of a job when it is done, mean", Unit: "s", Of: prefetchAge},
		{Title: "oldest", Unit: "s", Of: bench.Query{Phase: "load", Metric: "span", Name: "done", Stat: "value_max"}},
		{Title: "given again after the kill", Of: bench.Query{Phase: "returned", Metric: "span", Name: "again", Stat: "count"}},
	},
	Checks: append(prefetchChecks(natsBroker), prefetchChecks(rabbitBroker)...),
}

var (
	prefetchDone = bench.Query{Phase: "load", Metric: "span", Name: "done", Stat: "rate"}
	prefetchAge  = bench.Query{Phase: "load", Metric: "span", Name: "done", Stat: "value_mean"}
)

// prefetchLevels are so many jobs with each broker.
func prefetchLevels() []bench.Level {
	var levels []bench.Level
	for _, l := range brokers(natsBroker) {
		if l.Name != natsBroker && l.Name != rabbitBroker {
			continue
		}
		for _, n := range []int{1, 10, 100, 300} {
			at := l
			at.Name, at.About, at.Full = prefetchLevel(l.Name, n), fmt.Sprintf("%s, %d at a time", l.About, n), l.Full || n == 10
			at.Config = map[string]any{"broker": l.Name, "prefetch": n, "kind": kindOf(l.Name)}
			at.Network = chaos.Faults{&chaos.Latency{Link: workerRole + "→" + l.Name, Delay: prefetchAway}}
			if n == 300 { // uneven jobs never come so many at a time
				at.Variants = []string{shortJobs}
			}
			levels = append(levels, at)
		}
	}
	return levels
}

func prefetchLevel(broker string, n int) string { return fmt.Sprintf("%s-%d", broker, n) }

func prefetchChecks(broker string) []bench.Check {
	check := func(when, text string, q bench.Query, variant string, rel bench.Rel, bound float64, from, to int) bench.Check {
		versus := q.In(variant, prefetchLevel(broker, from))
		return bench.Check{
			Claim: id + "13", When: when, Text: fmt.Sprintf("%s, %d instead of %d fetched ahead: %s", broker, to, from, text),
			Of: q.In(variant, prefetchLevel(broker, to)), Versus: &versus, Rel: rel, Bound: bound, MinOps: 50,
		}
	}
	return []bench.Check{
		check("short jobs, up to 100", "twice as many jobs are done", prefetchDone, shortJobs, bench.AtLeast, 2, 1, 100),
		check("short jobs, beyond 100", "a fifth more jobs are done", prefetchDone, shortJobs, bench.AtLeast, 1.2, 100, 300),
		check("uneven jobs", "jobs are no older when they are done", prefetchAge, unevenJobs, bench.AtMost, 1.1, 1, 100),
	}
}
