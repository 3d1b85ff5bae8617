package queue

import (
	"slices"

	"shakedown/bench"
	"shakedown/chaos"
	"shakedown/internal/units"
	"shakedown/targets/internal/crash"
)

const (
	// backoffRate leaves the consumers nearly idle as long as their dependency answers.
	backoffRate  = 20
	backoffFirst = 200 * units.Millisecond
	backoffMost  = 2 * units.Second
)

var backoffExperiment = bench.Experiment{
	Name:     "async/queue/backoff",
	Question: "What does backing off spare a dependency that is down, and what does it cost afterwards?",
	Note: "For a while the database answers every effect of a job with an error at once, too many connections, and jobs that fail are tried again " +
		"for ever, by eight consumers. Read how often they call it meanwhile, and how old the oldest job is when the database is back and it is done.",
	Engines: effects, Backends: workers,
	Variants: []bench.Variant{
		{Name: "immediate", About: "a job that fails is given back at once", Config: retried("")},
		{Name: "consumer-waits", About: "its consumer keeps it, 200 ms to 2 s, doubling, with jitter", Config: retried(inConsumer)},
		{Name: "job-waits", About: "it waits in the queue as long, and the consumer takes the next one", Config: retried(inQueue)},
	},
	Factor: "broker", Levels: backoffLevels(),
	Workload: jobs(),
	Phases: []bench.Phase{
		{Name: "before", For: units.Second, Rate: bench.PerSecond(backoffRate)},
		{
			Name: "outage", For: 10 * units.Second, Quick: 3500 * units.Millisecond, Rate: bench.PerSecond(backoffRate), Judged: true,
			Faults: chaos.Faults{&chaos.PostgresError{
				Link: workerRole + "→" + postgresBroker, Statement: "insert into shakedown_effects", SQLState: "53300", Message: "too many connections",
			}},
		},
		{Name: "returned", For: 4 * units.Second, Rate: bench.PerSecond(backoffRate), Judged: true},
	},
	Columns: []bench.Column{
		{Title: "calls in the outage", Unit: "/s", Of: backoffCalls},
		{Title: "oldest job done", Unit: "s", Of: backoffOldest},
		{Title: "age of a job when it is done, end", Unit: "s", Of: bench.Query{Phase: "returned", Tail: 0.25, Metric: "span", Name: "done", Stat: "value_mean"}},
		{Title: "done twice", Of: crash.Audited(bench.AuditDoubled)},
		{Title: "lost", Of: crash.Audited(bench.AuditLost)},
	},
	Checks: backoffChecks(),
}

var (
	backoffCalls  = bench.Query{Phase: "outage", Metric: "span", Name: "attempt", Stat: "rate"}
	backoffOldest = bench.Query{Phase: "returned", Metric: "span", Name: "done", Stat: "value_max"}
)

func retried(backoffIn string) Config {
	return with(func(c *Config) {
		c.Consumers, c.Prefetch, c.Work = 8, 1, 10*units.Millisecond
		if backoffIn != "" {
			c.Backoff, c.BackoffMost, c.BackoffIn = backoffFirst, backoffMost, backoffIn
		}
	})
}

// backoffLevels leave RabbitMQ out, where jobs wait for a time only in queues of their own, one for each time.
func backoffLevels() []bench.Level {
	return slices.DeleteFunc(brokers(redisBroker), func(l bench.Level) bool { return l.Name == rabbitBroker })
}

func backoffChecks() []bench.Check {
	var checks []bench.Check
	for _, broker := range []string{redisBroker, postgresBroker, natsBroker} {
		for _, variant := range []string{"consumer-waits", "job-waits"} {
			when := map[string]string{"consumer-waits": "the consumer waits with its job", "job-waits": "only the job waits"}[variant]
			calls := backoffCalls.In("immediate", broker)
			lost := noneLost("9", when, variant, broker, false)
			lost.MinOps = 50
			checks = append(checks, bench.Check{
				Claim: id + "9", When: when, Text: broker + ", " + variant + ": a tenth of the calls in the outage, or fewer",
				Of: backoffCalls.In(variant, broker), Versus: &calls, Rel: bench.AtMost, Bound: 0.1, MinOps: 20,
			}, bench.Check{
				Claim: id + "9", When: when, Text: broker + ", " + variant + ": every job is done within the longest wait after the outage", Unit: "s",
				Of:  bench.Query{Variant: variant, Level: broker, Phase: "returned", Tail: 0.25, Metric: "span", Name: "done", Stat: "value_max"},
				Rel: bench.AtMost, Bound: 0.5, MinOps: 10,
			}, lost)
		}
	}
	return checks
}
