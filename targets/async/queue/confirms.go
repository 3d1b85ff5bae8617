package queue

import (
	"shakedown/bench"
	"shakedown/chaos"
	"shakedown/internal/units"
	"shakedown/targets/internal/crash"
)

// away is the distance between the producer and what it talks to: what is on its way when something dies.
const away = 10 * units.Millisecond

// distant puts a round trip of twice that between the producer and an engine.
func distant(engine string, away units.Duration) chaos.Faults {
	return chaos.Faults{&chaos.Latency{Link: bench.ServiceRole + "→" + engine, Delay: away}}
}

// killed is a level at which the named broker is killed and started again on what it has on its disk.
func killed(name, about string, full bool) bench.Level {
	return bench.Level{
		Name: name, About: about, Full: full, Config: map[string]any{"broker": name, "kind": kindOf(name)}, Engines: []bench.EngineSpec{{Name: name}},
		Network: distant(name, away), Phases: struck(confirmRate, &chaos.Kill{Process: name}),
	}
}

func kindOf(broker string) string {
	if broker == rabbitBroker {
		return rabbitQuorum
	}
	return ""
}

const confirmRate = 200

var confirms = bench.Experiment{
	Name:     "async/queue/confirms",
	Question: "What does a broker that is killed take with it, with and without publisher confirms?",
	Note: "The producer is 10 ms away from the broker. Without confirms it tells its user that the job is accepted once it has written it to its " +
		"connection. In the midst of the load the broker is killed and started again; its messages are persistent, and its page cache outlives it.",
	Engines: effects, Backends: workers,
	Variants: []bench.Variant{
		{Name: "unconfirmed", About: "publishes, and goes on", Config: with(func(c *Config) { c.Broker, c.Unconfirmed = natsBroker, true })},
		{Name: "confirmed", About: "waits until the broker says that it has the job", Config: with(func(c *Config) { c.Broker = natsBroker })},
	},
	Factor: "broker",
	Levels: []bench.Level{
		killed(natsBroker, "a stream of JetStream", false),
		killed(rabbitBroker, "a quorum queue of RabbitMQ, whose node takes several seconds to come back", true),
	},
	Workload: jobs(),
	Phases:   struck(confirmRate, &chaos.Kill{Process: natsBroker}),
	Columns: []bench.Column{
		{Title: "acknowledged", Of: crash.Audited(bench.AuditAcked)},
		{Title: "lost", Of: crash.Audited(bench.AuditLost)},
		{Title: "never answered", Of: crash.Audited(bench.AuditUnsure)},
		{Title: "answer, median", Unit: "ms", Of: bench.Query{Phase: "load", Metric: "answer_ms", Stat: "p50"}},
	},
	Checks: []bench.Check{
		noneLost("17", "", "unconfirmed", natsBroker, false),
		noneLost("17", "", "unconfirmed", rabbitBroker, false),
		noneLost("17", "the producer waits for confirms", "confirmed", natsBroker, true),
		noneLost("17", "the producer waits for confirms", "confirmed", rabbitBroker, true),
	},
}

// noneLost asserts that no acknowledged job is lost.
func noneLost(claim, when, variant, level string, controlFails bool) bench.Check {
	return bench.Check{
		Claim: id + claim, When: when, Text: variant + ", " + level + ": no acknowledged job is lost",
		Of: crash.Audited(bench.AuditLost).In(variant, level), Rel: bench.AtMost, Bound: 0, MinOps: 100, Never: true, ControlFails: controlFails,
	}
}
