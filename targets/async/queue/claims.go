package queue

import "shakedown/bench"

const id = "async/queue#"

var claims = []bench.Claim{
	{
		ID: id + "1", Text: "A queue absorbs bursts of load.", Source: "Folklore; Microsoft, Cloud Design Patterns, \"Queue-Based Load Leveling\"",
		Expect: bench.DependsOn, On: "whether the load falls below what the workers can do again: under sustained overload jobs are done ever later",
	},
	{
		ID: id + "2", Text: "The consumers of one queue share its jobs; with a queue each, every one of them is given every job.",
		Source: "G. Hohpe, B. Woolf, Enterprise Integration Patterns, \"Point-to-Point Channel\" and \"Publish-Subscribe Channel\"", Expect: bench.Confirmed,
	},
	{
		ID: id + "3", Text: "A queue is first in, first out.", Source: "Folklore; RabbitMQ documentation, \"Queues\", \"Message Ordering\"", Expect: bench.Refuted,
	},
	{
		ID: id + "4", Text: "Priorities work: urgent jobs are done first, and the others after them.",
		Source: "Folklore; RabbitMQ documentation, \"Priority Queue Support\" (on prefetch)",
		Expect: bench.DependsOn, On: "how many jobs are fetched ahead, and whether the urgent ones leave time for others",
	},
	{
		ID: id + "5", Text: "Acknowledging a job after it is done prevents its loss.", Source: "RabbitMQ documentation, \"Consumer Acknowledgements and Publisher Confirms\"",
		Expect: bench.Confirmed,
	},
	{
		ID: id + "6", Text: "Acknowledging a job before it is done loses it when the consumer crashes.",
		Source: "RabbitMQ documentation, \"Consumer Acknowledgements and Publisher Confirms\" (automatic acknowledgement is unsafe)", Expect: bench.Confirmed,
	},
	{
		ID: id + "7", Text: "Without a queue of dead letters poison messages are lost silently.", Source: "Folklore; RabbitMQ documentation, \"Quorum Queues\", \"Poison Message Handling\"",
		Expect: bench.DependsOn, On: "whether they are tried for ever or given up after a number of attempts",
	},
	{
		ID: id + "8", Text: "A queue of dead letters is safe: what is given up is there.",
		Source: "Folklore; RabbitMQ documentation, \"Dead Letter Exchanges\", \"Safety\"", Expect: bench.Refuted,
	},
	{
		ID: id + "9", Text: "Retrying with exponential backoff helps when what a consumer depends on is down.",
		Source: "Folklore; M. Brooker, \"Timeouts, retries, and backoff with jitter\", Amazon Builders' Library", Expect: bench.Confirmed,
	},
	{
		ID: id + "10", Text: "Delayed jobs are done on time.", Source: "Folklore; Sidekiq wiki, \"Scheduled Jobs\" (checks for jobs every 5 seconds)",
		Expect: bench.DependsOn, On: "how often somebody looks for them, and how many are due at once",
	},
	{
		ID: id + "11", Text: "An unbounded queue exhausts its broker; a limit on its length is the remedy.",
		Source: "Folklore; RabbitMQ documentation, \"Queue Length Limit\", \"Memory and Disk Alarms\"",
		Expect: bench.DependsOn, On: "what happens at the limit: the default drops the oldest job without telling anybody, the alternative refuses the new one",
	},
	{
		ID: id + "12", Text: "A queue on Redis loses acknowledged jobs when Redis fails over or evicts keys.",
		Source: "Redis documentation, \"Replication\" (asynchronous) and \"Key eviction\"; Sidekiq wiki, \"Using Redis\" (noeviction)", Expect: bench.Confirmed,
	},
	{
		ID: id + "13", Text: "A consumer that fetches more jobs ahead is faster.", Source: "Folklore; RabbitMQ documentation, \"Consumer Acknowledgements and Publisher Confirms\", \"Channel Prefetch Setting (QoS)\"",
		Expect: bench.DependsOn, On: "how long jobs take beside the way to the broker, and whether one waits behind another that takes longer",
	},
	{
		ID: id + "14", Text: "Enqueueing after the commit is reliable.", Source: "Folklore; C. Richardson, Microservices Patterns, \"Transactional outbox\"", Expect: bench.Refuted,
	},
	{
		ID: id + "15", Text: "Databases make bad queues.", Source: "Folklore; PostgreSQL manual, SELECT, \"The Locking Clause\" (SKIP LOCKED), and \"Routine Vacuuming\"",
		Expect: bench.DependsOn, On: "whether a thousand jobs a second are enough, and whether an old snapshot keeps VACUUM from its work",
	},
	{
		ID: id + "16", Text: "A message whose persistence was acknowledged is durable.", Source: "NATS documentation, \"JetStream\" (sync_interval); Jepsen, \"NATS 2.12.1\", 2025",
		Expect: bench.Refuted,
	},
	{
		ID: id + "17", Text: "Publishing without confirms is reliable.", Source: "Folklore; RabbitMQ documentation, \"Consumer Acknowledgements and Publisher Confirms\"",
		Expect: bench.Refuted,
	},
}
