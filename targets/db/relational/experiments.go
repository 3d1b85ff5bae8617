package relational

import (
	"shakedown/bench"
	"shakedown/chaos"
	"shakedown/targets/internal/crash"
)

// rate is low enough for a disk that takes 10 ms for an fsync: commits of several connections share one.
const rate = 200

const claim = "db/relational#14"

// asyncWindow is three times wal_writer_delay, which PostgreSQL's manual gives as the longest that an asynchronous commit may stay
// unwritten.
const asyncWindow = 0.6

var durability = bench.Experiment{
	Name:     "db/relational/durability",
	Question: "What is an acknowledged commit worth after a crash?",
	Note: "Every request commits a row of its own. In the middle of the load PostgreSQL is killed, or the power fails; it recovers, and the rows " +
		"that are there are compared with the commits that were acknowledged. The power loss is the worst case: the kernel has written nothing " +
		"back by itself, so without fsync nothing is left of the trial, and the database is whole. A real machine would have written some of " +
		"its pages and not others, and might have left a database that is not.",
	Engines: []bench.EngineSpec{{Name: "postgres", Disk: true, Settings: map[string]string{"wal_writer_delay": "200ms"}}},
	Variants: []bench.Variant{
		variant("neither", "fsync off, synchronous_commit off", "off", "off"),
		variant("fsync-off", "fsync off", "off", "on"),
		variant("async", "synchronous_commit off", "on", "off"),
		variant("default", "both on", "on", "on"),
	},
	Factor: "what happens",
	Levels: []bench.Level{
		{Name: "kill9", About: "every process of the server is killed", Phases: crash.Phases(rate, &chaos.Kill{Process: "postgres"})},
		{Name: "power-loss", About: "the machine loses its power", Phases: crash.Phases(rate, &chaos.PowerLoss{Process: "postgres"})},
	},
	Workload: crash.Writes(),
	Phases:   crash.Phases(rate, &chaos.Kill{Process: "postgres"}),
	Columns:  crash.Columns(),
	Checks: []bench.Check{
		crash.NothingLost(claim, "the defaults, a killed process", "default", "kill9"),
		crash.NothingLost(claim, "the defaults, a power loss", "default", "power-loss"),
		crash.NothingLost(claim, "synchronous_commit off, a killed process", "async", "kill9"),
		crash.NothingLost(claim, "synchronous_commit off, a power loss", "async", "power-loss"),
		within("synchronous_commit off, a killed process, when 3 × wal_writer_delay may go", "kill9"),
		within("synchronous_commit off, a power loss, when 3 × wal_writer_delay may go", "power-loss"),
		crash.NothingLost(claim, "fsync off, a killed process", "fsync-off", "kill9"),
		crash.NothingLost(claim, "fsync off, a power loss", "fsync-off", "power-loss"),
	},
}

func variant(name, about, fsync, synchronous string) bench.Variant {
	return bench.Variant{
		Name: name, About: about, Config: Config{Pool: 16},
		Engines: []bench.EngineSpec{{Name: "postgres", Settings: map[string]string{"fsync": fsync, "synchronous_commit": synchronous}}},
	}
}

func within(when, level string) bench.Check {
	return crash.LostWithin(claim, when, "async", level, "what is lost is at most three times wal_writer_delay", asyncWindow)
}
