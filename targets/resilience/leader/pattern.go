// Package leader is the pattern "leader election": of several instances one is to do the work. A store gives the role for a while, and
// the leader acts on a resource that may or may not look at its token.
package leader

import "shakedown/bench"

// Pattern is the catalog entry.
var Pattern = bench.Pattern{
	Name:  "resilience/leader",
	Title: "Leader election",
	Summary: "Several instances can do a job, and one of them must. They ask a store for the role, which gives it to one for a while; the " +
		"leader asks for more time before that is over, and another follows when it does not.",
	Claims:      claims,
	Experiments: []bench.Experiment{pauseExperiment, stopExperiment, gapExperiment, thrashExperiment, failoverExperiment, storeExperiment, poolerExperiment, quorumExperiment, diskExperiment, waitersExperiment},
	Roles:       map[string]bench.Role{bench.ServiceRole: {New: newService, Config: Config{}}},
	Probes:      map[string]bench.Probe{"waiters": {Run: contend, Config: WaitConfig{}}},
	Seed:        seed,
	Audit:       audit,
}

const (
	etcdSource   = `etcd documentation, "etcd versus other key-value stores" (locks and leases)`
	redisSource  = `Redis documentation, "Distributed Locks with Redis"`
	tuning       = `etcd documentation, "Tuning" (disk)`
	recipes      = `Apache ZooKeeper documentation, "Recipes and Solutions" (leader election: the herd effect)`
	quorumSource = `etcd documentation, "Frequently Asked Questions" (why an odd number of cluster members)`
	poolerSource = `PgBouncer documentation, "Features" (what each pooling mode breaks)`
	fencing      = `M. Kleppmann, "How to do distributed locking", 2016`
)

var claims = []bench.Claim{
	{ID: "resilience/leader#1", Text: "Exactly one instance does the work.", Source: "Folklore; against it: " + fencing, Expect: bench.Refuted},
	{ID: "resilience/leader#2", Text: "Leases free the role after a crash.", Source: "Folklore; " + redisSource, Expect: bench.Confirmed},
	{ID: "resilience/leader#3", Text: "A TTL that is too short makes the role thrash.", Source: "Folklore", Expect: bench.Confirmed},
	{ID: "resilience/leader#4", Text: "A TTL that is too long leaves the work undone: the gap after a crash grows with it.", Source: "Folklore", Expect: bench.Confirmed},
	{
		ID: "resilience/leader#5", Text: "A quorum prevents split brain.", Source: "Folklore; " + etcdSource, Expect: bench.DependsOn,
		On: "whether what the leaders act on is decided by the quorum too",
	},
	{ID: "resilience/leader#6", Text: "SET NX in Redis is good enough to elect a leader.", Source: "Folklore; against it: " + redisSource, Expect: bench.Refuted},
	{ID: "resilience/leader#7", Text: "Ephemeral nodes re-elect by themselves.", Source: "Folklore; " + etcdSource, Expect: bench.Confirmed},
	{ID: "resilience/leader#8", Text: "Fencing tokens make it safe.", Source: fencing, Expect: bench.Confirmed},
	{
		ID: "resilience/leader#9", Text: "Contenders wait politely.", Source: "Folklore; " + recipes, Expect: bench.DependsOn,
		On: "whether they stand in a queue",
	},
	{ID: "resilience/leader#10", Text: "Two nodes are enough for a quorum.", Source: "Folklore; against it: " + quorumSource, Expect: bench.Refuted},
	{ID: "resilience/leader#11", Text: "etcd is steady on any disk.", Source: "Folklore; against it: " + tuning, Expect: bench.Refuted},
	{ID: "resilience/leader#12", Text: "Leaders stop when they lose the lease.", Source: "Folklore; against it: " + fencing, Expect: bench.Refuted},
	{ID: "resilience/leader#13", Text: "Advisory locks work through PgBouncer.", Source: "Folklore; against it: " + poolerSource, Expect: bench.Refuted},
}
