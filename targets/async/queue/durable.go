package queue

import (
	"shakedown/bench"
	"shakedown/chaos"
	"shakedown/targets/internal/crash"
)

// durableRate is one that a sync before each acknowledgement keeps up with.
const durableRate = 200

var durable = bench.Experiment{
	Name:     "async/queue/durable",
	Question: "What is left of what a broker has acknowledged, when it is killed and when the power fails?",
	Note: "Nobody consumes. Every message that was acknowledged is looked for in the queue once the broker is back. A killed process leaves the " +
		"page cache; a power loss does not, and is the worst case: the kernel has written nothing back by itself. One node has no other to be " +
		"repaired from: it stands for a cluster that loses power as a whole.",
	Engines: effects, Backends: workers,
	Variants: []bench.Variant{
		{Name: "jetstream", About: "JetStream as it is installed: synced every 2 minutes", Config: stored(natsBroker)},
		{Name: "jetstream-always", About: "synced before each acknowledgement", Config: stored(natsBroker), Engines: synced("always")},
		{Name: "quorum", About: "a quorum queue of RabbitMQ, one node", Config: stored(rabbitBroker), Full: true},
	},
	Factor: "what happens",
	Levels: []bench.Level{
		crashed("kill9", "the process is killed", natsBroker, &chaos.Kill{Process: natsBroker}, "jetstream", "jetstream-always"),
		crashed("power-loss", "the machine loses its power", natsBroker, &chaos.PowerLoss{Process: natsBroker}, "jetstream", "jetstream-always"),
		crashed("rabbitmq-kill9", "the node is killed", rabbitBroker, &chaos.Kill{Process: rabbitBroker}, "quorum"),
		crashed("rabbitmq-power-loss", "its machine loses its power", rabbitBroker, &chaos.PowerLoss{Process: rabbitBroker}, "quorum"),
	},
	Workload: jobs(),
	Phases:   crash.Phases(durableRate, &chaos.Kill{Process: natsBroker}),
	Columns:  crash.Columns("kill9", "power-loss", "rabbitmq-kill9", "rabbitmq-power-loss"),
	Checks: []bench.Check{
		noneLost("16", "", "jetstream", "power-loss", false),
		noneLost("16", "only the process is killed", "jetstream", "kill9", false),
		noneLost("16", "it is synced before it is acknowledged, power loss", "jetstream-always", "power-loss", true),
		noneLost("16", "a quorum queue, a killed process", "quorum", "rabbitmq-kill9", false),
		noneLost("16", "a quorum queue, power loss", "quorum", "rabbitmq-power-loss", false),
	},
}

// stored is a configuration in which nobody takes anything out.
func stored(broker string) Config {
	return with(func(c *Config) { c.Broker, c.Kind, c.Consumers, c.Work = broker, kindOf(broker), 0, 0 })
}

func synced(interval string) []bench.EngineSpec {
	return []bench.EngineSpec{{Name: natsBroker, Settings: map[string]string{"jetstream.sync_interval": interval}}}
}

// crashed is a level at which the broker, whose files are on a disk that can lose what was not synced, comes to an end.
func crashed(name, about, broker string, f chaos.Fault, variants ...string) bench.Level {
	return bench.Level{
		Name: name, About: about, Full: broker == rabbitBroker, Variants: variants, Phases: crash.Phases(durableRate, f),
		Engines: []bench.EngineSpec{{Name: broker, Disk: true}},
	}
}
