package chaostest

import (
	"flag"
	"os"
	"slices"
	"testing"

	"shakedown/chaos"
	"shakedown/internal/units"
)

func TestMain(m *testing.M) {
	switch {
	case isChild():
		beChild()
		return
	case os.Getenv(workEnv) != "":
		beWorker(os.Getenv(workEnv))
		return
	case os.Getenv(lockEnv) != "":
		beLocker(os.Getenv(lockEnv))
		return
	case os.Getenv(diskEnv) != "":
		beDisk(os.Getenv(diskEnv))
		return
	case os.Getenv(writeEnv) != "":
		beWriter(os.Getenv(writeEnv))
		return
	}
	flag.Parse()
	if err := flag.Set("test.parallel", "12"); err != nil { // they mostly wait
		panic(err)
	}
	os.Exit(engines.Main(withEngines{m}))
}

func TestEveryFaultConforms(t *testing.T) {
	Table(t, slices.Concat(linkRows(), []Row{
		{Fault: &chaos.Kill{Process: worker}, On: workers, Beside: &chaos.Kill{Process: neighbour("kill")}},
		{Fault: &chaos.PowerLoss{Process: "worker-0", Torn: true, Seed: 5}, On: onDisks, Beside: &chaos.PowerLoss{Process: neighbour("power_loss")}},
		{Fault: &chaos.DiskFull{Process: worker, Room: 8 << 10}, On: onDisks},
		{Fault: &chaos.DiskSlow{Process: worker, Read: 2 * units.Millisecond, Write: units.Millisecond, Sync: 3 * units.Millisecond}, On: onDisks},
		{Fault: &chaos.FsyncError{Process: worker, Nth: 3, Files: "dat?"}, On: onDisks},
		{Fault: &chaos.DiskError{Process: worker, Reads: 0.2, Writes: 0.1, Seed: 9}, On: onDisks},
		{Fault: &chaos.Pause{Process: worker}, On: workers, Beside: &chaos.Pause{Process: neighbour("pause")}},
		{Fault: &chaos.Terminate{Process: worker, Grace: units.Second}, On: labour, Beside: &chaos.Terminate{Process: neighbour("terminate")}},
		{Fault: &chaos.CrashLoop{Process: worker, Up: 20 * units.Millisecond, Down: 10 * units.Millisecond}, On: looping},
		{Fault: &chaos.SlowStart{Process: worker, AtLeast: 100 * units.Millisecond}, On: restarting},
		{Fault: &chaos.CPUQuota{Process: worker, Cores: 0.1}, On: labour, Beside: &chaos.CPUQuota{Process: neighbour("cpu_quota"), Cores: 0.5}},
		{Fault: &chaos.CPUBurn{Process: worker, Processes: 2}, On: labour, Beside: &chaos.CPUBurn{Process: neighbour("cpu_burn"), Processes: 1}},
		{Fault: &chaos.MemoryLimit{Process: worker, Bytes: 64 << 20}, On: labour, Beside: &chaos.MemoryLimit{Process: neighbour("memory_limit"), Bytes: 64 << 20}},
		{Fault: &chaos.FDLimit{Process: worker, Spare: 20}, On: labour, Beside: &chaos.FDLimit{Process: neighbour("fd_limit"), Limit: 64}},
		{Fault: &chaos.ClockSkew{Process: worker, Offset: -90 * units.Second, Rate: 1.5}, On: clocks},
		{Fault: &chaos.LockHeld{Engine: "postgres", Table: "item", Where: "id < 3"}, On: onPostgres},
		{Fault: &chaos.IdleInTransaction{Engine: "postgres"}, On: onPostgres},
		{Fault: &chaos.BackendTerminated{Engine: "postgres", Application: "service", Share: 0.5, Seed: 4, Every: 50 * units.Millisecond}, On: onPostgres, Harm: Cuts},
		{Fault: &chaos.ConnectionsHogged{Engine: "postgres", Leave: 16}, On: onPostgres},
		{Fault: &chaos.ReplayDelayed{Engine: "postgres-replica-0", Delay: 200 * units.Millisecond}, On: onPostgres},
		{Fault: &chaos.ReplicationBroken{Engine: "postgres-replica-1"}, On: onPostgres},
		{Fault: &chaos.Failover{Engine: "postgres"}, On: overPostgres, Harm: Cuts},
		{Fault: &chaos.ClientPause{Engine: "redis"}, On: onPausedRedis},
		{Fault: &chaos.MaxMemory{Engine: "redis", OfUsed: 0.8, Policy: "noeviction"}, On: onRedis},
		{Fault: &chaos.KeyEviction{Engine: "redis", Match: "item:*", Share: 0.5, Seed: 2}, On: onRedis},
		{Fault: &chaos.SlowCommand{Engine: "redis", For: 40 * units.Millisecond, Every: 100 * units.Millisecond}, On: onRedis},
		{Fault: &chaos.ReplicationBroken{Engine: "redis-replica"}, On: onRedis},
		{Fault: &chaos.Failover{Engine: "redis", Primary: "pause"}, On: overRedis, Harm: Cuts},
		{Fault: &chaos.Partition{Groups: [][]string{{"h0", "h1"}, {"h2", "h3", "h4"}}}, On: Hosts},
		{Fault: &chaos.Partition{From: "h3", To: "h4", Answer: chaos.RST}, On: Hosts, Harm: Cuts},
		{Fault: &chaos.PacketLoss{From: "h0", To: "h1", Rate: 0.2}, On: Hosts},
		{Fault: &chaos.LinkRate{Host: "h2", BytesPerSecond: 200_000}, On: Hosts},
		{Fault: &chaos.PostgresError{Link: spokenEdge, Statement: "^INSERT", SQLState: "40001", Pick: chaos.Pick{Every: 3}}, On: Postgres, Harm: Errs},
		{Fault: &chaos.PostgresDelay{Link: spokenEdge, Statement: "^INSERT", Delay: 2 * units.Millisecond, Pick: chaos.Pick{Share: 0.5, Seed: 3}}, On: Postgres},
		{Fault: &chaos.CommitDelay{Link: spokenEdge, Delay: 5 * units.Millisecond}, On: Postgres},
		{Fault: &chaos.CommitAckLost{Link: spokenEdge, Then: chaos.LostByCut, Pick: chaos.Pick{Every: 2}}, On: Postgres, Harm: Cuts},
		{Fault: &chaos.CommitAckLost{Link: spokenEdge, Then: chaos.LostByHold, Pick: chaos.Pick{Nth: 1}}, On: Postgres, Harm: Cuts},
		{Fault: &chaos.CutInTransaction{Link: spokenEdge, After: 1, Pick: chaos.Pick{Every: 2}}, On: Postgres, Harm: Cuts},
		{Fault: &chaos.RedisError{Link: spokenEdge, Error: "READONLY", Key: "counted-*", Pick: chaos.Pick{Every: 3}}, On: Redis, Harm: Errs},
		{Fault: &chaos.RedisDelay{Link: spokenEdge, Command: "INCR", Delay: units.Millisecond}, On: Redis},
		{Fault: &chaos.HTTPError{Link: spokenEdge, Path: "/say/*", Status: 503, RetryAfter: units.Second, Pick: chaos.Pick{Share: 0.5, Seed: 3}}, On: HTTP, Harm: Errs},
		{Fault: &chaos.HTTPError{Link: spokenEdge, Status: 503, When: chaos.After, Pick: chaos.Pick{Every: 3}}, On: HTTP, Harm: Errs},
		{Fault: &chaos.HTTPDelay{Link: spokenEdge, Method: "POST", Delay: units.Millisecond, When: chaos.After}, On: HTTP},
		{Fault: &chaos.HTTPCut{Link: spokenEdge, AfterBytes: 700, Pick: chaos.Pick{Every: 2}}, On: HTTP, Harm: Cuts},
	}))
}
