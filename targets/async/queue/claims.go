package queue

import "shakedown/bench"

const id = "async/queue#"

var claims = []bench.Claim{
	{
		ID: id + "3", Text: "A queue is first in, first out.", Source: "Folklore; RabbitMQ documentation, \"Queues\", \"Message Ordering\"", Expect: bench.Refuted,
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
		ID: id + "11", Text: "An unbounded queue exhausts its broker; a limit on its length is the remedy.",
		Source: "Folklore; RabbitMQ documentation, \"Queue Length Limit\", \"Memory and Disk Alarms\"",
		Expect: bench.DependsOn, On: "what happens at the limit: the default drops the oldest job without telling anybody, the alternative refuses the new one",
	},
	{
		ID: id + "14", Text: "Enqueueing after the commit is reliable.", Source: "Folklore; C. Richardson, Microservices Patterns, \"Transactional outbox\"", Expect: bench.Refuted,
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
