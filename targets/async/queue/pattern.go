// Package queue is the pattern "message queue": a producer passes jobs on through a broker to a consumer, with each broker's and each
// side's ways of being careful or not.
package queue

import "shakedown/bench"

// Pattern is the catalog entry.
var Pattern = bench.Pattern{
	Name:  "async/queue",
	Title: "Message queue",
	Summary: "A producer puts jobs into a queue and goes on; consumers take them when they can. What becomes of a job when one of them dies " +
		"is a question of when the broker is told that it is done, when the producer is told that the broker has it, and of what the broker keeps.",
	Claims:      claims,
	Experiments: []bench.Experiment{deliveryExperiment, confirms, durable, poison, outboxExperiment, fifo, bounded, drainExperiment, burstExperiment, prefetchExperiment, backoffExperiment, laterExperiment, priorityExperiment, redisLossExperiment, fanoutExperiment},
	Roles: map[string]bench.Role{
		bench.ServiceRole: {New: newProducer, Config: Config{}},
		workerRole:        {New: newWorker, Config: Config{}},
	},
	Probes: map[string]bench.Probe{"drain": {Run: probeDrain, Config: Config{}}},
	Seed:   seed,
	Audit:  audit,
}
