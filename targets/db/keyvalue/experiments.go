package keyvalue

import (
	"shakedown/bench"
	"shakedown/chaos"
	"shakedown/internal/units"
	"shakedown/targets/internal/crash"
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
			Phases: crash.Phases(rate, &chaos.Terminate{Process: "redis"}),
		},
		{Name: "kill9", About: "the process is killed", Engines: onDisk, Phases: crash.Phases(rate, &chaos.Kill{Process: "redis"})},
		{Name: "power-loss", About: "the machine loses its power", Engines: onDisk, Phases: crash.Phases(rate, &chaos.PowerLoss{Process: "redis"})},
		clients("1-client", "one user", bench.Closed{Users: 1}, 0),
		clients("1-client-20ms", "one user, and an fsync takes 20 ms more", bench.Closed{Users: 1}, slowSync),
		clients("64-clients-20ms", "64 users who think for 100 ms, and an fsync takes 20 ms more", many, slowSync),
	},
	Workload: crash.Writes(),
	Phases:   crash.Phases(rate, &chaos.Kill{Process: "redis"}),
	Columns: append(crash.Columns("term", "kill9", "power-loss"), bench.Column{
		Title: "writes", Unit: "/s", Of: bench.Query{Phase: "load", Metric: "completed_per_s"}, Levels: []string{"1-client", "1-client-20ms", "64-clients-20ms"},
	}),
	Checks: []bench.Check{
		crash.NothingLost(claim, "an end in order, snapshots", "rdb", "term"),
		crash.NothingLost(claim, "a killed process, snapshots", "rdb", "kill9"),
		crash.NothingLost(claim, "a killed process, AOF and fsync left to the kernel", "aof-no", "kill9"),
		crash.NothingLost(claim, "a killed process, AOF and fsync once a second", "aof-everysec", "kill9"),
		crash.NothingLost(claim, "a killed process, AOF and fsync before the answer", "aof-always", "kill9"),
		crash.NothingLost(claim, "a power loss, snapshots", "rdb", "power-loss"),
		crash.NothingLost(claim, "a power loss, AOF and fsync left to the kernel", "aof-no", "power-loss"),
		crash.NothingLost(claim, "a power loss, AOF and fsync once a second", "aof-everysec", "power-loss"),
		crash.LostWithin(claim, "a power loss, AOF and fsync once a second, when two seconds may go", "aof-everysec", "power-loss", "what is lost is at most two seconds of writes", 2),
		crash.NothingLost(claim, "a power loss, AOF and fsync before the answer", "aof-always", "power-loss"),
		tenfold("one client, an fsync takes what it takes here", "1-client"),
		tenfold("one client, an fsync takes 20 ms", "1-client-20ms"),
		tenfold("64 clients, an fsync takes 20 ms", "64-clients-20ms"),
	},
}

const claim = "db/key-value#7"

// onDisk puts Redis' files where a power loss can take them away; also where none does, so that only the fault differs.
var onDisk = []bench.EngineSpec{{Name: "redis", Disk: true}}

func config() Config { return Config{Bytes: 100} }

func redisWith(settings map[string]string) []bench.EngineSpec {
	return []bench.EngineSpec{{Name: "redis", Settings: settings}}
}

func aof(policy string) []bench.EngineSpec {
	return redisWith(map[string]string{"appendonly": "yes", "appendfsync": policy})
}

// slowSync is what an fsync takes on a magnetic disk that has to seek and to turn.
const slowSync = 20 * units.Millisecond

// many are users who ask for some 640 writes a second: 13 times what a server could sync one by one, so that a factor of ten would show, and
// few enough to leave two cores idle half of the time.
var many = bench.Closed{Users: 64, Think: 100 * units.Millisecond}

// clients is a closed loop of users who write, without a crash.
func clients(name, about string, loop bench.Closed, sync units.Duration) bench.Level {
	var faults chaos.Faults
	if sync > 0 {
		faults = chaos.Faults{&chaos.DiskSlow{Process: "redis", Sync: sync}}
	}
	return bench.Level{
		Name: name, About: about, Variants: []string{"aof-everysec", "aof-always"}, Engines: onDisk, Closed: &loop,
		Phases: []bench.Phase{
			{Name: "warmup", For: units.Second, Quick: 200 * units.Millisecond},
			{Name: "load", For: 4 * units.Second, Quick: 2 * units.Second, Faults: faults, Judged: true},
		},
	}
}

func tenfold(when, level string) bench.Check {
	return bench.Check{
		Claim: "db/key-value#8", When: when, Text: "fsync once a second writes at least ten times as fast as fsync before the answer",
		Of:     bench.Query{Phase: "load", Metric: "completed_per_s"}.In("aof-everysec", level),
		Versus: new(bench.Query{Phase: "load", Metric: "completed_per_s"}.In("aof-always", level)), Rel: bench.AtLeast, Bound: 10, MinOps: 50,
	}
}
