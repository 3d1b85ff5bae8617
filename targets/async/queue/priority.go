package queue

import (
	"fmt"

	"shakedown/bench"
	"shakedown/internal/units"
	"shakedown/targets/internal/crash"
)

const (
	// priorityRate is more than the 200 a second that twenty workers can do at most, and some 190 in fact; priorityShare of it, nine tenths of
	// what they can, is urgent.
	priorityRate  = 232
	priorityShare = 0.75
	// priorityAhead is what hides priorities: more than ever wait.
	priorityAhead = 300
)

// The variants of priorityExperiment.
const (
	noPriority    = "fifo"
	withPriority  = "priority"
	fetchedBefore = "priority-prefetch"
)

var priorityExperiment = bench.Experiment{
	Name:     "async/queue/priority",
	Question: "What do priorities do for urgent jobs, and to the others?",
	Note: "Twenty workers do 200 jobs a second at most, and 232 come, of which 174 are urgent: nine tenths of what is done in fact. Read how old jobs of " +
		"either sort are when they are done, and how many of the others are done at all.",
	Engines: effects, Backends: workers,
	Variants: []bench.Variant{
		{Name: noPriority, About: "all are alike", Config: urgent(ignored, 1)},
		{Name: withPriority, About: "urgent jobs come first", Config: urgent(kept, 1)},
		{Name: fetchedBefore, About: "likewise, and up to 300 jobs are fetched ahead", Config: urgent(kept, priorityAhead)},
	},
	Factor: "broker", Levels: priorityLevels(),
	Workload: urgentJobs(),
	Phases: []bench.Phase{
		{Name: "load", For: 8 * units.Second, Quick: 4 * units.Second, Rate: bench.PerSecond(priorityRate), Judged: true},
	},
	Columns: []bench.Column{
		{Title: "urgent, mean age", Unit: "s", Of: ageOf("urgent")},
		{Title: "others, mean age", Unit: "s", Of: ageOf("ordinary")},
		{Title: "urgent done", Unit: "/s", Of: doneOf("urgent")},
		{Title: "others done", Unit: "/s", Of: doneOf("ordinary")},
		{Title: "lost", Of: crash.Audited(bench.AuditLost)},
	},
	Checks: priorityChecks(),
}

// priorityTail is when the overload has had its effect.
const priorityTail = 0.5

func ageOf(kind string) bench.Query {
	return bench.Query{Phase: "load", Tail: priorityTail, Metric: "span", Name: kind, Stat: "value_mean"}
}

func doneOf(kind string) bench.Query {
	return bench.Query{Phase: "load", Tail: priorityTail, Metric: "span", Name: kind, Stat: "rate"}
}

func urgent(priority string, prefetch int) Config {
	return with(func(c *Config) {
		c.Consumers, c.Work, c.Priority, c.Prefetch = 20, 100*units.Millisecond, priority, prefetch
	})
}

// urgentJobs are three urgent requests to one that is not.
func urgentJobs() bench.Workload {
	w := jobs()
	rush := w.Ops[0]
	rush.Name, rush.Path, rush.Weight = "urgent", "/urgent/{key}", priorityShare
	w.Ops[0].Weight = 1 - priorityShare
	w.Ops = append(w.Ops, rush)
	return w
}

// priorityLevels are the brokers that keep priorities; RabbitMQ 3 does so in classic queues only.
func priorityLevels() []bench.Level {
	var levels []bench.Level
	for _, l := range brokers(redisBroker, postgresBroker) {
		switch l.Name {
		case natsBroker:
			continue
		case redisBroker:
			l.About = "two streams, that of urgent jobs first"
		case postgresBroker:
			l.About = "a table, urgent rows first, by an index"
		case rabbitBroker:
			l.About, l.Config = "a classic queue of RabbitMQ with x-max-priority", map[string]any{"broker": rabbitBroker}
		}
		levels = append(levels, l)
	}
	return levels
}

func priorityChecks() []bench.Check {
	var checks []bench.Check
	for _, broker := range []string{redisBroker, postgresBroker, rabbitBroker} {
		check := func(when, text, variant string, q bench.Query, rel bench.Rel, bound float64, least int) {
			versus := q.In(noPriority, broker)
			checks = append(checks, bench.Check{
				Claim: id + "4", When: when, Text: fmt.Sprintf("%s, %s: %s", broker, variant, text),
				Of: q.In(variant, broker), Versus: &versus, Rel: rel, Bound: bound, MinOps: least,
			})
		}
		check("one job at a time", "urgent jobs are a fifth as old as without, or less", withPriority, ageOf("urgent"), bench.AtMost, 0.2, 20)
		check("300 fetched ahead", "urgent jobs are a fifth as old as without, or less", fetchedBefore, ageOf("urgent"), bench.AtMost, 0.2, 20)
		check("for the other jobs", "half as many others are done as without, or more", withPriority, doneOf("ordinary"), bench.AtLeast, 0.5, 0)
	}
	return checks
}
