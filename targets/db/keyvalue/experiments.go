package keyvalue

import (
	"shakedown/bench"
	"shakedown/chaos"
	"shakedown/internal/units"
)

// rate is low enough for any policy to keep up, and high enough to count what is lost: 2.5 ms apart.
const rate = 400

var durability = bench.Experiment{
	Name:     "db/key-value/durability",
	Question: "What does a crash take of what Redis has acknowledged?",
	Note: "Every request writes a key of its own and is told the value. In the middle of the load Redis is told to end, is killed, or the power fails; it is " +
		"started again, and what it holds is compared with what users were told. A killed process leaves the page cache; a power loss does not, " +
		"and is the worst case: the kernel has written nothing back by itself.",
	Engines: []bench.EngineSpec{{Name: "redis"}},
	Variants: []bench.Variant{
		{Name: "none", About: "no persistence", Config: config(), Engines: redisWith(nil)},
		{
			Name: "rdb", About: "snapshots as in redis.conf: after 3600 s and 1 change, 300 s and 100, 60 s and 10 000", Config: config(),
			Engines: redisWith(map[string]string{"save": "3600 1 300 100 60 10000"}),
		},
		{Name: "aof-no", About: "append-only file, fsync left to the kernel", Config: config(), Engines: aof("no")},
		{Name: "aof-everysec", About: "append-only file, fsync once a second", Config: config(), Engines: aof("everysec")},
		{Name: "aof-always", About: "append-only file, fsync before the answer", Config: config(), Engines: aof("always")},
	},
	Factor: "what happens",
	Levels: []bench.Level{
		{
			Name: "term", About: "the process is asked to end, and does", Variants: []string{"none", "rdb"}, Engines: onDisk,
			Phases: crash(&chaos.Terminate{Process: "redis"}),
		},
		{Name: "kill9", About: "the process is killed", Engines: onDisk, Phases: crash(&chaos.Kill{Process: "redis"})},
		{Name: "power-loss", About: "the machine loses its power", Engines: onDisk, Phases: crash(&chaos.PowerLoss{Process: "redis"})},
		clients("1-client", "one user", bench.Closed{Users: 1}, 0),
		clients("1-client-10ms", "one user, and an fsync takes 10 ms more", bench.Closed{Users: 1}, slowSync),
		clients("64-clients-10ms", "64 users who think for 20 ms, and an fsync takes 10 ms more", bench.Closed{Users: 64, Think: 20 * units.Millisecond}, slowSync),
	},
	Workload: bench.Workload{
		Ops:     []bench.Op{{Name: "write", Method: "PUT", Path: "/write/{key}", Keys: bench.Keys{Dist: "sequential", N: 1 << 60}}},
		SLO:     250 * units.Millisecond,
		Timeout: 3 * units.Second,
	},
	Phases: crash(&chaos.Kill{Process: "redis"}),
	Columns: []bench.Column{
		{Title: "acknowledged", Of: audited(bench.AuditAcked), Levels: crashes},
		{Title: "lost", Of: audited(bench.AuditLost), Levels: crashes},
		{Title: "span of the lost", Unit: "s", Of: audited(bench.AuditLostS), Levels: crashes},
		{Title: "answer, median", Unit: "ms", Of: bench.Query{Phase: "load", Metric: "answer_ms", Stat: "p50"}},
		{Title: "writes", Unit: "/s", Of: bench.Query{Phase: "load", Metric: "completed_per_s"}, Levels: []string{"1-client", "1-client-10ms", "64-clients-10ms"}},
	},
	Checks: []bench.Check{
		nothingLost("an end in order, snapshots", "rdb", "term"),
		nothingLost("a killed process, snapshots", "rdb", "kill9"),
		nothingLost("a killed process, AOF and fsync left to the kernel", "aof-no", "kill9"),
		nothingLost("a killed process, AOF and fsync once a second", "aof-everysec", "kill9"),
		nothingLost("a killed process, AOF and fsync before the answer", "aof-always", "kill9"),
		nothingLost("a power loss, snapshots", "rdb", "power-loss"),
		nothingLost("a power loss, AOF and fsync left to the kernel", "aof-no", "power-loss"),
		nothingLost("a power loss, AOF and fsync once a second", "aof-everysec", "power-loss"),
		{
			Claim: "db/key-value#7", When: "a power loss, AOF and fsync once a second, when two seconds may go",
			Text: "aof-everysec: what is lost is at most two seconds of writes",
			Of:   audited(bench.AuditLostS).In("aof-everysec", "power-loss"), Rel: bench.AtMost, Bound: 2, MinOps: 100, Never: true,
		},
		nothingLost("a power loss, AOF and fsync before the answer", "aof-always", "power-loss"),
		tenfold("one client, an fsync takes what it takes here", "1-client"),
		tenfold("one client, an fsync takes 10 ms", "1-client-10ms"),
		tenfold("64 clients, an fsync takes 10 ms", "64-clients-10ms"),
	},
}

var crashes = []string{"term", "kill9", "power-loss"}

// onDisk puts Redis' files where a power loss can take them away; also where none does, so that only the fault differs.
var onDisk = []bench.EngineSpec{{Name: "redis", Disk: true}}

func config() Config { return Config{Bytes: 100} }

func redisWith(settings map[string]string) []bench.EngineSpec {
	return []bench.EngineSpec{{Name: "redis", Settings: settings}}
}

func aof(policy string) []bench.EngineSpec {
	return redisWith(map[string]string{"appendonly": "yes", "appendfsync": policy})
}

func crash(f chaos.Fault) []bench.Phase {
	r := bench.PerSecond(rate)
	return []bench.Phase{
		{Name: "load", For: 8 * units.Second, Quick: 2500 * units.Millisecond, Rate: r, Judged: true},
		{Name: "down", For: units.Second, Quick: 300 * units.Millisecond, Rate: r, Faults: chaos.Faults{f}},
		{Name: "returned", For: units.Second, Quick: 400 * units.Millisecond, Rate: r},
	}
}

// slowSync is what an fsync takes on a magnetic disk.
const slowSync = 10 * units.Millisecond

// clients is a closed loop of users who write, without a crash.
func clients(name, about string, loop bench.Closed, sync units.Duration) bench.Level {
	var faults chaos.Faults
	if sync > 0 {
		faults = chaos.Faults{&chaos.DiskSlow{Process: "redis", Sync: sync}}
	}
	return bench.Level{
		Name: name, About: about, Variants: []string{"aof-everysec", "aof-always"}, Engines: onDisk, Closed: &loop,
		Phases: []bench.Phase{
			{Name: "warmup", For: units.Second, Quick: 300 * units.Millisecond},
			{Name: "load", For: 4 * units.Second, Quick: 1500 * units.Millisecond, Faults: faults, Judged: true},
		},
	}
}

func audited(number string) bench.Query { return bench.Query{Metric: "audit", Name: number} }

func nothingLost(when, variant, level string) bench.Check {
	return bench.Check{
		Claim: "db/key-value#7", When: when, Text: variant + ": no acknowledged write is lost",
		Of: audited(bench.AuditLost).In(variant, level), Rel: bench.AtMost, Bound: 0, MinOps: 100, Never: true, ControlFails: true,
	}
}

func tenfold(when, level string) bench.Check {
	return bench.Check{
		Claim: "db/key-value#8", When: when, Text: "fsync once a second writes at least ten times as fast as fsync before the answer",
		Of:     bench.Query{Phase: "load", Metric: "completed_per_s"}.In("aof-everysec", level),
		Versus: new(bench.Query{Phase: "load", Metric: "completed_per_s"}.In("aof-always", level)), Rel: bench.AtLeast, Bound: 10, MinOps: 100,
	}
}
