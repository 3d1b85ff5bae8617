package leader

import (
	"shakedown/bench"
	"shakedown/chaos"
)

// pooler is the name of the pooler before PostgreSQL, where there is one.
const pooler = "postgres-pooler"

// throughPooler is a variant whose advisory lock is asked for through PgBouncer, in one of its modes.
func throughPooler(mode, about string) bench.Variant {
	v := variant(mode, about, config(storeAdvisory, checkStep, false))
	v.Engines = []bench.EngineSpec{{Name: "postgres", Pooler: map[string]string{"pool_mode": mode}}}
	return v
}

var poolerExperiment = bench.Experiment{
	Name:     "resilience/leader/pooler",
	Question: "Does an advisory lock work through PgBouncer?",
	Note: "Three instances want a lock that a session of PostgreSQL holds, straight from PostgreSQL or through one PgBouncer; the resource is reached directly. Whoever " +
		"has the lock works; in the middle the first leader is killed, and comes back. In transaction mode a session of the server is lent for one transaction, and what it " +
		"holds beyond that, the next client finds.",
	Engines: []bench.EngineSpec{{Name: "postgres"}},
	Variants: []bench.Variant{
		variant("direct", "a connection to PostgreSQL", config(storeAdvisory, checkStep, false)),
		throughPooler("session", "a client keeps its connection to the server (pool_mode session)"),
		throughPooler("transaction", "a client has one for a transaction (pool_mode transaction)"),
	},
	Workload: watchers,
	Phases: []bench.Phase{
		{Name: "steady", For: 3 * second, Quick: 2 * second, Rate: bench.PerSecond(rate), Judged: true},
		{Name: killed, For: 2 * second, Rate: bench.PerSecond(rate), Faults: chaos.Faults{&chaos.Kill{Process: "service-0"}}, Judged: true},
		{Name: "after", For: 2 * second, Quick: second, Rate: bench.PerSecond(rate), Judged: true},
	},
	Columns: safetyColumns,
	Checks: []bench.Check{
		none("resilience/leader#13", "session mode: no two work at the same time", auditOverlaps, "session", ""),
		none("resilience/leader#13", "transaction mode: no two work at the same time", auditOverlaps, "transaction", ""),
	},
}
