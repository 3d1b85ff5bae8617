package queue

import "shakedown/bench"

const id = "async/queue#"

var claims = []bench.Claim{
	{
		ID: id + "1", Text: "A queue absorbs bursts.", Source: "Folklore; J. D. C. Little, \"A Proof for the Queuing Formula L = λW\", Operations Research 9(3), 1961",
		Expect: bench.DependsOn, On: "whether the load is more than the consumers can do for a while, or for good",
	},
	{
		ID: id + "2", Text: "Point-to-point delivers a message once, fan-out once to each of k consumers.",
		Source: "Hohpe and Woolf, Enterprise Integration Patterns, \"Point-to-Point Channel\", \"Publish-Subscribe Channel\"", Expect: bench.Confirmed,
	},
	{
		ID: id + "3", Text: "A queue is first in, first out.", Source: "Folklore; RabbitMQ documentation, \"Queues\", \"Message Ordering\"", Expect: bench.Refuted,
	},
	{
		ID: id + "4", Text: "Priorities work.", Source: "Folklore; RabbitMQ documentation, \"Priority Queues\"",
		Expect: bench.DependsOn, On: "how much a consumer fetches ahead",
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
		ID: id + "9", Text: "Retries with exponential backoff spare a dependency that is down.", Source: "Folklore; AWS Builders' Library, \"Timeouts, retries, and backoff with jitter\"",
		Expect: bench.Confirmed,
	},
	{
		ID: id + "10", Text: "Delayed jobs fire on time.", Source: "Folklore", Expect: bench.DependsOn, On: "how often the queue is polled, and the backlog",
	},
	{
		ID: id + "11", Text: "An unbounded queue exhausts its broker; a limit on its length is the remedy.",
		Source: "Folklore; RabbitMQ documentation, \"Queue Length Limit\", \"Memory and Disk Alarms\"",
		Expect: bench.DependsOn, On: "what happens at the limit: the default drops the oldest job without telling anybody, the alternative refuses the new one",
	},
	{
		ID: id + "12", Text: "A queue on Redis needs Redis to be highly available.", Source: "Folklore", Expect: bench.Confirmed,
	},
	{
		ID: id + "13", Text: "Fetching more ahead is faster.", Source: "RabbitMQ documentation, \"Consumer Prefetch\"", Expect: bench.DependsOn, On: "how long a job takes",
	},
	{
		ID: id + "14", Text: "Enqueueing after the commit is reliable.", Source: "Folklore; C. Richardson, Microservices Patterns, \"Transactional outbox\"", Expect: bench.Refuted,
	},
	{
		ID: id + "15", Text: "Databases make bad queues.", Source: "Folklore; PostgreSQL manual, SELECT, \"The Locking Clause\" (SKIP LOCKED)",
		Expect: bench.DependsOn, On: "the rate, the number of workers and how long the oldest snapshot stays open",
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
